"""When an object of a cluster is ready, and why it isn't."""

from typing import Any

import pytest

from infra.upstream.install.readiness import fault, is_unpulled, judged, pod_fault


def _object(kind: str, status: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"kind": kind, "metadata": {"name": "a", "generation": 2}, "status": status, **more}


def _conditions(**conditions: str) -> dict[str, Any]:
    return {"conditions": [{"type": kind, "status": status} for kind, status in conditions.items()]}


READY = [
    _object("Deployment", {"updatedReplicas": 1, "availableReplicas": 1, "replicas": 1}),
    _object("Deployment", {}, spec={"replicas": 0}),
    _object("StatefulSet", {"readyReplicas": 1, "updateRevision": "a", "currentRevision": "a"}),
    _object("DaemonSet", {"desiredNumberScheduled": 2, "numberReady": 2, "updatedNumberScheduled": 2}),
    _object("CustomResourceDefinition", _conditions(NamesAccepted="True", Established="True")),
    _object("APIService", _conditions(Available="True")),
    _object("Certificate", _conditions(Ready="True")),
    _object("Job", _conditions(Complete="True")),
    _object("PersistentVolumeClaim", {"phase": "Bound"}),
    _object("ValidatingWebhookConfiguration", {}, webhooks=[{"name": "w", "clientConfig": {"url": "u"}}]),
    _object("ConfigMap", {}),
]
NOT_READY = [
    (
        _object("Deployment", {"updatedReplicas": 1, "availableReplicas": 0, "replicas": 1}),
        "0 of 1 updated pods are available",
    ),
    (
        _object("Deployment", {"updatedReplicas": 1, "availableReplicas": 1, "replicas": 2}),
        "1 of 1 updated pods are available",
    ),
    (
        _object("Deployment", {"observedGeneration": 1, "availableReplicas": 1, "updatedReplicas": 1}),
        "its controller has not seen the last change yet",
    ),
    (
        _object("StatefulSet", {"readyReplicas": 1, "updateRevision": "b", "currentRevision": "a"}),
        "1 of 1 pods are ready and updated",
    ),
    (_object("DaemonSet", {}), "0 of unknown pods are ready"),
    (_object("CustomResourceDefinition", {}), "condition Established is not reported yet"),
    (
        _object(
            "Certificate", {"conditions": [{"type": "Ready", "status": "False", "message": "no issuer"}]}
        ),
        "condition Ready is False: no issuer",
    ),
    (_object("PersistentVolumeClaim", {"phase": "Pending"}), "its phase is Pending"),
    (
        _object(
            "MutatingWebhookConfiguration", {}, webhooks=[{"name": "w", "clientConfig": {"service": {}}}]
        ),
        "webhook w has no CA certificate yet",
    ),
]


@pytest.mark.parametrize("document", READY, ids=lambda each: each["kind"])
def test_ready_objects_have_no_fault(document: dict[str, Any]) -> None:
    assert fault(document) == ""


@pytest.mark.parametrize(("document", "reason"), NOT_READY, ids=lambda each: str(each)[:30])
def test_what_is_not_ready_says_why(document: dict[str, Any], reason: str) -> None:
    assert fault(document) == reason
    assert judged(document["kind"])


def test_an_image_that_cannot_be_pulled_is_recognised() -> None:
    assert is_unpulled("Deployment a/b: 0 of 1 updated pods are available (pod p: c ErrImagePull: no login)")
    assert not is_unpulled("Deployment a/b: 0 of 1 updated pods are available (pod p: c CrashLoopBackOff)")


def test_pods_name_the_container_and_its_reason() -> None:
    def pod(**status: Any) -> dict[str, Any]:
        return {"metadata": {"name": "p"}, "status": status}

    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}
    starting = {"waiting": {"reason": "ContainerCreating"}}
    unschedulable = {"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available"}
    assert pod_fault([pod(containerStatuses=[{"name": "c", "state": waiting}])]) == (
        "pod p: c ImagePullBackOff: no such image"
    )
    assert pod_fault(
        [pod(initContainerStatuses=[{"name": "i", "state": {"terminated": {"exitCode": 3}}}])]
    ) == ("pod p: i ended with exit code 3")
    assert pod_fault([pod(conditions=[unschedulable])]) == "pod p: 0/1 nodes are available"
    assert pod_fault([pod(containerStatuses=[{"name": "c", "state": starting}]), pod()]) == ""
