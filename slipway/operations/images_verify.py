"""Finds containers of a stack's cluster that run an image which is not in a list."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict

from oci.references import Reference, parse
from slipway.core.errors import UsageError
from slipway.operations import workspace

Object = dict[str, Any]


class UnlistedImage(BaseModel):
    """A container whose image is not in the list."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    namespace: str
    pod: str
    container: str
    image: str
    """As the pod names it."""

    digest: str | None
    """What the node runs; None if the node did not get it from a registry."""


class Verification(BaseModel):
    """What the comparison found."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    containers: int
    """How many were compared."""

    unlisted: list[UnlistedImage]


def verify(stack: str, listed: Sequence[Reference], *, namespaces: Sequence[str] = ()) -> Verification:
    """Compare what runs in a stack's cluster with a list; of these namespaces, or of all of them.

    Raises:
        UsageError: The stack is unknown or not up, or no container runs.
        FailedError: The cluster refuses, or does not answer.
    """
    cluster = workspace.open_stack(stack, build=False).live()
    pods: list[Object] = []
    for path in [f"/api/v1/namespaces/{each}/pods" for each in namespaces] or ["/api/v1/pods"]:
        pods += (cluster.read(path) or {}).get("items") or []
    found = compare(pods, listed)
    if not found.containers:
        raise UsageError(
            "There is no running container to compare.",
            why=f"The cluster has none in {', '.join(namespaces) or 'any namespace'}.",
            fix="Check the namespaces, and that the stack is up.",
        )
    return found


def compare(pods: Iterable[Object], listed: Sequence[Reference]) -> Verification:
    """Compare the containers of pods with a list.

    What counts is the digest that the node reports. An image that a node did not get from a registry has
    none: it is compared by its reference, with the entries of the list that have no digest either.
    """
    digests = {each.digest for each in listed if each.digest}
    names = {str(each) for each in listed if not each.digest}
    running = list(_containers(pods))
    unlisted = [
        each
        for each in running
        if (each.digest not in digests if each.digest else _normal(each.image) not in names)
    ]
    return Verification(containers=len(running), unlisted=unlisted)


def _containers(pods: Iterable[Object]) -> Iterator[UnlistedImage]:
    for pod in pods:
        status, metadata = pod.get("status") or {}, pod["metadata"]
        for field in ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses"):
            for each in status.get(field) or ():
                # Before the image is pulled there is nothing to compare.
                if each.get("imageID"):
                    yield UnlistedImage(
                        namespace=metadata["namespace"],
                        pod=metadata["name"],
                        container=each["name"],
                        image=str(each.get("image")),
                        digest=_digest(str(each["imageID"])),
                    )


def _digest(image_id: str) -> str | None:
    """Return the digest of a reference such as `docker-pullable://registry/name@sha256:...`."""
    _, at, digest = image_id.rpartition("@")
    return digest if at else None


def _normal(image: str) -> str:
    try:
        return str(parse(image))
    except UsageError:
        return image
