"""What state a rollout is in, and why it doesn't get on: facts from Kubernetes objects. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

Object = Mapping[str, Any]

SOURCE: Final = "internal.serving.kserve.io/storage-initializer-sourceuri"
_HOPELESS: Final = frozenset({"ErrImageNeverPull", "InvalidImageName", "CreateContainerConfigError"})
MAX_RESTARTS: Final = 2
"""A model that can't be loaded fails the same way each time; two restarts tell it from bad luck."""


@dataclass(frozen=True)
class RolloutState:
    """Whether the new version serves, and if not, how it looks."""

    serving: bool
    hopeless: bool
    summary: str
    causes: tuple[str, ...]


def examine(
    isvc: Object, deployment: Object | None, pods: Sequence[Object], storage_uri: str
) -> RolloutState:
    """Judge a rollout by its InferenceService, Deployment and pods."""
    live = [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]
    new = [pod for pod in live if source_of(pod) == storage_uri]
    ready = [pod for pod in live if _is_ready(pod)]
    current = bool(ready) and all(pod in new for pod in ready)
    serving = current and _condition(isvc, "Ready") == "True" and _rolled_out(deployment)
    causes = [cause for pod in new for cause in _pod_causes(pod)] + _false_conditions(isvc)
    hopeless = any(_is_hopeless(pod) for pod in new)
    if not new:
        summary = "waiting for the new pod"
    elif not current:
        summary = f"new pod: {_phase(new[0])}"
    else:
        summary = "waiting for the InferenceService to be Ready"
    return RolloutState(serving, hopeless, summary, tuple(causes))


def source_of(pod: Object) -> str | None:
    """The URI that a pod's model is downloaded from."""
    annotated = pod["metadata"].get("annotations", {}).get(SOURCE)
    if annotated:
        return str(annotated)
    for container in pod["spec"].get("initContainers", []):
        if container["name"] == "storage-initializer" and container.get("args"):
            return str(container["args"][0])
    return None


def warnings(events: Iterable[Object], name: str) -> list[str]:
    """What the cluster warned of about the predictor, latest last: quota, admission, scheduling."""
    found = [
        event
        for event in events
        if event.get("type") == "Warning" and _is_about(str(event["involvedObject"].get("name", "")), name)
    ]
    found.sort(key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or ""))
    return [f"{event.get('reason')}: {str(event.get('message', ''))[:300]}" for event in found[-3:]]


def _is_about(involved: str, name: str) -> bool:
    return involved == name or involved.startswith(f"{name}-predictor")


def _rolled_out(deployment: Object | None) -> bool:
    """Knative has no Deployment of this name; there the pods alone decide."""
    if deployment is None:
        return True
    status, wanted = deployment.get("status", {}), deployment["spec"].get("replicas", 1)
    return bool(
        status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0)
        and status.get("updatedReplicas", 0) == wanted
        and status.get("availableReplicas", 0) >= wanted
    )


def _condition(thing: Object, kind: str) -> str:
    conditions = thing.get("status", {}).get("conditions", [])
    return next((str(found.get("status")) for found in conditions if found.get("type") == kind), "Unknown")


def _false_conditions(isvc: Object) -> list[str]:
    conditions = isvc.get("status", {}).get("conditions", [])
    return [
        f"{found['type']}: {found.get('reason', '')} {str(found['message'])[:300]}"
        for found in conditions
        if found.get("status") == "False" and found.get("message")
    ]


def _is_ready(pod: Object) -> bool:
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


def _pod_causes(pod: Object) -> list[str]:
    causes = []
    for container in _containers(pod):
        name = container["name"]
        waiting = container.get("state", {}).get("waiting", {})
        if waiting.get("message"):
            causes.append(f"{name}: {waiting.get('reason')}: {str(waiting['message'])[:300]}")
        for state in (container.get("state", {}), container.get("lastState", {})):
            ended = state.get("terminated", {})
            if ended.get("exitCode", 0) != 0:
                said = str(ended.get("message") or ended.get("reason") or "")[-300:]
                causes.append(f"{name} exited with {ended['exitCode']}: {said}")
    for found in pod.get("status", {}).get("conditions", []):
        if found.get("type") == "PodScheduled" and found.get("status") == "False":
            causes.append(f"not scheduled: {str(found.get('message', ''))[:300]}")
    return causes


def _is_hopeless(pod: Object) -> bool:
    return any(
        container.get("restartCount", 0) >= MAX_RESTARTS
        or container.get("state", {}).get("waiting", {}).get("reason") in _HOPELESS
        for container in _containers(pod)
        if not container.get("ready", False)
    )
