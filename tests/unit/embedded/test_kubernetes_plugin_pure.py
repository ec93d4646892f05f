"""The pure parts of the stand-in provider: names, differences, drift, conflicts, values."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedded.plugins.kubernetes import check, conflicts, diff, live, names, normal, settings, tokens, values
from embedded.plugins.kubernetes.tokens import Kind
from embedded.plugins.kubernetes.values import UNKNOWN, Properties
from slipway.core.errors import UsageError

CONFIG_MAP, SECRET = Kind("v1", "ConfigMap"), Kind("v1", "Secret")
DEPLOYMENT, STATEFUL_SET = Kind("apps/v1", "Deployment"), Kind("apps/v1", "StatefulSet")

_scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text()
_json = st.recursive(
    _scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
)
_objects = st.dictionaries(st.text(min_size=1), _json, max_size=4)


@given(_objects)
def test_what_is_encoded_is_decoded(value: dict[str, Any]) -> None:
    assert values.decode(values.encode(Properties(value))).value == value


@given(_objects)
def test_secret_marks_survive_and_reveal_nothing_else(value: dict[str, Any]) -> None:
    marked = Properties(value, frozenset((key,) for key in value))
    assert values.decode(values.encode(marked)) == marked


def test_unknown_and_nested_secrets_survive() -> None:
    known = Properties({"a": [UNKNOWN, {"b": "s"}], "c": UNKNOWN}, frozenset({("a", 1, "b"), ("c",)}))
    assert values.decode(values.encode(known)) == known
    assert values.has_unknown(known.value)


def test_a_secret_is_found_wherever_it_turns_up() -> None:
    told = Properties({"a": "correct-horse"}, frozenset({("a",)}))
    coded = base64.b64encode(b"correct-horse").decode()
    answer = {"x": ["see correct-horse"], "y": coded, "z": "other"}
    assert values.marked(answer, told).secret == {("x", 0), ("y",)}
    assert values.redact(f"bad value correct-horse {coded}", told.secrets()) == "bad value [secret] [secret]"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (("spec", "containers", 0, "image"), "spec.containers[0].image"),
        (("metadata", "labels", "a.b/c"), 'metadata.labels["a.b/c"]'),
        (("data", 'qu"ote'), r'data["qu\"ote"]'),
    ],
)
def test_paths_are_written_as_the_engine_reads_them(path: values.Path, text: str) -> None:
    assert values.render(path) == text


@given(st.text(alphabet="abc-.XYZ", min_size=1, max_size=200), st.text(max_size=20))
def test_made_names_fit_and_differ_from_what_they_replace(base: str, previous: str) -> None:
    first = names.suffixed("urn:x", base, previous)
    assert len(first) <= 63
    assert first == names.suffixed("urn:x", base, previous), "a rerun after a kill finds the same name"
    assert first != names.suffixed("urn:x", base, first)


@pytest.mark.parametrize(
    ("token", "inputs", "kind"),
    [
        ("kubernetes:core/v1:ConfigMap", {}, CONFIG_MAP),
        ("kubernetes:apps/v1:Deployment", {}, DEPLOYMENT),
        ("kubernetes:serving.kserve.io/v1beta1:InferenceService", {},
         Kind("serving.kserve.io/v1beta1", "InferenceService")),
        ("kubernetes:core/v1:ConfigMap", {"apiVersion": "v1", "kind": "ConfigMap"}, CONFIG_MAP),
        ("kubernetes:example.com/v1:JsonPatch", {}, Kind("example.com/v1", "JsonPatch")),
    ],
)  # fmt: skip
def test_tokens(token: str, inputs: dict[str, Any], kind: Kind) -> None:
    assert tokens.kind_of(token, inputs) == kind


@pytest.mark.parametrize(
    "token",
    [
        "kubernetes:helm.sh/v3:Release", "kubernetes:helm.sh/v4:Chart", "kubernetes:yaml/v2:ConfigFile",
        "kubernetes:yaml:ConfigFile", "kubernetes:kustomize/v2:Directory",
         "kubernetes:apps/v1:DeploymentPatch",
        "kubernetes:rbac.authorization.k8s.io/v1:RoleList", "kubernetes:core/v1:PodList",
    ],
)  # fmt: skip
def test_unsupported_tokens_are_named(token: str) -> None:
    with pytest.raises(UsageError) as refused:
        tokens.kind_of(token)
    assert token in str(refused.value)


def _complete(news: dict[str, Any], olds: dict[str, Any] | None = None, **changed: Any) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "urn": "urn:pulumi:s::p::kubernetes:core/v1:ConfigMap::settings", "previous": "",
        "naming": check.Naming(), "namespaced": lambda: True, "default_namespace": lambda: "here",
    }  # fmt: skip
    return check.complete(CONFIG_MAP, news, olds or {}, **(arguments | changed))["metadata"]


def test_a_name_is_made_and_kept() -> None:
    made = _complete({})
    assert made["name"].startswith("settings-")
    assert made["annotations"] == {names.AUTONAMED: "true"}
    assert made["namespace"] == "here"
    old = {"metadata": {"name": "settings-old", "annotations": {names.AUTONAMED: "true"}}}
    assert _complete({}, old)["name"] == "settings-old"
    assert _complete({"metadata": {"name": "given"}}, old) == {"name": "given", "namespace": "here"}
    assert _complete({}, {"metadata": {"name": "given"}})["name"] != "given"
    assert _complete({}, naming=check.Naming("proposed"))["name"] == "proposed"
    assert _complete({"metadata": {"generateName": "run-"}})["name"].startswith("run-")
    with pytest.raises(UsageError, match="autonaming is switched off"):
        _complete({}, naming=check.Naming(required=True))


def test_what_is_unknown_stays_unknown() -> None:
    assert _complete({"metadata": {"name": UNKNOWN, "namespace": UNKNOWN}}) == {
        "name": UNKNOWN,
        "namespace": UNKNOWN,
    }
    assert _complete({"metadata": UNKNOWN}) is UNKNOWN


def _object(kind: Kind = CONFIG_MAP, auto: bool = False, **more: Any) -> dict[str, Any]:
    annotations = {"annotations": {names.AUTONAMED: "true"}} if auto else {}
    metadata = {"name": "x", "namespace": "n", **annotations}
    return {"apiVersion": kind.api_version, "kind": kind.name, "metadata": metadata, **more}


@given(_objects)
def test_nothing_differs_from_itself(value: dict[str, Any]) -> None:
    assert diff.compare(CONFIG_MAP, value, value).changes == ()


@given(_objects, _objects)
def test_every_difference_is_found_both_ways(one: dict[str, Any], other: dict[str, Any]) -> None:
    there, back = list(diff.walk(one, other)), list(diff.walk(other, one))
    swapped = {"add": "delete", "delete": "add", "update": "update"}
    assert {(c.path, c.operation) for c in there} == {(c.path, swapped[c.operation]) for c in back}


@pytest.mark.parametrize(
    ("kind", "old", "new", "path", "replaces", "first"),
    [
        (DEPLOYMENT, {"spec": {"replicas": 1}}, {"spec": {"replicas": 2}}, "spec.replicas", False, False),
        (DEPLOYMENT, {"spec": {"selector": {"a": "1"}}}, {"spec": {"selector": {"a": "2"}}},
         "spec.selector.a", True, True),
        (STATEFUL_SET, {"spec": {"serviceName": "a"}}, {"spec": {"serviceName": "b"}},
         "spec.serviceName", True, True),
        (STATEFUL_SET, {"spec": {"template": {"a": 1}}}, {"spec": {"template": {"a": 2}}},
         "spec.template.a", False, False),
        (Kind("batch/v1", "Job"), {"spec": {"template": {"a": 1}}}, {"spec": {"template": {"a": 2}}},
         "spec.template.a", True, True),
        (Kind("v1", "Pod"), {"spec": {"containers": [{"image": "a"}]}},
         {"spec": {"containers": [{"image": "b"}]}},
         "spec.containers[0].image", False, False),
        (Kind("v1", "Pod"), {"spec": {"nodeName": "a"}}, {"spec": {"nodeName": "b"}}, "spec.nodeName",
         True, True),
        (Kind("v1", "PersistentVolumeClaim"), {"spec": {"resources": {"requests": {"storage": "1Gi"}}}},
         {"spec": {"resources": {"requests": {"storage": "2Gi"}}}},
         "spec.resources.requests.storage", False, False),
        (Kind("v1", "PersistentVolumeClaim"), {"spec": {"storageClassName": "a"}},
         {"spec": {"storageClassName": "b"}}, "spec.storageClassName", True, True),
        (Kind("v1", "Service"), {"spec": {"clusterIP": "1"}}, {"spec": {"clusterIP": "2"}},
         "spec.clusterIP", True, True),
        (SECRET, {"type": "a"}, {"type": "b"}, "type", True, True),
        (SECRET, {"data": {"a": "MQ=="}}, {"stringData": {"a": "2"}}, "stringData.a", False, False),
        (CONFIG_MAP, {"data": {"a": "1"}}, {"data": {"a": "2"}}, "data.a", False, False),
        (CONFIG_MAP, {"immutable": True, "data": {"a": "1"}}, {"immutable": True, "data": {"a": "2"}},
         "data.a", True, True),
        (Kind("rbac.authorization.k8s.io/v1", "RoleBinding"), {"roleRef": {"name": "a"}},
         {"roleRef": {"name": "b"}}, "roleRef.name", True, True),
        (Kind("storage.k8s.io/v1", "StorageClass"), {"provisioner": "a"}, {"provisioner": "b"},
         "provisioner", True, True),
        (DEPLOYMENT, {"spec": {"selector": {"a": "1"}}}, {"spec": {"selector": {"a": UNKNOWN}}},
         "spec.selector.a", True, True),
    ],
)  # fmt: skip
def test_what_changes_and_what_replaces(
    kind: Kind, old: dict[str, Any], new: dict[str, Any], path: str, replaces: bool, first: bool
) -> None:
    found = diff.compare(kind, _object(kind, **old), _object(kind, **new))
    assert [values.render(change.path) for change in found.changes] == [path]
    assert (found.replaces, found.delete_first) == (replaces, first)


def test_a_made_name_lets_the_new_come_before_the_old_goes() -> None:
    old, new = _object(auto=True, data={"a": "1"}), _object(auto=True, data={"a": "2"})
    found = diff.compare(CONFIG_MAP, old, new)
    assert (found.replaces, found.delete_first) == (True, False)
    assert not diff.compare(CONFIG_MAP, old, new, mutable_contents=True).replaces


def test_another_name_needs_no_deletion_first() -> None:
    new = {**_object(), "metadata": {"name": "y", "namespace": "n"}}
    found = diff.compare(CONFIG_MAP, _object(), new)
    assert (found.replaces, found.delete_first) == (True, False)


def test_an_imported_object_keeps_what_the_program_leaves_out() -> None:
    old = _object(DEPLOYMENT, spec={"replicas": 1, "strategy": {}})
    new = _object(DEPLOYMENT, spec={"replicas": 1})
    assert diff.compare(DEPLOYMENT, old, new, applied=False).changes == ()
    assert len(diff.compare(DEPLOYMENT, old, new).changes) == 1


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("1000m", "1", True), ("1024Mi", "1Gi", True), ("1e3", "1k", True), (1, "1", True), ("0.5", "500m",
         True),
        ("1Gi", "1G", False), ("1", "2", False), ("many", "few", False),
    ],
)  # fmt: skip
def test_quantities(one: Any, other: Any, equal: bool) -> None:
    assert normal.same(("resources", "limits", "cpu"), one, other) is equal
    assert normal.same(("data", "cpu"), one, other) is False


def _owned(fields: dict[str, Any], manager: str = "us") -> list[dict[str, Any]]:
    return [{"manager": manager, "operation": "Apply", "fieldsV1": fields}]


def _key(**selector: Any) -> str:
    return "k:" + json.dumps(selector)


@pytest.mark.parametrize(
    ("wanted", "found", "owned", "seen"),
    [
        ({"a": 1}, {"a": 1, "defaulted": 2}, {}, {"a": 1}),
        ({"a": 1}, {"a": 3}, {}, {"a": 3}),
        ({"a": 1, "b": 2}, {"a": 1}, {}, {"a": 1}),
        ({"a": 1, "empty": {}, "no": False, "zero": 0}, {"a": 1}, {}, {"a": 1, "empty": {}, "no": False,
         "zero": 0}),
        ({"limits": {"cpu": "1000m"}}, {"limits": {"cpu": "1"}}, {}, {"limits": {"cpu": "1000m"}}),
        ({"verbs": ["get"]}, {"verbs": ["get", "delete"]}, {}, {"verbs": ["get", "delete"]}),
        ({"rules": [{"a": 1}]}, {"rules": [{"a": 2, "d": 1}]}, {}, {"rules": [{"a": 2}]}),
        ({"env": [{"name": "A", "value": "1"}]},
         {"env": [{"name": "injected"}, {"name": "A", "value": "2"}]},
         {"f:env": {_key(name="A"): {}}}, {"env": [{"name": "A", "value": "2"}]}),
        ({"ports": [{"port": 80}]}, {"ports": [{"port": 80, "protocol": "TCP"}]},
         {"f:ports": {_key(port=80, protocol="TCP"): {}}}, {"ports": [{"port": 80}]}),
        ({"env": [{"name": "A"}, {"name": "B"}]}, {"env": [{"name": "B"}]},
         {"f:env": {_key(name="B"): {}}}, {"env": [{"name": "B"}]}),
        ({"finalizers": ["ours"]}, {"finalizers": ["theirs", "ours"]}, {"f:finalizers": {'v:"ours"': {}}},
         {"finalizers": ["ours"]}),
    ],
)  # fmt: skip
def test_what_a_refresh_sees(
    wanted: dict[str, Any], found: dict[str, Any], owned: dict[str, Any], seen: dict[str, Any]
) -> None:
    current = {"metadata": {"managedFields": _owned({"f:spec": owned})}, "spec": found}
    assert live.seen({"spec": wanted}, current) == {"spec": seen}


@given(_objects)
def test_what_is_as_the_program_says_is_no_drift(wanted: dict[str, Any]) -> None:
    assert live.seen({"spec": wanted}, {"metadata": {}, "spec": wanted}) == {"spec": wanted}


def test_an_import_leaves_out_what_the_server_wrote() -> None:
    found = {
        "kind": "ConfigMap", "status": {"x": 1}, "data": {"a": "1"},
        "metadata": {"name": "x", "uid": "u", "resourceVersion": "1", "managedFields": [],
                     "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"}},
    }  # fmt: skip
    assert live.as_inputs(found) == {"kind": "ConfigMap", "data": {"a": "1"}, "metadata": {"name": "x"}}


_CAUSES = [
    {"reason": "FieldManagerConflict", "field": ".spec.replicas",
     "message": 'conflict with "kubectl-edit" using apps/v1 at 2026-11-22T12:00:00Z'},
    {"reason": "FieldManagerConflict", "field": '.spec.containers[name="main"].image',
     "message": 'conflict with "argo"'},
    {"reason": "Other", "field": ".x", "message": "something else"},
]  # fmt: skip


def test_conflicts_name_the_manager_and_the_field() -> None:
    edited, declared = conflicts.read(_CAUSES)
    assert str(edited) == "conflict with manager 'kubectl-edit' on .spec.replicas"
    assert (edited.declared, declared.declared) == (False, True)
    why, fix = conflicts.explain([edited])
    assert "kubectl-edit" in why
    assert "pulumi refresh" in fix


def test_only_what_the_state_knows_may_be_overwritten() -> None:
    edited, declared = conflicts.read(_CAUSES)
    current = {"spec": {"replicas": 3, "containers": [{"name": "main", "image": "theirs"}]}}
    assert conflicts.unseen([edited], {"spec": {"replicas": 3}}, current) == []
    assert conflicts.unseen([edited], {"spec": {"replicas": 1}}, current) == [edited]
    assert conflicts.unseen([edited], {}, current) == [edited]
    assert conflicts.unseen([declared], current, current) == [declared]


@pytest.mark.parametrize(
    ("field", "path"),
    [
        (".spec.replicas", ("spec", "replicas")),
        ('.spec.c[name="b"].image', ("spec", "c", 1, "image")),
        ('.spec.p[port=80,protocol="TCP"].name', ("spec", "p", 0, "name")),
        ('.spec.f[="x"]', ("spec", "f", 0)),
        ('.spec.c[name="none"].image', None),
    ],
)
def test_the_servers_notation_is_understood(field: str, path: values.Path | None) -> None:
    value = {"spec": {"replicas": 1, "c": [{"name": "a"}, {"name": "b"}], "p": [{"port": 80}], "f": ["x"]}}
    assert conflicts.locate(field, value) == path


def test_a_field_is_left_to_its_owner() -> None:
    value = {"spec": {"replicas": 1, "c": [{"a": 1, "b": 2}]}}
    assert conflicts.without(value, ("spec", "replicas")) == {"spec": {"c": [{"a": 1, "b": 2}]}}
    assert conflicts.without(value, ("spec", "c", 0, "a")) == {"spec": {"replicas": 1, "c": [{"b": 2}]}}


def test_settings_come_as_text(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings.read({"upsertExistingObjects": "true"}).upsert
    assert not settings.read({}).upsert
    monkeypatch.setenv("PULUMI_K8S_UPSERT_EXISTING_OBJECTS", "true")
    assert settings.read({}).upsert
    assert [name for name, _ in settings.refusals({"renderYamlToDirectory": "x"})] == [
        "renderYamlToDirectory"
    ]
    assert settings.refusals({"enableServerSideApply": "false"})
    assert not settings.refusals({"enableServerSideApply": "true"})
