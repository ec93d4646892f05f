"""What is made of a rollout that gets on, and of one that doesn't."""

import pytest

from serving import diagnosis

DIGEST = "a" * 64
URI = f"s3://models/team-a/churn/versions/{DIGEST}/files"


def pod(name: str, uri: str | None, *, ready: bool = False, deleted: bool = False, **status: object) -> dict:
    annotations = {diagnosis.SOURCE: uri} if uri else {}
    metadata = {"name": name, "annotations": annotations} | ({"deletionTimestamp": "now"} if deleted else {})
    conditions = [{"type": "Ready", "status": str(ready)}]
    return {"metadata": metadata, "spec": {}, "status": {"conditions": conditions, **status}}


READY = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
DONE = {
    "metadata": {"generation": 2},
    "spec": {"replicas": 1},
    "status": {"observedGeneration": 2, "updatedReplicas": 1, "availableReplicas": 1},
}
OLD = URI.replace(DIGEST, "0" * 64)


@pytest.mark.parametrize(
    ("isvc", "deployment", "pods", "serving"),
    [
        (READY, DONE, [pod("new", URI, ready=True)], True),
        (READY, None, [pod("new", URI, ready=True)], True),
        (READY, DONE, [pod("new", URI, ready=True), pod("old", OLD, ready=True, deleted=True)], True),
        (READY, DONE, [pod("new", URI, ready=True), pod("old", OLD, ready=True)], False),
        (READY, DONE, [pod("old", OLD, ready=True)], False),
        (READY, DONE, [pod("new", URI), pod("old", OLD, ready=True)], False),
        (READY, DONE, [], False),
        ({}, DONE, [pod("new", URI, ready=True)], False),
        (READY, DONE | {"metadata": {"generation": 3}}, [pod("new", URI, ready=True)], False),
    ],
)
def test_ready_alone_does_not_mean_that_the_new_version_serves(isvc, deployment, pods, serving):
    assert diagnosis.examine(isvc, deployment, pods, URI).serving is serving


def test_the_source_is_also_read_from_the_storage_initializer():
    by_container = pod("new", None)
    by_container["spec"] = {"initContainers": [{"name": "storage-initializer", "args": [URI, "/mnt/models"]}]}
    assert diagnosis.source_of(by_container) == URI
    assert diagnosis.source_of(pod("x", None)) is None


def container(name: str = "kserve-container", *, restarts: int = 2, last: str = "", **state: object) -> dict:
    """A container that failed, and waits to be started again."""
    return {
        "name": name,
        "ready": False,
        "restartCount": restarts,
        "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 20s"}} | state,
        "lastState": {"terminated": {"exitCode": 1, "reason": "Error", "message": last}},
    }


def examined(*pods: dict, deployment: dict | None = None) -> diagnosis.RolloutState:
    return diagnosis.examine({}, deployment, pods, URI)


def causes(
    *pods: dict, deployment: dict | None = None, isvc: dict | None = None, **known: object
) -> list[str]:
    there = {"metadata": {"name": "churn"}} | (isvc or {})
    return diagnosis.causes(there, deployment, pods, URI, **known)


def test_a_crashing_model_fails_with_its_own_words():
    crashing = pod("new", URI, containerStatuses=[container(last="ModuleNotFoundError: x")])
    assert examined(crashing).hopeless
    assert causes(crashing) == ["kserve-container exited with 1: ModuleNotFoundError: x"]
    bad_luck = pod("new", URI, containerStatuses=[container(restarts=1, last="ModuleNotFoundError: x")])
    assert not examined(bad_luck).hopeless


@pytest.mark.parametrize(
    ("reason", "restarts", "hopeless"),
    [
        ("An error occurred (AccessDenied) when calling the GetObject operation", 1, True),
        ("An error occurred (403) when calling the HeadBucket operation: Forbidden", 1, True),
        ("An error occurred (NoSuchKey) when calling the GetObject operation", 1, True),
        ("An error occurred (AccessDenied) when calling the GetObject operation", 0, False),
        ('File "s3.py", line 403, in connect: EndpointConnectionError', 1, False),
        ("EndpointConnectionError: Could not connect", 2, True),
    ],
)
def test_how_often_a_store_is_asked_again(reason, restarts, hopeless):
    waiting = pod(
        "new", URI, initContainerStatuses=[container("storage-initializer", restarts=restarts, last=reason)]
    )
    assert examined(waiting).hopeless is hopeless
    assert causes(waiting) == [f"storage-initializer exited with 1: {reason}"]


def test_the_log_speaks_for_a_container_that_left_no_message():
    silent = pod("new", URI, containerStatuses=[container()])
    assert diagnosis.failed_containers([silent], URI) == {("new", "kserve-container"): True}
    ended = container(terminated={"exitCode": 1})
    gone = pod("old", OLD, containerStatuses=[container()])
    assert diagnosis.failed_containers([pod("new", URI, containerStatuses=[ended]), gone], URI) == {
        ("new", "kserve-container"): False
    }
    log = {("new", "kserve-container"): "starting\nValueError: no model\n  bye\n\n"}
    assert causes(silent, logs=log) == ["kserve-container exited with 1: ValueError: no model"]
    assert causes(silent) == ["kserve-container exited with 1: Error"]


def test_of_a_log_without_an_error_the_last_line_is_told():
    assert diagnosis.telling_line("one\n two \n\n") == "two"
    assert diagnosis.telling_line("") == ""
    assert len(diagnosis.telling_line("x" * 1000)) == diagnosis.SHOWN


QUOTA = 'pods "churn-predictor-5d8f-{}" is forbidden: exceeded quota: tenant, requested: pods=1'


def failing(message: str, *, uri: str = URI, generation: int = 2, reason: str = "FailedCreate") -> dict:
    condition = {"type": "ReplicaFailure", "status": "True", "reason": reason, "message": message}
    template = {"metadata": {"annotations": {diagnosis.SOURCE: uri}}, "spec": {}}
    return {
        "metadata": {"generation": 2},
        "spec": {"replicas": 1, "template": template},
        "status": {"observedGeneration": generation, "conditions": [condition]},
    }


def test_the_cause_of_a_refused_pod_is_told_once():
    deployment = failing(QUOTA.format("abcde"))
    state = examined(pod("old", OLD, ready=True), deployment=deployment)
    assert state.blocked == 'pods "…" is forbidden: exceeded quota: tenant, requested: pods=1'
    assert state.blocked in state.summary
    assert not state.hopeless
    assert examined(deployment=failing(QUOTA.format("fghij"))).summary == state.summary
    repeated = [
        {"type": kind, "status": "False", "message": QUOTA.format("abcde")}
        for kind in ("Ready", "PredictorReady")
    ]
    events = [
        event("FailedCreate", "Error creating: " + QUOTA.format(suffix)) for suffix in ("abcde", "fghij")
    ]
    combined = "(combined from similar events): Error creating: " + QUOTA.format("klmno")
    events.append(event("FailedCreate", combined))
    isvc = {"status": {"conditions": repeated}}
    assert causes(deployment=deployment, isvc=isvc, events=events) == [f"FailedCreate: {state.blocked}"]


@pytest.mark.parametrize(
    ("deployment", "pods"),
    [
        (failing(QUOTA, uri=OLD), []),
        (failing(QUOTA, generation=1), []),
        (failing(QUOTA, reason="FailedDelete"), []),
        (failing('Internal error occurred: failed calling webhook "x": connection refused'), []),
        (failing(QUOTA), [pod("new", URI)]),
        (failing(QUOTA), [pod("old", OLD, deleted=True)]),
    ],
    ids=[
        "older version",
        "not yet seen",
        "another failure",
        "passing",
        "created since",
        "quota about to be free",
    ],
)
def test_a_failure_that_may_pass_does_not_block(deployment, pods):
    assert examined(*pods, deployment=deployment).blocked == ""


def event(
    reason: str,
    message: str,
    *,
    about: str = "churn-predictor-5d",
    at: str = "10:00:00",
    kind: str = "Warning",
) -> dict:
    return {
        "type": kind,
        "reason": reason,
        "message": message,
        "involvedObject": {"name": about},
        "lastTimestamp": f"2026-01-02T{at}+00:00",
    }


def test_warnings_are_those_since_the_apply():
    events = [
        event("FailedCreate", "exceeded quota"),
        event("FailedCreate", "of an earlier promotion", at="09:59:59"),
        event("Unhealthy", "not ours", about="other-predictor-1"),
        event("Pulled", "fine", kind="Normal"),
    ]
    applied = {"manager": "slipway-promotion", "time": "2026-01-02T10:00:00Z"}
    metadata = {"name": "churn", "managedFields": [applied, {"manager": "x", "time": "2026-01-02T11:00:00Z"}]}
    assert causes(isvc={"metadata": metadata}, events=events) == ["FailedCreate: exceeded quota"]


def test_back_off_adds_nothing_to_what_the_container_said():
    events = [event("BackOff", "Back-off restarting failed container")]
    crashing = pod("new", URI, containerStatuses=[container(last="ValueError: x")])
    assert causes(crashing, events=events) == ["kserve-container exited with 1: ValueError: x"]
    assert causes(events=events) == ["BackOff: Back-off restarting failed container"]
