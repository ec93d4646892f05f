"""Definitions by digest: what counts as a change, what the cache keeps, what an earlier state becomes."""

from pathlib import Path

import pytest

from infra.stack.earlier_definitions import with_retained_definitions
from infra.upstream import object_store
from infra.upstream.install.definitions_kind import DefinitionsKind
from slipway.core.errors import UsageError

KIND = DefinitionsKind()
INPUTS = {"part": "kserve", "definitions": {"a.example": "1", "b.example": "2"}, "kubeconfig": "key"}


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLIPWAY_CACHE", str(tmp_path / "cache"))


def _paths(new: dict) -> list[tuple[str, str]]:
    return [(change.path, change.why) for change in KIND.changes(INPUTS, {**INPUTS, **new})]


def test_changes_name_each_definition() -> None:
    assert _paths({}) == []
    assert _paths({"definitions": {"a.example": "1", "b.example": "3", "c.example": "4"}}) == [
        ('definitions["b.example"]', "b.example will be changed"),
        ('definitions["c.example"]', "c.example will be created"),
    ]
    assert _paths({"definitions": {"b.example": "2"}}) == [
        ('definitions["a.example"]', "a.example will be deleted")
    ]
    assert _paths({"kubeconfig": "another"}) == [("kubeconfig", "")]
    [part] = KIND.changes(INPUTS, {**INPUTS, "part": "katib"})
    assert part.replaces


def test_unknown_inputs_are_refused() -> None:
    assert KIND.faults(INPUTS) == []
    assert KIND.faults({**INPUTS, "force": True}) == [("force", "Extra inputs are not permitted")]


def test_equal_objects_have_one_digest(tmp_path: Path) -> None:
    first = object_store.put(object_store.canonical({"b": "ü", "a": 1}))
    assert first == object_store.put(object_store.canonical({"a": 1, "b": "ü"}))
    assert object_store.get(first) == '{"a":1,"b":"ü"}'.encode()
    assert len([*(tmp_path / "cache" / "objects").rglob("*.json")]) == 1


def test_missing_and_damaged_objects_are_refused(tmp_path: Path) -> None:
    name = object_store.put(b"{}")
    [path] = (tmp_path / "cache").rglob("*.json")
    path.write_bytes(b"[]")
    with pytest.raises(UsageError, match="is damaged in the cache"):
        object_store.get(name)
    path.unlink()
    with pytest.raises(UsageError, match="is not in the cache"):
        object_store.get(name)


def test_earlier_definitions_are_retained() -> None:
    def resource(kind: str, name: str) -> dict:
        return {"type": kind, "urn": f"urn:pulumi:local::slipway::{kind}::{name}"}

    crd = "kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinition"
    ours, others = resource(crd, "kserve-crd-inferenceservices"), resource(crd, "theirs")
    exported = {"version": 3, "deployment": {"resources": [others, ours], "metadata": {}}}
    assert with_retained_definitions(exported) == {
        "version": 3,
        "deployment": {"resources": [others, {**ours, "retainOnDelete": True}], "metadata": {}},
    }
    assert with_retained_definitions({"deployment": {"resources": [others]}}) is None
    assert with_retained_definitions({"deployment": {}}) is None
