"""Looks at a cluster until what was installed there answers."""

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from pydantic import BaseModel, ConfigDict

from infra.kubernetes_api import KubernetesApi, NoAnswerError, Object, root
from infra.upstream.install import readiness
from infra.upstream.install.shared_names import MANAGER
from slipway.core.errors import FailedError
from slipway.core.report import Report
from slipway.core.waiting import changes, poll, tolerating

_INTERVAL_SECONDS: Final = 1.0
_SILENT_SECONDS: Final = 60.0
"""How long the API server may not answer, as while it restarts."""
_UNPULLED_SECONDS: Final = 45.0
"""How long an image may be impossible to pull: the kubelet tries again after 10 s, 20 s and 40 s."""


class Reference(BaseModel):
    """An object by its name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    apiVersion: str  # noqa: N815  as Kubernetes writes it
    kind: str
    namespace: str = ""
    """Empty for an object of the whole cluster."""

    name: str

    def __str__(self) -> str:
        """Return its name in messages, such as `Deployment kserve/controller`."""
        return f"{self.kind} {f'{self.namespace}/' if self.namespace else ''}{self.name}"


def wait_ready(
    api: KubernetesApi,
    objects: Sequence[Reference],
    samples: Sequence[Object],
    *,
    refused: Mapping[str, Object] | None = None,
    seconds: float,
    report: Report,
) -> None:
    """Wait until the objects are ready and the samples pass every webhook.

    Args:
        api: of the cluster.
        objects: that must be ready, in the order in which they are looked at.
        samples: objects whose creation is tried without effect, after `objects` are ready.
        refused: objects that a webhook must refuse, by words of its refusal.
        seconds: time limit of the whole.
        report: told what is waited for, each time that it changes.

    Raises:
        FailedError: Something is still missing after the time limit, or an image can't be pulled; names the
            object and its pod's reason.
    """
    left = list(objects)
    tell = changes(report)

    def first_fault() -> str:
        while left:
            if fault := object_fault(api, left[0]):
                return fault
            left.pop(0)
        return sample_fault(api, samples) or refusal_fault(api, refused or {})

    unpulled_since: list[float] = []

    def ended(fault: str | None) -> bool:
        if fault is None or not readiness.is_unpulled(fault):
            unpulled_since.clear()
            return fault == ""
        unpulled_since.append(time.monotonic())
        return unpulled_since[-1] - unpulled_since[0] >= _UNPULLED_SECONDS

    began = time.monotonic()

    def waiting(state: str | None) -> None:
        tell("waiting until the API server answers" if state is None else f"waiting: {state}")

    state = poll(
        tolerating(first_fault, FailedError, seconds=_SILENT_SECONDS),
        ended,
        seconds=seconds,
        interval=_INTERVAL_SECONDS,
        meanwhile=waiting,
    )
    if state != "":
        raise FailedError(
            f"After {time.monotonic() - began:.0f} s something is not ready.",
            why=f"{state or 'The API server does not answer'}.",
            fix="Fix the cause and run the same command again: what is installed stays.",
        )


def object_fault(api: KubernetesApi, reference: Reference) -> str:
    """Return why the object is not ready, with its pods' reason; empty if it is.

    Raises:
        FailedError: The API server refuses, or does not answer.
    """
    path = api.path(reference.apiVersion, reference.kind, reference.namespace, reference.name)
    document = None if path is None else api.get(path)
    if document is None:
        return f"{reference} does not exist"
    fault = readiness.fault(document)
    if not fault:
        return ""
    reason = readiness.pod_fault(_pods(api, document))
    return f"{reference}: {fault}{f' ({reason})' if reason else ''}"


def sample_fault(api: KubernetesApi, samples: Iterable[Object]) -> str:
    """Return why the first of the samples can't be created; empty if all can. Creates nothing.

    Raises:
        NoAnswerError: The API server does not answer.
    """
    for sample in samples:
        metadata = sample["metadata"]
        kind, name = sample["kind"], metadata["name"]
        path = api.path(sample["apiVersion"], kind, metadata.get("namespace", ""), name)
        if path is None:
            return f"the API server does not serve {kind} of {sample['apiVersion']} yet"
        try:
            api.apply(path, sample, manager=MANAGER, dry_run=True)
        except NoAnswerError:
            raise
        except FailedError as error:
            return f"a trial {kind} is refused: {error.why.rstrip('.')}"
    return ""


def refusal_fault(api: KubernetesApi, refused: Mapping[str, Object]) -> str:
    """Return why the first of the objects is not refused with its words; empty if all are.

    Raises:
        NoAnswerError: The API server does not answer.
    """
    for words, document in refused.items():
        if words not in (fault := sample_fault(api, [document])):
            return fault or f"a trial {document['kind']} is not refused, although {words!r}"
    return ""


def _pods(api: KubernetesApi, document: Object) -> list[Object]:
    labels = (document.get("spec") or {}).get("selector", {}).get("matchLabels")
    namespace = document["metadata"].get("namespace")
    if not labels or not namespace:
        return []
    selector = "%2C".join(f"{name}%3D{value}" for name, value in sorted(labels.items()))
    found = api.get(f"{root('v1')}/namespaces/{namespace}/pods?labelSelector={selector}")
    return list((found or {}).get("items") or ())
