"""The whole program under the recording engine, and invariants of all that it declares."""

import json
import os
import subprocess
import sys

import pytest
from support.checkout import ROOT
from support.engine import Engine, reveal, secrets_masked
from support.recorded_platform import CANARY, IMAGES, deploy, reference

from infra.components.upstream.earlier_names import EARLIER
from infra.contract import PlatformOutputs
from infra.names import EDITOR, KFP_NAMESPACE, KSERVE_NAMESPACE, LAUNCHER_CONFIG, PART_OF, RUNNER_SECRET
from infra.required_rights import RESOURCES
from infra.settings.models import LocalSettings, TenantSettings
from storage import keys

TEAMS = tuple(
    TenantSettings.model_validate_json(json.dumps(values))
    for values in (
        {
            "name": "team-a",
            "members": [
                {"user": "ada@example.org", "role": "admin"},
                {"group": "ml", "role": "promoter"},
                {"user": "vera@example.org", "role": "viewer"},
            ],
        },
        {"name": "team-ab"},
    )
)
ONLY_WITH_OTHER_SETTINGS = {"PodDisruptionBudget"}
CLUSTER_WIDE = {
    "ClusterRole",
    "ClusterRoleBinding",
    "ClusterServingRuntime",
    "ClusterStorageContainer",
    "CustomResourceDefinition",
    "MutatingWebhookConfiguration",
    "Namespace",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "ValidatingWebhookConfiguration",
}


@pytest.fixture(scope="module")
def built() -> tuple[Engine, PlatformOutputs]:
    with pytest.MonkeyPatch.context() as patch:
        return deploy(patch, LocalSettings(environment="local"), TEAMS)


@pytest.fixture(scope="module")
def engine(built) -> Engine:
    return built[0]


def _objects(engine: Engine) -> list[tuple[str, str, dict]]:
    return [(made.inputs["kind"], made.name, reveal(made.inputs)) for made in engine.objects()]


def _upstream(name: str) -> bool:
    """Return whether the object is upstream's own."""
    return name.startswith(("upstream-", "katib-")) and "slipway-" not in name


def _pods(body: object):
    """Yield every pod spec in a body, at any depth."""
    if isinstance(body, dict):
        if "containers" in body:
            yield body
        for value in body.values():
            yield from _pods(value)
    elif isinstance(body, list):
        for value in body:
            yield from _pods(value)


def test_the_cluster_says_which_stack_its_platform_belongs_to(engine):
    record = engine.one("owner-record").inputs
    # Shown in plain, although it derives from the stack's secret.
    assert record["data"] == {"stack": "test", "identity": keys.stack_identity(CANARY)}
    assert keys.stack_identity(CANARY) != keys.stack_identity(CANARY + "2")


def test_cert_manager_or_a_job_issues_certificates(engine, monkeypatch):
    assert not engine.of("Certificate")
    assert [made for made in engine.of("Job") if "webhook-certificates" in json.dumps(made.inputs)]
    settings = LocalSettings(environment="local")
    own, _ = deploy(monkeypatch, settings, TEAMS, cert_manager=True)
    assert {made.typ for made in own.made if "cert-manager.io" in made.typ} == {
        "kubernetes:cert-manager.io/v1:Certificate",
        "kubernetes:cert-manager.io/v1:Issuer",
    }
    trusting = reveal(own.of("ValidatingWebhookConfiguration")[0].inputs)
    assert "cert-manager.io/inject-ca-from" in trusting["metadata"]["annotations"]
    assert not [made for made in own.of("Job") if "webhook-certificates" in json.dumps(made.inputs)]


def test_the_required_rights_are_of_what_is_declared(engine):
    declared = {kind for kind, _, _ in _objects(engine)} | {"CustomResourceDefinition"}
    assert declared <= set(RESOURCES)
    assert set(RESOURCES) - declared <= ONLY_WITH_OTHER_SETTINGS


def test_every_object_has_a_name_and_our_labels(engine):
    for kind, name, body in _objects(engine):
        metadata = body["metadata"]
        assert metadata["name"], f"{name}: a random name would differ in every plan"
        assert _upstream(name) or PART_OF.items() <= metadata["labels"].items(), name
        assert ("namespace" in metadata) is (kind not in CLUSTER_WIDE), name


def _keys(value: object):
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            if key not in {"data", "annotations", "labels", "matchLabels"}:
                yield from _keys(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _keys(inner)


def test_no_field_has_snake_case(engine):
    """The SDK converts known fields to camelCase and passes unknown ones, which Kubernetes ignores."""
    for _, name, body in _objects(engine):
        assert not [key for key in _keys(body) if "_" in key], name


def test_no_role_has_a_wildcard(engine):
    roles = [*engine.of("Role"), *engine.of("ClusterRole")]
    assert len(roles) >= 10
    for role in roles:
        if _upstream(role.name):
            continue
        for rule in role.inputs["rules"]:
            assert "*" not in [*rule["verbs"], *rule["resources"], *rule["apiGroups"]], role.name


def test_only_images_of_the_cluster_are_used(engine):
    allowed = {reference(kind) for kind in IMAGES}
    seen = set()
    for _, name, body in _objects(engine):
        for pod in _pods(body.get("spec", {})):
            for container in pod["containers"]:
                assert container["image"] in allowed, name
                assert container["imagePullPolicy"] == "IfNotPresent", name
                seen.add(container["image"])
    assert seen == allowed, "every image that is built is used"


def test_every_container_meets_the_restricted_standard(engine):
    for _, name, body in _objects(engine):
        pods = [*_pods(body.get("spec", {}))]
        if "container" in body.get("spec", {}):
            pods.append({"containers": [body["spec"]["container"]]})
        for pod in pods:
            for container in pod["containers"]:
                context = container["securityContext"]
                assert context["allowPrivilegeEscalation"] is False, name
                assert context["capabilities"] == {"drop": ["ALL"]}, name
                assert context["runAsNonRoot"] is True, name
                assert context["readOnlyRootFilesystem"] is True, name
                profile = (pod.get("securityContext") or {}).get("seccompProfile")
                assert context.get("seccompProfile", profile) == {"type": "RuntimeDefault"}, name
                assert {"requests", "limits"} <= container["resources"].keys(), name


def test_every_namespace_enforces_the_restricted_standard(engine):
    for namespace in engine.of("Namespace"):
        assert namespace.inputs["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_selectors_are_unique(engine):
    """A Service would route to both of two workloads with the same labels."""
    selectors = [
        json.dumps(body["spec"]["selector"].get("matchLabels"), sort_keys=True)
        for kind, _, body in _objects(engine)
        if kind in {"Deployment", "StatefulSet"}
    ]
    assert len(set(selectors)) == len(selectors) == 7
    for service in engine.of("Service"):
        assert json.dumps(service.inputs["spec"]["selector"], sort_keys=True) in selectors, service.name


def _katib_password() -> str:
    made = keys.part_password(CANARY, KFP_NAMESPACE, "katib-mysql-secrets", "MYSQL_ROOT_PASSWORD")
    return made.get_secret_value()


def _derived() -> list[str]:
    derived = [keys.root_key(CANARY).secret_key.get_secret_value(), _katib_password()]
    for team in TEAMS:
        derived += [
            keys.tenant_key(CANARY, team.name, role).secret_key.get_secret_value() for role in keys.StoreRole
        ]
    return derived


def test_secrets_occur_only_in_the_data_of_secrets(engine):
    for made in engine.made:
        text = secrets_masked(made.inputs)
        for value in (CANARY, *_derived()):
            assert value not in text, made.name
        if not made.typ.endswith(":Secret"):
            assert "[secret]" not in text, f"{made.name} contains a secret"


def test_each_key_is_in_its_own_secret(engine):
    """The positive control of the test above: the values exist and are marked as secrets."""
    import base64

    for role in keys.StoreRole:
        body = reveal(engine.one(f"tenant-team-a-store-{role}").inputs)
        key = keys.tenant_key(CANARY, "team-a", role)
        assert base64.b64decode(body["data"]["AWS_ACCESS_KEY_ID"]).decode() == key.access_key
        assert (
            base64.b64decode(body["data"]["AWS_SECRET_ACCESS_KEY"]).decode()
            == key.secret_key.get_secret_value()
        )
        assert body["metadata"]["annotations"]["serving.kserve.io/s3-endpoint"] == (
            "minio.slipway-store.svc.cluster.local:9000"
        ), "KServe puts the scheme before it"


def test_a_part_gets_the_secret_that_it_names(engine):
    import base64

    body = reveal(engine.one("katib-v1-secret-kubeflow-katib-mysql-secrets").inputs)
    assert base64.b64decode(body["data"]["MYSQL_ROOT_PASSWORD"]).decode() == _katib_password()
    assert len(_katib_password()) == 40


def test_no_tenant_has_the_key_of_another(engine):
    for made in engine.of("Secret"):
        namespace = made.inputs["metadata"]["namespace"]
        body = json.dumps(reveal(made.inputs))
        for team in TEAMS:
            if namespace in {other.name for other in TEAMS} - {team.name}:
                import base64

                access = keys.tenant_key(CANARY, team.name, keys.StoreRole.RUNNER).access_key
                assert base64.b64encode(access.encode()).decode() not in body


def test_the_pipelines_api_may_read_only_two_objects(engine):
    role = engine.one("tenant-team-a-role-slipway-pipelines-api").inputs
    assert [(rule["resources"], rule["resourceNames"], rule["verbs"]) for rule in role["rules"]] == [
        (["configmaps"], [LAUNCHER_CONFIG], ["get"]),
        (["secrets"], [RUNNER_SECRET], ["get"]),
    ]
    [subject] = engine.one("tenant-team-a-binding-slipway-pipelines-api").inputs["subjects"]
    assert subject == {"kind": "ServiceAccount", "name": "ml-pipeline", "namespace": KFP_NAMESPACE}
    bound = [
        made.name
        for made in (*engine.of("RoleBinding"), *engine.of("ClusterRoleBinding"))
        if any(s["name"] == "ml-pipeline" for s in made.inputs.get("subjects", []))
    ]
    assert sorted(bound) == [f"tenant-{team.name}-binding-slipway-pipelines-api" for team in TEAMS]


def test_members_get_their_declared_roles(engine):
    def subjects(role: str) -> list[tuple[str, str]]:
        bound = engine.one(f"tenant-team-a-binding-slipway-{role}").inputs.get("subjects", [])
        return [(subject["kind"], subject["name"]) for subject in bound]

    assert subjects("admin") == [("User", "ada@example.org")]
    assert subjects("promoter") == [("Group", "ml")]
    assert subjects("viewer") == [("User", "vera@example.org"), ("ServiceAccount", "default-viewer")]
    assert subjects("editor") == [("ServiceAccount", EDITOR)]


def test_outputs_validate_against_the_contract(built):
    _, outputs = built
    again = PlatformOutputs.model_validate_json(outputs.model_dump_json())
    assert again == outputs
    assert outputs.tenants["team-a"].pipeline_root == "s3://slipway-artifacts/team-a/runs"
    assert outputs.store.internal_endpoint == "https://minio.slipway-store.svc.cluster.local:9000"
    assert set(outputs.tenants) == {"team-a", "team-ab"}


def test_logical_names_are_unique_and_plain(engine):
    names = [made.name for made in engine.made]
    assert len(set(names)) == len(names)
    assert not [name for name in names if any(char.isspace() or char in "{}[]" for char in name)]


def registered(engine: Engine) -> list[list[str]]:
    """Return kind, name and inputs of everything, sorted: the SDK registers in parallel."""
    return sorted([made.typ, made.name, json.dumps(made.inputs, sort_keys=True)] for made in engine.made)


_PROGRAM = """
import json, pathlib, sys, pytest
sys.path.insert(0, str(pathlib.Path(sys.argv[1]).parent))
import test_infra_program as tests
with pytest.MonkeyPatch.context() as patch:
    engine, _ = tests.deploy(patch, tests.LocalSettings(environment="local"), tests.TEAMS)
print(json.dumps(tests.registered(engine)))
"""


def test_another_process_registers_exactly_the_same(engine):
    """The order of a set of text depends on the process; what depends on it would differ in every plan."""
    seed = str(1 + int(os.environ.get("PYTHONHASHSEED", "0").replace("random", "0")))
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, __file__],
        env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": f"{ROOT / 'tests'}:{ROOT}"},
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert json.loads(done.stdout) == registered(engine)


def test_a_changed_input_gives_the_job_another_name(monkeypatch, engine):
    rotated = (TEAMS[0].model_copy(update={"key_generation": 2}), TEAMS[1])
    other, _ = deploy(monkeypatch, LocalSettings(environment="local"), rotated)
    before, after = (each.one("store-reconcile").inputs["metadata"]["name"] for each in (engine, other))
    assert before != after, "a Job is immutable, so it must be replaced"
    assert "ttlSecondsAfterFinished" not in engine.one("store-reconcile").inputs["spec"], (
        "a Job that Kubernetes removes is drift"
    )


def test_objects_of_an_earlier_stack_keep_their_identity(engine):
    """Under another name it would be made before the earlier one is deleted, and be refused."""
    assert set(EARLIER) <= {made.name for made in engine.made}
    assert len(set(EARLIER.values())) == len(EARLIER) == 13


def test_without_katib_there_is_nothing_of_it(monkeypatch):
    settings = LocalSettings.model_validate({"environment": "local", "katib": {"enabled": False}})
    engine, _ = deploy(monkeypatch, settings, ())
    assert not [made.name for made in engine.made if "katib" in json.dumps(made.inputs)]
    assert engine.one("upstream-v1-namespace-kubeflow")


def test_certificates_are_issued_before_the_controller_starts(engine):
    assert engine.one("upstream-ready-2").inputs["samples"] == []
    waited = {each["kind"] for each in engine.one("upstream-ready-2").inputs["objects"]}
    assert waited == {"Job", "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"}
    assert [each["kind"] for each in engine.one("upstream-ready-5").inputs["objects"]] == ["Deployment"]
    assert len(engine.one("upstream-ready-5").inputs["samples"]) == 1
    assert not [made.name for made in engine.made if "cert-manager" in json.dumps(made.inputs)]


def test_webhooks_fail_closed_and_have_no_ca_bundle(engine):
    configurations = [
        *engine.of("MutatingWebhookConfiguration"),
        *engine.of("ValidatingWebhookConfiguration"),
    ]
    hooks = [hook for made in configurations for hook in made.inputs["webhooks"]]
    assert len(hooks) == 9
    for hook in hooks:
        assert hook["failurePolicy"] == "Fail"
        assert "caBundle" not in hook["clientConfig"], "the certificates Job owns it"
        assert hook["clientConfig"]["service"]["namespace"] in {KSERVE_NAMESPACE, KFP_NAMESPACE}
    [pods] = [hook for hook in hooks if hook["rules"][0]["resources"] == ["pods"]]
    assert pods["objectSelector"]["matchExpressions"][0]["key"] == "serving.kserve.io/inferenceservice", (
        "else no pod of the cluster starts while KServe is down"
    )
