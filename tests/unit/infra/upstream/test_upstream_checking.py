import pytest

from infra.upstream.checking import findings
from infra.upstream.part import MadeSecret, Own, Part, Stage, Waiver
from infra.upstream.pod_security import forbidden

SAFE = {
    "name": "m",
    "image": "a/b:1",
    "securityContext": {
        "allowPrivilegeEscalation": False,
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
        "capabilities": {"drop": ["ALL"]},
    },
}
DIGESTS = {"a/b:1": "sha256:" + "a" * 64}


def workload(kind="Deployment", container=None, **spec):
    template = {"spec": {"containers": [container or SAFE], **spec}}
    inner = {"jobTemplate": {"spec": {"template": template}}} if kind == "CronJob" else {"template": template}
    metadata = {"name": "d", "namespace": "n"}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": metadata, "spec": inner}


def with_context(**changes):
    return {**SAFE, "securityContext": {**SAFE["securityContext"], **changes}}


def part(name="p", **more):
    return Part(
        **{
            "name": name,
            "version": "1",
            "stage": Stage.CONTROLLERS,
            "steps": (Own(()),),
            "namespaces": {"n": "restricted"},
            **more,
        }
    )


def laws(*documents, of=None, digests=DIGESTS):
    own = of or part()
    return [(each.law, each.reason) for each in findings({own.name: (own, documents)}, digests)]


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob", "Pod"])
@pytest.mark.parametrize("level", ["restricted", "baseline", "privileged"])
def test_a_safe_workload_passes_every_level(kind, level):
    document = workload(kind)
    if kind == "Pod":
        document["spec"] = document["spec"]["template"]["spec"]
    assert forbidden(document, level) == []


@pytest.mark.parametrize(
    ("container", "spec", "control"),
    [
        (None, {"hostNetwork": True}, "host namespaces"),
        (None, {"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}, "hostPath volumes"),
        (None, {"securityContext": {"sysctls": [{"name": "kernel.msgmax"}]}}, "sysctls"),
        (None, {"initContainers": [with_context(privileged=True)]}, "privileged containers"),
        (with_context(privileged=True), {}, "privileged containers"),
        (with_context(capabilities={"add": ["SYS_ADMIN"], "drop": ["ALL"]}), {}, "capabilities"),
        (with_context(seccompProfile={"type": "Unconfined"}), {}, "seccomp"),
        (with_context(appArmorProfile={"type": "Unconfined"}), {}, "AppArmor"),
        (with_context(procMount="Unmasked"), {}, "/proc mount type"),
        (with_context(seLinuxOptions={"user": "u"}), {}, "SELinux"),
        (with_context(windowsOptions={"hostProcess": True}), {}, "HostProcess"),
        ({**SAFE, "ports": [{"hostPort": 80}]}, {}, "host ports"),
        ({**SAFE, "livenessProbe": {"httpGet": {"host": "1.2.3.4"}}}, {}, "host probes"),
    ],
)
def test_what_baseline_forbids(container, spec, control):
    document = workload(container=container, **spec)
    assert control in forbidden(document, "baseline")
    assert control in forbidden(document, "restricted")
    assert forbidden(document, "privileged") == []


@pytest.mark.parametrize(
    ("container", "spec", "control"),
    [
        (with_context(allowPrivilegeEscalation=None), {}, "privilege escalation"),
        (with_context(runAsNonRoot=False), {}, "running as non-root"),
        (with_context(runAsUser=0), {}, "running as root user"),
        (with_context(seccompProfile=None), {}, "seccomp"),
        (with_context(capabilities={}), {}, "dropping all capabilities"),
        (with_context(capabilities={"add": ["CHOWN"], "drop": ["ALL"]}), {}, "capabilities"),
        (None, {"volumes": [{"name": "v", "nfs": {}}]}, "volume types"),
    ],
)
def test_what_restricted_forbids(container, spec, control):
    document = workload(container=container, **spec)
    assert forbidden(document, "restricted") == [control]
    assert forbidden(document, "baseline") == []


def test_a_pods_context_counts_for_its_containers():
    container = with_context(runAsNonRoot=None, seccompProfile=None)
    context = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    assert forbidden(workload(container=container, securityContext=context), "restricted") == []


def test_nothing_is_found_in_a_good_bundle():
    assert laws(workload()) == []


def test_an_image_without_digest_is_named_once_with_its_places():
    twice = workload(initContainers=[SAFE])
    [found] = findings({"p": (part(), [twice])}, {})
    assert (found.law, found.reason) == ("image", "a/b:1 has no digest")
    assert found.place.endswith("and 1 more")
    assert laws(workload(), of=part(images=("c/d:1",))) == [("image", "c/d:1 has no digest")]


def test_a_known_credential_and_an_unknown_namespace_are_found():
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "s", "namespace": "gone"},
        "stringData": {"password": "test"},
    }
    assert {law for law, _ in laws(secret)} == {"credential", "namespace"}


def test_a_waiver_covers_what_it_names_and_no_more():
    unsafe = workload(container=with_context(runAsNonRoot=False, capabilities={}))
    waiver = Waiver("Deployment", "d", ("running as non-root",), "it must")
    own = part(namespaces={"n": "baseline"}, waivers=(waiver,))
    assert laws(unsafe, of=own) == [("pod security", "no waiver names: dropping all capabilities")]


def test_a_waiver_does_not_help_where_the_namespace_forbids():
    unsafe = workload(container=with_context(runAsNonRoot=False))
    own = part(waivers=(Waiver("Deployment", "d", ("running as non-root",), "it must"),))
    assert laws(unsafe, of=own) == [("pod security", "namespace n forbids: running as non-root")]


def test_a_waiver_that_nothing_needs_is_found():
    own = part(waivers=(Waiver("Deployment", "d", ("hostPath volumes",), "it must"),))
    assert laws(workload(), of=own) == [("waiver", "the waiver of 'hostPath volumes' is not needed")]


def test_a_secret_has_one_maker():
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "n"}}
    own = part(secrets=(MadeSecret("n", "s", ("key",)),))
    assert laws(secret, of=own) == [("secret", "`up` makes it and the bundle has it too")]
    assert laws(secret) == []


@pytest.mark.parametrize(("kind", "scope", "count"), [("Widget", "Cluster", 1), ("Widget", "Namespaced", 0)])
def test_a_definition_has_the_scope_that_its_objects_got(kind, scope, count):
    crd = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.x"},
        "spec": {"names": {"kind": kind}, "scope": scope},
    }
    assert [law for law, _ in laws(crd)] == ["scope"] * count


def test_a_part_needs_parts_that_there_are():
    assert laws(of=part(requires=("other",))) == [("requirement", "it needs other, which is no part")]
    assert findings({"p": (part(requires=("other",)), [])}, {}, every=[part("other")]) == []
