"""Rolls predictors to a new store key by an annotation with the key's checksum.

A predictor reads its tenant's Secret when its pod starts. With a checksum of the Secret in the pod's
template, another key means another template, so Kubernetes starts the new pod beside the old one, as for
another model. The annotation has its own field manager: a promotion neither sets nor removes it.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from serving import diagnosis
from serving.diagnosis import Object
from serving.inference import API_VERSION, DOMAIN
from slipway.core.errors import FailedError
from slipway.core.report import Report, silent
from slipway.core.waiting import changes, tries

CHECKSUM: Final = f"{DOMAIN}/store-key"
MANAGER: Final = "slipway-rotation"
READY_SECONDS: Final = 300.0
_POLL_SECONDS: Final = 0.5


class Predictors(Protocol):
    """What this module needs of a cluster; `serving.cluster.Cluster` in production."""

    def list_names(self, namespace: str) -> tuple[str, ...]:
        """Return the names of the InferenceServices."""

    def get(self, namespace: str, name: str) -> dict[str, Any] | None:
        """Return the InferenceService, or None."""

    def apply(self, manifest: Mapping[str, Any], *, manager: str) -> None:
        """Apply it server-side."""

    def pods(self, namespace: str, name: str) -> list[dict[str, Any]]:
        """Return its pods."""

    def deployment(self, namespace: str, name: str) -> dict[str, Any] | None:
        """Return its Deployment, or None."""


@dataclass(frozen=True)
class Move:
    """The state of an InferenceService's move to a key."""

    done: bool
    hopeless: bool
    summary: str


def checksum(secret: Mapping[str, str]) -> str:
    """Return a checksum that identifies a key without revealing it: the secret part is 240 random bits."""
    text = "\0".join(f"{name}\0{value}" for name, value in sorted(secret.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def annotation(live: Object, key: str) -> dict[str, Any]:
    """Return the manifest that sets the key's checksum on the predictor's pods, and nothing else.

    It contains the object's uid, so that an object that was deleted meanwhile is not created again.
    """
    identity = {name: live["metadata"][name] for name in ("name", "namespace", "uid")}
    return {
        "apiVersion": API_VERSION,
        "kind": "InferenceService",
        "metadata": identity,
        "spec": {"predictor": {"annotations": {CHECKSUM: key}}},
    }


def examine(deployment: Object | None, pods: Sequence[Object], key: str, *, served: bool) -> Move:
    """Return whether every pod has started with the key; one must be ready only if one was (`served`)."""
    live = [pod for pod in pods if not diagnosis.is_going(pod)]
    new = [pod for pod in live if checksum_of(pod) == key]
    ready = any(diagnosis.is_ready(pod) for pod in new)
    moved = len(new) == len(live) and _has_taken(deployment, key)
    done = moved and (not served or (ready and diagnosis.is_rolled_out(deployment)))
    if done:
        summary = f"{len(new)} pods with the new key"
    elif not new:
        summary = "waiting for the new pod"
    else:
        summary = f"{len(new)} of {len(live)} pods with the new key, {'ready' if ready else 'starting'}"
    return Move(done, served and any(diagnosis.is_hopeless(pod) for pod in new), summary)


def checksum_of(pod: Object) -> str | None:
    """Return the checksum of the key that a pod or a pod template was made for."""
    annotated = pod["metadata"].get("annotations", {}).get(CHECKSUM)
    return str(annotated) if annotated else None


def _has_taken(deployment: Object | None, key: str) -> bool:
    """Whether KServe has copied the annotation to the Deployment, if there is one."""
    return deployment is None or checksum_of(deployment["spec"]["template"]) == key


def roll(
    cluster: Predictors,
    namespace: str,
    key: str,
    *,
    report: Report = silent,
    timeout: float = READY_SECONDS,
) -> tuple[str, ...]:
    """Restart every predictor of the namespace with the key of this checksum, one after the other.

    Returns:
        The names of the InferenceServices.

    Raises:
        FailedError: One can't start with it; its old pod still serves.
    """
    names = cluster.list_names(namespace)
    for name in names:
        live = cluster.get(namespace, name)
        if live is None:
            continue
        served = any(
            diagnosis.is_ready(pod) and not diagnosis.is_going(pod) for pod in cluster.pods(namespace, name)
        )
        cluster.apply(annotation(live, key), manager=MANAGER)
        _wait(cluster, namespace, name, key, served=served, report=report, timeout=timeout)
    return names


def _wait(
    cluster: Predictors,
    namespace: str,
    name: str,
    key: str,
    *,
    served: bool,
    report: Report,
    timeout: float,
) -> None:
    report = changes(report)
    for last in tries(timeout, _POLL_SECONDS):
        deployment, pods = cluster.deployment(namespace, name), cluster.pods(namespace, name)
        move = examine(deployment, pods, key, served=served)
        report(f"{name}: {move.summary}")
        if move.done:
            return
        live = cluster.get(namespace, name)
        if live is None:
            return  # Deleted meanwhile: no pod is left with the old key.
        if move.hopeless or last:
            raise FailedError(
                f"The predictor {namespace}/{name} did not start with the new key.",
                why="; ".join(_causes(live, deployment, pods, key)) or move.summary,
                fix="Both keys are valid and the old pod serves. Fix the cause and run the command again.",
            )


def _causes(live: Object, deployment: Object | None, pods: Sequence[Object], key: str) -> list[str]:
    new = [pod for pod in pods if checksum_of(pod) == key]
    source = next((uri for pod in new if (uri := diagnosis.source_of(pod))), "")
    return diagnosis.causes(live, deployment, new, source)
