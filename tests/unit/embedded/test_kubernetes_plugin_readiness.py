"""When objects are ready, by table; and what is said of pods that are not."""

from typing import Any

import pytest

from embedded.plugins.kubernetes.client import Target
from embedded.plugins.kubernetes.readiness import diagnosis, others, table
from embedded.plugins.kubernetes.readiness.verdict import Failed, Ready, Waiting, selector_text
from embedded.plugins.kubernetes.tokens import Kind

SLICE = Kind("discovery.k8s.io/v1", "EndpointSlice")


def _judge(api_version: str, kind: str, live: dict[str, Any], related: Any = None) -> Any:
    rule = table.rule_for(Kind(api_version, kind), {})
    assert rule is not None
    return rule.judge({"metadata": {"generation": 1, "namespace": "n", "name": "x"}, **live}, related or {})


def _conditions(**states: str) -> list[dict[str, str]]:
    return [{"type": name, "status": state, "reason": "Because"} for name, state in states.items()]


SEEN = {"observedGeneration": 1}
FULL = {"replicas": 2, "updatedReplicas": 2, "availableReplicas": 2, "readyReplicas": 2, **SEEN}


@pytest.mark.parametrize(
    ("api_version", "kind", "live", "expected"),
    [
        ("apps/v1", "Deployment", {"spec": {"replicas": 2}}, Waiting),
        ("apps/v1", "Deployment", {"spec": {"replicas": 2}, "status": FULL}, Ready),
        ("apps/v1", "Deployment", {"spec": {"replicas": 0}, "status": SEEN}, Ready),
        ("apps/v1", "Deployment", {"spec": {"replicas": 2}, "status": {**FULL, "replicas": 3}}, Waiting),
        ("apps/v1", "Deployment", {"spec": {"replicas": 2}, "status": {**FULL, "availableReplicas": 1}},
         Waiting),
        ("apps/v1", "Deployment", {"spec": {}, "status": {**SEEN,
         "conditions": _conditions(Progressing="False")}},
         Failed),
        ("apps/v1", "StatefulSet", {"spec": {"replicas": 2}, "status": FULL}, Ready),
        ("apps/v1", "StatefulSet", {"spec": {"replicas": 2}, "status": {**FULL, "updatedReplicas": 1}},
         Waiting),
        ("apps/v1", "StatefulSet",
         {"spec": {"replicas": 2, "updateStrategy": {"rollingUpdate": {"partition": 1}}},
          "status": {**FULL, "updatedReplicas": 1}}, Ready),
        ("apps/v1", "DaemonSet", {"spec": {}, "status": {**SEEN, "desiredNumberScheduled": 1}}, Waiting),
        ("apps/v1", "DaemonSet", {"spec": {}, "status": SEEN}, Ready),
        ("batch/v1", "Job", {"spec": {}}, Waiting),
        ("batch/v1", "Job", {"spec": {"suspend": True}}, Ready),
        ("batch/v1", "Job", {"spec": {}, "status": {"conditions": _conditions(Complete="True")}}, Ready),
        ("batch/v1", "Job", {"spec": {}, "status": {"conditions": _conditions(Failed="True")}}, Failed),
        ("v1", "Pod", {"status": {"phase": "Running", "conditions": _conditions(Ready="True")}}, Ready),
        ("v1", "Pod", {"status": {"phase": "Running", "conditions": _conditions(Ready="False")}}, Waiting),
        ("v1", "Pod", {"status": {"phase": "Succeeded"}}, Ready),
        ("v1", "Pod", {"status": {"phase": "Failed"}}, Failed),
        ("v1", "Namespace", {"status": {"phase": "Active"}}, Ready),
        ("v1", "Namespace", {}, Waiting),
        ("v1", "PersistentVolumeClaim", {"spec": {}, "status": {"phase": "Bound"}}, Ready),
        ("v1", "PersistentVolumeClaim", {"spec": {}, "status": {"phase": "Pending"}}, Waiting),
        ("v1", "PersistentVolumeClaim", {"spec": {}, "status": {"phase": "Lost"}}, Failed),
        ("v1", "PersistentVolume", {"status": {"phase": "Available"}}, Ready),
        ("v1", "Service", {"spec": {"selector": {"a": "b"}}}, Waiting),
        ("v1", "Service", {"spec": {"selector": {"a": "b"}, "clusterIP": "None"}}, Ready),
        ("v1", "Service", {"spec": {}}, Ready),
        ("v1", "Service", {"spec": {"type": "ExternalName"}}, Ready),
        ("apiextensions.k8s.io/v1", "CustomResourceDefinition",
         {"status": {"conditions": _conditions(NamesAccepted="True", Established="True")}}, Ready),
        ("apiextensions.k8s.io/v1", "CustomResourceDefinition",
         {"status": {"conditions": _conditions(NamesAccepted="False")}}, Failed),
        ("apiextensions.k8s.io/v1", "CustomResourceDefinition", {}, Waiting),
        ("serving.kserve.io/v1beta1", "InferenceService",
         {"status": {"conditions": _conditions(Ready="True")}}, Ready),
        ("serving.kserve.io/v1beta1", "InferenceService",
         {"status": {"observedGeneration": 0, "conditions": _conditions(Ready="True")}}, Waiting),
    ],
)  # fmt: skip
def test_verdicts(api_version: str, kind: str, live: dict[str, Any], expected: type) -> None:
    assert isinstance(_judge(api_version, kind, live), expected)


@pytest.mark.parametrize(
    ("endpoints", "expected"),
    [
        ([], Waiting),
        ([{"conditions": {"ready": False}}], Waiting),
        ([{"conditions": {"ready": True}}], Ready),
        ([{}], Ready),
    ],
)
def test_a_service_waits_for_pods_behind_it(endpoints: list[dict[str, Any]], expected: type) -> None:
    live = {"metadata": {"namespace": "n", "name": "x"}, "spec": {"selector": {"a": "b"}}}
    [target] = others.service_relatives(live)
    assert isinstance(others.service(live, {target: [{"endpoints": endpoints}]}), expected)


def test_a_claim_that_waits_for_a_pod_is_ready() -> None:
    live = {"metadata": {}, "spec": {"storageClassName": "standard"}, "status": {"phase": "Pending"}}
    [target] = others.claim_relatives(live)
    assert isinstance(others.claim(live, {target: [{"volumeBindingMode": "WaitForFirstConsumer"}]}), Ready)
    assert isinstance(others.claim(live, {target: [{"volumeBindingMode": "Immediate"}]}), Waiting)


@pytest.mark.parametrize(
    ("policy", "exists", "ready", "expected"),
    [
        ("Fail", True, False, Waiting),
        ("Fail", True, True, Ready),
        ("Fail", False, False, Ready),
        ("Ignore", True, False, Ready),
    ],
)
def test_a_webhook_waits_for_the_service_that_must_answer(
    policy: str, exists: bool, ready: bool, expected: type
) -> None:
    service = {"namespace": "n", "name": "hooks"}
    live = {"metadata": {}, "webhooks": [{"failurePolicy": policy, "clientConfig": {"service": service}}]}
    related = {
        Target(Kind("v1", "Service"), "n", "hooks"): [{}] if exists else [],
        Target(SLICE, "n", labels="kubernetes.io/service-name=hooks"): [{"endpoints": [{}] if ready else []}],
    }
    assert isinstance(others.webhook_configuration(live, related), expected)


def test_waiting_can_be_skipped() -> None:
    skipped = {"metadata": {"annotations": {table.SKIP_AWAIT: "true"}}}
    assert table.rule_for(Kind("apps/v1", "Deployment"), skipped) is None
    assert table.rule_for(Kind("v1", "ConfigMap"), {}) is None


def test_only_a_job_that_gave_up_is_spent() -> None:
    failed = {"status": {"conditions": _conditions(Failed="True")}}
    assert table.is_spent(Kind("batch/v1", "Job"), failed)
    assert not table.is_spent(Kind("batch/v1", "Job"), {})
    assert not table.is_spent(Kind("v1", "Pod"), failed)


def test_selectors_are_written_as_the_api_takes_them() -> None:
    selector = {
        "matchLabels": {"a": "b"},
        "matchExpressions": [
            {"key": "c", "operator": "In", "values": ["1", "2"]},
            {"key": "d", "operator": "DoesNotExist"},
        ],
    }
    assert selector_text(selector) == "a=b,c in (1,2),!d"
    assert selector_text(None) == ""


def test_pods_in_trouble_are_described() -> None:
    def container(**state: Any) -> dict[str, Any]:
        return {"name": "main", "ready": False, "state": state}

    pods = [
        {"metadata": {"name": "p1"}, "status": {"containerStatuses": [
            container(waiting={"reason": "ImagePullBackOff", "message": "no such image"})]}},
        {"metadata": {"name": "p2"}, "status": {"containerStatuses": [
            {**container(waiting={"reason": "CrashLoopBackOff"}),
             "lastState": {"terminated": {"exitCode": 2}}}]}},
        {"metadata": {"name": "p3"}, "status": {"conditions": [
            {"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available"}]}},
        {"metadata": {"name": "p4"}, "status": {"containerStatuses": [
            container(waiting={"reason": "ContainerCreating"})]}},
    ]  # fmt: skip
    assert diagnosis.pods(pods) == [
        "pod p1: container main: ImagePullBackOff: no such image",
        "pod p2: container main: CrashLoopBackOff (exit code 2)",
        "pod p3: not scheduled: 0/1 nodes are available",
    ]


def test_the_last_warnings_are_told_once() -> None:
    events = [
        {"type": "Warning", "reason": "Failed", "message": "pull", "lastTimestamp": "2"},
        {"type": "Warning", "reason": "Failed", "message": "pull", "lastTimestamp": "3"},
        {"type": "Normal", "reason": "Pulled", "message": "fine"},
    ]
    assert diagnosis.events(events) == ["event Failed: pull"]
