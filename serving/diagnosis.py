"""The state of a rollout, and why it makes no progress, from Kubernetes objects. Pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from serving.inference import FIELD_MANAGER

Object = Mapping[str, Any]
Log = tuple[str, str]
"""A pod and one of its containers."""

SOURCE: Final = "internal.serving.kserve.io/storage-initializer-sourceuri"
MAX_RESTARTS: Final = 2
"""A model that can't be loaded fails each time; two restarts rule out a transient error."""
SHOWN: Final = 300
_HOPELESS: Final = frozenset({"ErrImageNeverPull", "InvalidImageName", "CreateContainerConfigError"})
_REFUSED: Final = re.compile(
    r"AccessDenied|NoSuchKey|NoSuchBucket|InvalidAccessKeyId|SignatureDoesNotMatch|\(40[34]\)|No model found"
)
"""Errors of a store that a retry does not change."""
_TRANSIENT: Final = ("failed calling webhook", "timed out")
"""Transient reasons why a pod can't be created."""
_TELLING: Final = re.compile(r"(Error|Exception|Denied|denied|NoSuch\w+)\b")
_BEGINNING: Final = datetime.min.replace(tzinfo=UTC)
_PREFIX: Final = re.compile(r"^(\(combined from similar events\): )?(Error creating: )?")
_POD_NAME: Final = re.compile(r'"[^"\s]+-predictor-[^"\s]+"')


@dataclass(frozen=True)
class Cause:
    """A cause of failure, and the object that reports it."""

    by: str
    message: str

    def __str__(self) -> str:
        return f"{self.by}: {self.message}"


@dataclass(frozen=True)
class RolloutState:
    """Whether the new version is served, and if not, its state."""

    serving: bool
    hopeless: bool
    summary: str
    blocked: str = ""
    """Why the new pod can't be created; the rollout has failed if this persists."""


def examine(
    isvc: Object, deployment: Object | None, pods: Sequence[Object], storage_uri: str
) -> RolloutState:
    """Return the state of a rollout from its InferenceService, Deployment and pods."""
    live = [pod for pod in pods if not is_going(pod)]
    new = [pod for pod in live if source_of(pod) == storage_uri]
    ready = [pod for pod in live if is_ready(pod)]
    current = bool(ready) and all(pod in new for pod in ready)
    serving = current and _condition(isvc, "Ready") == "True" and is_rolled_out(deployment)
    hopeless = any(is_hopeless(pod) for pod in new)
    # A pod that is being deleted may still use the quota.
    blocked = "" if new or len(live) < len(pods) else _blocked(deployment, storage_uri)
    if blocked:
        summary = f"the new pod can't be created: {blocked}"
    elif not new:
        summary = "waiting for the new pod"
    elif not current:
        summary = f"new pod: {_phase(new[0])}"
    else:
        summary = "waiting for the InferenceService to be Ready"
    return RolloutState(serving, hopeless, summary, blocked)


def failed_containers(pods: Iterable[Object], storage_uri: str) -> dict[Log, bool]:
    """Return the failed containers of the new pods -> whether to read the log of their previous instance."""
    return {
        (str(pod["metadata"]["name"]), str(container["name"])): "terminated" not in container.get("state", {})
        for pod in pods
        if not is_going(pod) and source_of(pod) == storage_uri
        for container in _containers(pod)
        if _last_exit(container)
    }


def causes(
    isvc: Object,
    deployment: Object | None,
    pods: Sequence[Object],
    storage_uri: str,
    *,
    events: Iterable[Object] = (),
    logs: Mapping[Log, str] | None = None,
) -> list[str]:
    """Return why a rollout makes no progress: each cause once, the most direct one first."""
    new = [pod for pod in pods if not is_going(pod) and source_of(pod) == storage_uri]
    blocked = "" if new else _blocked(deployment, storage_uri)
    of_pods = [cause for pod in new for cause in _pod_causes(pod, logs or {})]
    warned = [
        Cause(str(event.get("reason")), _message(event))
        for event in warnings(events, isvc)
        if not (of_pods and event.get("reason") == "BackOff")
    ]
    creation = [Cause("FailedCreate", blocked)] if blocked else []
    return _distinct([*of_pods, *creation, *warned, *_false_conditions(isvc)])


def telling_line(text: str) -> str:
    """Return the last line that names an error, else the last line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    named = [line for line in lines if _TELLING.search(line)]
    return (named or lines or [""])[-1][-SHOWN:]


def source_of(pod: Object) -> str | None:
    """Return the URI that a pod's model is downloaded from."""
    annotated = pod["metadata"].get("annotations", {}).get(SOURCE)
    if annotated:
        return str(annotated)
    for container in pod["spec"].get("initContainers", []):
        if container["name"] == "storage-initializer" and container.get("args"):
            return str(container["args"][0])
    return None


def warnings(events: Iterable[Object], isvc: Object) -> list[Object]:
    """Return the last warnings about the predictor since it was applied: quota, admission, scheduling."""
    name, applied = str(isvc["metadata"]["name"]), applied_at(isvc)
    dated = [
        (at, event)
        for event in events
        if event.get("type") == "Warning"
        and _is_about(str(event["involvedObject"].get("name", "")), name)
        and (at := _time(event.get("lastTimestamp") or event.get("eventTime"))) >= applied
    ]
    return [event for _, event in sorted(dated, key=lambda pair: pair[0])[-3:]]


def applied_at(isvc: Object) -> datetime:
    """Return when promotion last changed an InferenceService; the minimum datetime if it never did."""
    changes = isvc["metadata"].get("managedFields", [])
    times = [_time(change.get("time")) for change in changes if change.get("manager") == FIELD_MANAGER]
    return max(times, default=_BEGINNING)


def _time(text: object) -> datetime:
    return datetime.fromisoformat(str(text)) if text else _BEGINNING


def _is_about(involved: str, name: str) -> bool:
    return involved == name or involved.startswith(f"{name}-predictor")


def is_rolled_out(deployment: Object | None) -> bool:
    """Whether every pod has the latest template; True if KServe has not created the Deployment yet."""
    if deployment is None:
        return True
    status, replicas = deployment.get("status", {}), deployment["spec"].get("replicas", 1)
    return bool(
        _is_observed(deployment)
        and status.get("updatedReplicas", 0) == replicas
        and status.get("availableReplicas", 0) >= replicas
    )


def _is_observed(deployment: Object) -> bool:
    observed = deployment.get("status", {}).get("observedGeneration", 0)
    return bool(observed >= deployment["metadata"].get("generation", 0))


def _condition(thing: Object, kind: str) -> str:
    conditions = thing.get("status", {}).get("conditions", [])
    return next((str(each.get("status")) for each in conditions if each.get("type") == kind), "Unknown")


def _false_conditions(isvc: Object) -> list[Cause]:
    conditions = isvc.get("status", {}).get("conditions", [])
    return [
        Cause(str(condition["type"]), _message(condition))
        for condition in conditions
        if condition.get("status") == "False" and condition.get("message")
    ]


def _blocked(deployment: Object | None, storage_uri: str) -> str:
    """Return why the Deployment can't create the pod of the new version; empty if it can."""
    if deployment is None or not _is_observed(deployment):
        return ""
    for condition in deployment.get("status", {}).get("conditions", []):
        if (condition.get("type"), condition.get("status"), condition.get("reason")) == (
            "ReplicaFailure",
            "True",
            "FailedCreate",
        ):
            message = _message(condition)
            of_another = source_of(deployment["spec"]["template"]) not in {storage_uri, None}
            return "" if of_another or any(mark in message for mark in _TRANSIENT) else message
    return ""


def _message(thing: Object) -> str:
    """Return the message of a condition or an event in a form in which repetitions are equal.

    Each attempt to create a pod generates another name.
    """
    text = _PREFIX.sub("", str(thing.get("message") or ""))
    return _POD_NAME.sub('"…"', text)[:SHOWN]


def _distinct(causes: Iterable[Cause]) -> list[str]:
    """Return each cause once: conditions and events repeat one another."""
    kept: dict[str, Cause] = {}
    for cause in causes:
        kept.setdefault(cause.message, cause)
    return [str(cause) for cause in kept.values()]


def is_going(pod: Object) -> bool:
    """Whether a pod is being deleted."""
    return bool(pod["metadata"].get("deletionTimestamp"))


def is_ready(pod: Object) -> bool:
    """Whether a pod is Ready."""
    return _condition(pod, "Ready") == "True"


def _containers(pod: Object) -> list[Object]:
    status = pod.get("status", {})
    return [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]


def _phase(pod: Object) -> str:
    for container in _containers(pod):
        state = container.get("state", {})
        if "waiting" in state:
            return f"{container['name']} {state['waiting'].get('reason', 'waiting')}"
        if "running" in state and not container.get("ready", False):
            return f"{container['name']} is starting"
    return str(pod.get("status", {}).get("phase", "Pending"))


def _last_exit(container: Object) -> Object:
    """Return the last termination of the container if it failed, else an empty object."""
    for state in (container.get("state", {}), container.get("lastState", {})):
        ended: Object = state.get("terminated", {})
        if ended.get("exitCode", 0) != 0:
            return ended
    return {}


def _pod_causes(pod: Object, logs: Mapping[Log, str]) -> list[Cause]:
    causes = []
    for container in _containers(pod):
        name = container["name"]
        waiting = container.get("state", {}).get("waiting", {})
        ended = _last_exit(container)
        if ended:
            logged = logs.get((str(pod["metadata"]["name"]), name), "")
            message = telling_line(str(ended.get("message") or "")) or telling_line(logged)
            message = message or str(ended.get("reason") or "")
            causes.append(Cause(f"{name} exited with {ended['exitCode']}", message))
        elif waiting.get("message"):
            causes.append(Cause(f"{name}: {waiting.get('reason')}", _message(waiting)))
    for condition in pod.get("status", {}).get("conditions", []):
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            causes.append(Cause("not scheduled", _message(condition)))
    return causes


def is_hopeless(pod: Object) -> bool:
    """Whether a pod fails in a way that a retry does not change."""
    return any(_has_failed(container) for container in _containers(pod) if not container.get("ready", False))


def _has_failed(container: Object) -> bool:
    waiting = container.get("state", {}).get("waiting", {}).get("reason")
    restarts = container.get("restartCount", 0)
    refused = _REFUSED.search(str(_last_exit(container).get("message") or ""))
    return bool(waiting in _HOPELESS or restarts >= MAX_RESTARTS or (restarts and refused))
