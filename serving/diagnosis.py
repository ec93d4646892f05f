"""What state a rollout is in, and why it doesn't get on: facts from Kubernetes objects. Pure."""

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
"""A model that can't be loaded fails the same way each time; two restarts tell it from bad luck."""
SHOWN: Final = 300
_HOPELESS: Final = frozenset({"ErrImageNeverPull", "InvalidImageName", "CreateContainerConfigError"})
_REFUSED: Final = re.compile(
    r"AccessDenied|NoSuchKey|NoSuchBucket|InvalidAccessKeyId|SignatureDoesNotMatch|\(40[34]\)|No model found"
)
"""Answers of a store that stay the same, however often it is asked."""
_PASSING: Final = ("failed calling webhook", "timed out")
"""Pods that can't be made for these reasons can be made a moment later."""
_TELLING: Final = re.compile(r"(Error|Exception|Denied|denied|NoSuch\w+)\b")
_BEGINNING: Final = datetime.min.replace(tzinfo=UTC)
_PREFIX: Final = re.compile(r"^(\(combined from similar events\): )?(Error creating: )?")
_POD_NAME: Final = re.compile(r'"[^"\s]+-predictor-[^"\s]+"')


@dataclass(frozen=True)
class Cause:
    """What somebody says is wrong."""

    by: str
    said: str

    def __str__(self) -> str:
        return f"{self.by}: {self.said}"


@dataclass(frozen=True)
class RolloutState:
    """Whether the new version serves, and if not, how it looks."""

    serving: bool
    hopeless: bool
    summary: str
    blocked: str = ""
    """Why the new pod can't be created; hopeless if that lasts."""


def examine(
    isvc: Object, deployment: Object | None, pods: Sequence[Object], storage_uri: str
) -> RolloutState:
    """Judge a rollout by its InferenceService, Deployment and pods."""
    live = [pod for pod in pods if not is_going(pod)]
    new = [pod for pod in live if source_of(pod) == storage_uri]
    ready = [pod for pod in live if is_ready(pod)]
    current = bool(ready) and all(pod in new for pod in ready)
    serving = current and _condition(isvc, "Ready") == "True" and is_rolled_out(deployment)
    hopeless = any(is_hopeless(pod) for pod in new)
    # A pod that is going may be what holds the quota.
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
    """The containers of the new pods that failed -> whether their last words are in the log before."""
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
    """Why a rollout doesn't get on, the nearest cause first, and each of them once."""
    new = [pod for pod in pods if not is_going(pod) and source_of(pod) == storage_uri]
    blocked = "" if new else _blocked(deployment, storage_uri)
    of_pods = [cause for pod in new for cause in _pod_causes(pod, logs or {})]
    warned = [
        Cause(str(event.get("reason")), _said(event))
        for event in warnings(events, isvc)
        if not (of_pods and event.get("reason") == "BackOff")
    ]
    found = [*of_pods, *([Cause("FailedCreate", blocked)] if blocked else []), *warned]
    return _distinct([*found, *_false_conditions(isvc)])


def telling_line(text: str) -> str:
    """The last line that names an error, else the last one."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    named = [line for line in lines if _TELLING.search(line)]
    return (named or lines or [""])[-1][-SHOWN:]


def source_of(pod: Object) -> str | None:
    """The URI that a pod's model is downloaded from."""
    annotated = pod["metadata"].get("annotations", {}).get(SOURCE)
    if annotated:
        return str(annotated)
    for container in pod["spec"].get("initContainers", []):
        if container["name"] == "storage-initializer" and container.get("args"):
            return str(container["args"][0])
    return None


def warnings(events: Iterable[Object], isvc: Object) -> list[Object]:
    """The last warnings about the predictor since it was applied: quota, admission, scheduling."""
    name, applied = str(isvc["metadata"]["name"]), applied_at(isvc)
    found = [
        (at, event)
        for event in events
        if event.get("type") == "Warning"
        and _is_about(str(event["involvedObject"].get("name", "")), name)
        and (at := _time(event.get("lastTimestamp") or event.get("eventTime"))) >= applied
    ]
    return [event for _, event in sorted(found, key=lambda pair: pair[0])[-3:]]


def applied_at(isvc: Object) -> datetime:
    """When promotion last changed an InferenceService; the beginning of time if it never did."""
    changes = isvc["metadata"].get("managedFields", [])
    times = [_time(found.get("time")) for found in changes if found.get("manager") == FIELD_MANAGER]
    return max(times, default=_BEGINNING)


def _time(text: object) -> datetime:
    return datetime.fromisoformat(str(text)) if text else _BEGINNING


def _is_about(involved: str, name: str) -> bool:
    return involved == name or involved.startswith(f"{name}-predictor")


def is_rolled_out(deployment: Object | None) -> bool:
    """Whether every pod is of the last template. Where KServe has made no Deployment yet the pods decide."""
    if deployment is None:
        return True
    status, wanted = deployment.get("status", {}), deployment["spec"].get("replicas", 1)
    return bool(
        _is_observed(deployment)
        and status.get("updatedReplicas", 0) == wanted
        and status.get("availableReplicas", 0) >= wanted
    )


def _is_observed(deployment: Object) -> bool:
    seen = deployment.get("status", {}).get("observedGeneration", 0)
    return bool(seen >= deployment["metadata"].get("generation", 0))


def _condition(thing: Object, kind: str) -> str:
    conditions = thing.get("status", {}).get("conditions", [])
    return next((str(found.get("status")) for found in conditions if found.get("type") == kind), "Unknown")


def _false_conditions(isvc: Object) -> list[Cause]:
    conditions = isvc.get("status", {}).get("conditions", [])
    return [
        Cause(str(found["type"]), _said(found))
        for found in conditions
        if found.get("status") == "False" and found.get("message")
    ]


def _blocked(deployment: Object | None, storage_uri: str) -> str:
    """Why the Deployment can't create the pod of the new version, or nothing."""
    if deployment is None or not _is_observed(deployment):
        return ""
    for found in deployment.get("status", {}).get("conditions", []):
        if (found.get("type"), found.get("status"), found.get("reason")) == (
            "ReplicaFailure",
            "True",
            "FailedCreate",
        ):
            said = _said(found)
            of_another = source_of(deployment["spec"]["template"]) not in {storage_uri, None}
            return "" if of_another or any(mark in said for mark in _PASSING) else said
    return ""


def _said(thing: Object) -> str:
    """The message of a condition or an event, told alike by all who repeat it.

    Each attempt at creating a pod makes up another name for it.
    """
    text = _PREFIX.sub("", str(thing.get("message") or ""))
    return _POD_NAME.sub('"…"', text)[:SHOWN]


def _distinct(found: Iterable[Cause]) -> list[str]:
    """Each cause once: conditions and events repeat one another."""
    kept: dict[str, Cause] = {}
    for cause in found:
        kept.setdefault(cause.said, cause)
    return [str(cause) for cause in kept.values()]


def is_going(pod: Object) -> bool:
    """Whether a pod is on its way out."""
    return bool(pod["metadata"].get("deletionTimestamp"))


def is_ready(pod: Object) -> bool:
    """Whether a pod answers."""
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
    """How the container ended last, if it failed."""
    for state in (container.get("state", {}), container.get("lastState", {})):
        ended: Object = state.get("terminated", {})
        if ended.get("exitCode", 0) != 0:
            return ended
    return {}


def _pod_causes(pod: Object, logs: Mapping[Log, str]) -> list[Cause]:
    found = []
    for container in _containers(pod):
        name = container["name"]
        waiting = container.get("state", {}).get("waiting", {})
        ended = _last_exit(container)
        if ended:
            logged = logs.get((str(pod["metadata"]["name"]), name), "")
            said = telling_line(str(ended.get("message") or "")) or telling_line(logged)
            said = said or str(ended.get("reason") or "")
            found.append(Cause(f"{name} exited with {ended['exitCode']}", said))
        elif waiting.get("message"):
            found.append(Cause(f"{name}: {waiting.get('reason')}", _said(waiting)))
    for condition in pod.get("status", {}).get("conditions", []):
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            found.append(Cause("not scheduled", _said(condition)))
    return found


def is_hopeless(pod: Object) -> bool:
    """Whether a pod fails in a way that stays the same."""
    return any(_has_failed(container) for container in _containers(pod) if not container.get("ready", False))


def _has_failed(container: Object) -> bool:
    waiting = container.get("state", {}).get("waiting", {}).get("reason")
    restarts = container.get("restartCount", 0)
    refused = _REFUSED.search(str(_last_exit(container).get("message") or ""))
    return bool(waiting in _HOPELESS or restarts >= MAX_RESTARTS or (restarts and refused))
