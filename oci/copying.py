"""Copies of images into a registry, from another one or from files.

Blobs are written first, then manifests, then the tag. Only what is missing is sent: an interrupted copy
leaves blobs without a manifest, which the next one finds.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass
from functools import partial

from oci import manifests
from oci.client import ImageRegistry
from oci.manifests import Descriptor, Manifest
from oci.references import Reference
from oci.uploads import upload
from slipway.core.parallel import in_parallel

Open = Callable[[Descriptor, int], Iterable[bytes]]
"""Returns the content of a blob from an offset in bytes on."""


@dataclass(frozen=True)
class Copied:
    """What a copy did."""

    reference: Reference
    """Where the image is now, with its digest."""

    uploaded: int
    """Bytes of blobs and manifests that were sent."""


@dataclass(frozen=True)
class Target:
    """A repository of a registry to write to."""

    registry: ImageRegistry
    repository: str

    @property
    def reference(self) -> Reference:
        """The repository without a tag or digest."""
        return Reference(self.registry.address, self.repository)

    def has(self, target: str) -> str | None:
        """Return the digest of a manifest by its tag or digest, or None if it is missing."""
        by_digest = target.startswith("sha256:")
        wanted = Reference(
            self.registry.address,
            self.repository,
            tag=None if by_digest else target,
            digest=target if by_digest else None,
        )
        return self.registry.digest(wanted)


def put_image(
    target: Target,
    image: Manifest,
    read: Open,
    *,
    tag: str | None = None,
    mount_from: str | None = None,
) -> int:
    """Write an image of one platform and its blobs; return the bytes that were sent."""
    if target.has(image.digest):
        return put_manifest(target, image, tag)
    # A layer takes minutes on a slow network: an interruption does not wait for its end.
    stopped = threading.Event()

    def parts(blob: Descriptor, offset: int) -> Iterator[bytes]:
        for part in read(blob, offset):
            if stopped.is_set():
                raise CancelledError
            yield part

    def send(blob: Descriptor) -> int:
        return upload(target.registry, target.repository, blob, partial(parts, blob), mount_from=mount_from)

    return sum(in_parallel(send, image.blobs, stopped=stopped)) + put_manifest(target, image, tag)


def put_manifest(target: Target, manifest: Manifest, tag: str | None = None) -> int:
    """Write a manifest whose parts are there, and move the tag to it; return the bytes that were sent."""
    if target.has(tag or manifest.digest) == manifest.digest:
        return 0
    target.registry.put_manifest(target.repository, manifest, tag)
    return len(manifest.content)


def attach(target: Target, subject: Manifest, kind: str, content: bytes, annotations: dict[str, str]) -> int:
    """Attach a file to an image as an artifact that refers to it; return the bytes that were sent.

    A registry that does not list referrers itself gets the list under the tag that the specification defines.
    """
    blob = Descriptor(kind, manifests.digest_of(content), len(content))
    made = manifests.artifact(kind, blob, subject.descriptor(), annotations)
    if made.digest in {each.digest for each in referrers(target, subject.digest)}:
        return 0
    parts = {blob.digest: content, manifests.digest_of(manifests.EMPTY_CONTENT): manifests.EMPTY_CONTENT}
    sent = sum(
        upload(target.registry, target.repository, each, partial(_from_bytes, parts[each.digest]))
        for each in made.blobs
    )
    listed = target.registry.put_manifest(target.repository, made)
    sent += len(made.content)
    if not listed:
        entry = made.descriptor(artifact_type=kind, annotations=annotations)
        index = manifests.index([*_referrers_by_tag(target, subject.digest), entry])
        sent += put_manifest(target, index, _referrers_tag(subject.digest))
    return sent


def referrers(target: Target, digest: str) -> list[Descriptor]:
    """Return the artifacts that refer to a manifest."""
    response = target.registry.send("GET", f"{target.repository}/referrers/{digest}")
    if response.status_code == 200 and manifests.INDEX in response.headers.get("content-type", ""):
        return manifests.read(response.content, manifests.INDEX).manifests
    return _referrers_by_tag(target, digest)


def copy(
    source: ImageRegistry, reference: Reference, target: Target, *, platforms: Sequence[str] = ()
) -> Copied:
    """Copy an image or an index with its images; the digest stays unless platforms are chosen.

    Args:
        source: Registry of the reference.
        reference: What to copy.
        target: Where to.
        platforms: Only these of an index, such as `linux/amd64`; all of them if empty.

    Raises:
        UsageError: There is no such image, or the account may not read or write.
        FailedError: A registry failed; a rerun continues.
    """
    if reference.digest and not platforms and target.has(reference.digest):
        return Copied(_named(target, reference, reference.digest), _tag(source, reference, target))
    found = source.manifest(reference)
    if found.is_index and platforms:
        found = manifests.only(found, platforms)
    sent = _copy_tree(source, reference, found, target, reference.tag)
    return Copied(_named(target, reference, found.digest), sent)


def _copy_tree(
    source: ImageRegistry, reference: Reference, found: Manifest, target: Target, tag: str | None
) -> int:
    """Copy a manifest after everything that it names; return the bytes that were sent."""
    if found.is_index:
        parts = [
            source.manifest(Reference(reference.registry, reference.repository, digest=each.digest))
            for each in found.manifests
        ]
        sent = sum(_copy_tree(source, reference, part, target, None) for part in parts)
        return sent + put_manifest(target, found, tag)

    def read(blob: Descriptor, offset: int) -> Iterator[bytes]:
        return source.read_blob(reference.repository, blob, offset)

    mount_from = reference.repository if source.address == target.registry.address else None
    return put_image(target, found, read, tag=tag, mount_from=mount_from)


def _tag(source: ImageRegistry, reference: Reference, target: Target) -> int:
    """Give an image that is there its tag; return the bytes that were sent."""
    if reference.tag is None or target.has(reference.tag) == reference.digest:
        return 0
    return put_manifest(target, source.manifest(reference), reference.tag)


def _named(target: Target, reference: Reference, digest: str) -> Reference:
    return Reference(target.registry.address, target.repository, reference.tag, digest)


def _referrers_by_tag(target: Target, digest: str) -> list[Descriptor]:
    tag = _referrers_tag(digest)
    if not target.has(tag):
        return []
    return target.registry.manifest(Reference(target.registry.address, target.repository, tag)).manifests


def _referrers_tag(digest: str) -> str:
    return digest.replace(":", "-")


def _from_bytes(content: bytes, offset: int) -> Iterable[bytes]:
    return (content[offset:],)
