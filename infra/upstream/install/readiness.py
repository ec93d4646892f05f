"""Whether a Kubernetes object does what it is there for, from the object itself. Pure."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

Object = Mapping[str, Any]


def fault(document: Object) -> str:
    """Return why an object is not ready, in words; empty if it is, or if its kind has no such state.

    Args:
        document: the object as the API server returns it.
    """
    metadata, status = document["metadata"], document.get("status") or {}
    observed = status.get("observedGeneration")
    if observed is not None and observed < metadata.get("generation", 0):
        return "its controller has not seen the last change yet"
    judge = _JUDGES.get(document["kind"])
    return judge(document, status) if judge else ""


def judged(kind: str) -> bool:
    """Return whether objects of the kind can be not ready."""
    return kind in _JUDGES


def pod_fault(pods: Iterable[Object]) -> str:
    """Return the first reason for which a pod does not run, as `POD: REASON`; empty if there is none."""
    for pod in pods:
        status = pod.get("status") or {}
        name = pod["metadata"]["name"]
        for each in (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())):
            if reason := _container_fault(each):
                return f"pod {name}: {reason}"
        for condition in status.get("conditions") or ():
            if condition["type"] == "PodScheduled" and condition["status"] == "False":
                return f"pod {name}: {condition.get('message') or condition.get('reason')}"
    return ""


def is_unpulled(fault: str) -> bool:
    """Return whether a fault is that of an image that can't be pulled."""
    return any(reason in fault for reason in _UNPULLED)


def _container_fault(container: Object) -> str:
    state = container.get("state") or {}
    waiting, terminated = state.get("waiting") or {}, state.get("terminated") or {}
    if (reason := waiting.get("reason")) and reason not in _STARTING:
        message = waiting.get("message") or ""
        return f"{container['name']} {reason}{f': {message}' if message else ''}"
    if terminated.get("exitCode"):
        return f"{container['name']} ended with exit code {terminated['exitCode']}"
    return ""


_STARTING: Final = frozenset({"ContainerCreating", "PodInitializing"})
_UNPULLED: Final = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName")


def _condition(name: str) -> Callable[[Object, Object], str]:
    """Return a judge that asks for a condition with status True."""

    def judge(_document: Object, status: Object) -> str:
        for each in status.get("conditions") or ():
            if each["type"] == name:
                if each["status"] == "True":
                    return ""
                reason = each.get("message") or each.get("reason") or "no reason is given"
                return f"condition {name} is {each['status']}: {reason}"
        return f"condition {name} is not reported yet"

    return judge


def _deployment(document: Object, status: Object) -> str:
    wanted = _replicas(document)
    updated, available = status.get("updatedReplicas", 0), status.get("availableReplicas", 0)
    if min(updated, available) < wanted or status.get("replicas", 0) > wanted:
        return f"{min(updated, available)} of {wanted} updated pods are available"
    return ""


def _stateful_set(document: Object, status: Object) -> str:
    wanted, ready = _replicas(document), status.get("readyReplicas", 0)
    if ready < wanted or status.get("updateRevision") != status.get("currentRevision"):
        return f"{ready} of {wanted} pods are ready and updated"
    return ""


def _daemon_set(_document: Object, status: Object) -> str:
    wanted, ready = status.get("desiredNumberScheduled"), status.get("numberReady", 0)
    if wanted is None or ready < wanted or status.get("updatedNumberScheduled", 0) < wanted:
        return f"{ready} of {wanted if wanted is not None else 'unknown'} pods are ready"
    return ""


def _replicas(document: Object) -> int:
    replicas = (document.get("spec") or {}).get("replicas")
    return 1 if replicas is None else int(replicas)


def _webhooks(document: Object, _status: Object) -> str:
    """A configuration without a CA certificate makes every request that it matches fail."""
    for hook in document.get("webhooks") or ():
        if "service" in hook["clientConfig"] and not hook["clientConfig"].get("caBundle"):
            return f"webhook {hook['name']} has no CA certificate yet"
    return ""


def _claim(_document: Object, status: Object) -> str:
    phase = status.get("phase")
    return "" if phase == "Bound" else f"its phase is {phase or 'unknown'}"


_JUDGES: Final[Mapping[str, Callable[[Object, Object], str]]] = {
    "APIService": _condition("Available"),
    "Certificate": _condition("Ready"),
    "CustomResourceDefinition": _condition("Established"),
    "DaemonSet": _daemon_set,
    "Deployment": _deployment,
    "Issuer": _condition("Ready"),
    "ClusterIssuer": _condition("Ready"),
    "Job": _condition("Complete"),
    "MutatingWebhookConfiguration": _webhooks,
    "PersistentVolumeClaim": _claim,
    "StatefulSet": _stateful_set,
    "ValidatingWebhookConfiguration": _webhooks,
}
