"""The documents of images: descriptors, image manifests and indexes. Pure.

Media types and fields are those of the OCI image specification 1.1 and of Docker's image manifest 2.2,
which differ in their media types alone.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from slipway.core.errors import FailedError

INDEX: Final = "application/vnd.oci.image.index.v1+json"
IMAGE: Final = "application/vnd.oci.image.manifest.v1+json"
EMPTY: Final = "application/vnd.oci.empty.v1+json"
EMPTY_CONTENT: Final = b"{}"
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_DOCKER_INDEX: Final = "application/vnd.docker.distribution.manifest.list.v2+json"
_DOCKER_IMAGE: Final = "application/vnd.docker.distribution.manifest.v2+json"
INDEXES: Final = frozenset({INDEX, _DOCKER_INDEX})
IMAGES: Final = frozenset({IMAGE, _DOCKER_IMAGE})
ACCEPTED: Final = ", ".join((INDEX, _DOCKER_INDEX, IMAGE, _DOCKER_IMAGE))
"""For the header Accept."""


@dataclass(frozen=True)
class Descriptor:
    """A reference from one document to another, or to a blob."""

    media_type: str
    digest: str
    size: int
    platform: str | None = None
    """`os/architecture` or `os/architecture/variant`; only for an image in an index."""
    annotations: Mapping[str, str] = field(default_factory=dict)
    artifact_type: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the descriptor as a part of a document."""
        document: dict[str, Any] = {"mediaType": self.media_type, "digest": self.digest, "size": self.size}
        if self.platform:
            document["platform"] = dict(
                zip(("os", "architecture", "variant"), self.platform.split("/"), strict=False)
            )
        if self.annotations:
            document["annotations"] = dict(self.annotations)
        if self.artifact_type:
            document["artifactType"] = self.artifact_type
        return document


@dataclass(frozen=True)
class Manifest:
    """An image manifest or an index, and its exact bytes: their digest is its name."""

    media_type: str
    content: bytes

    @property
    def digest(self) -> str:
        """The digest of the content."""
        return digest_of(self.content)

    @property
    def document(self) -> dict[str, Any]:
        """The parsed content."""
        parsed: dict[str, Any] = json.loads(self.content)
        return parsed

    @property
    def is_index(self) -> bool:
        """Whether it lists manifests, one for each platform."""
        return self.media_type in INDEXES

    @property
    def manifests(self) -> list[Descriptor]:
        """The manifests that an index lists."""
        return [_descriptor(each) for each in self.document.get("manifests") or ()]

    @property
    def blobs(self) -> list[Descriptor]:
        """The configuration and the layers of an image, each once."""
        parts = [self.document["config"], *(self.document.get("layers") or ())]
        return list({each.digest: each for each in map(_descriptor, parts)}.values())

    def descriptor(self, **optional: Any) -> Descriptor:  # noqa: ANN401 - the descriptor's own optional fields
        """Return a descriptor of this manifest."""
        return Descriptor(self.media_type, self.digest, len(self.content), **optional)


def read(content: bytes, media_type: str) -> Manifest:
    """Return a manifest that a registry sent.

    Raises:
        FailedError: It is not an image of a supported kind; Docker's first format has no digests of content.
    """
    try:
        document = json.loads(content)
        kind = str(document.get("mediaType") or media_type.partition(";")[0].strip())
        manifest = Manifest(kind, content)
        if kind in INDEXES | IMAGES:
            _ = manifest.manifests if manifest.is_index else manifest.blobs
            return manifest
        why = f"Its media type is {kind!r}."
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        why = f"It can't be read: {type(error).__name__}."
    raise FailedError(
        "The registry sent a manifest of a kind that is not supported.",
        why=why,
        fix="Publish the image again with a newer tool, in the format of OCI or Docker's manifest 2.2.",
    )


def index(manifests: Sequence[Descriptor], annotations: Mapping[str, str] | None = None) -> Manifest:
    """Return an index of these manifests; the same input gives the same digest."""
    document: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": INDEX,
        "manifests": [each.as_json() for each in manifests],
    }
    if annotations:
        document["annotations"] = dict(annotations)
    return Manifest(INDEX, canonical(document))


def artifact(kind: str, content: Descriptor, subject: Descriptor, annotations: Mapping[str, str]) -> Manifest:
    """Return the manifest of a file about an image `subject`, such as an SBOM."""
    empty = Descriptor(EMPTY, digest_of(EMPTY_CONTENT), len(EMPTY_CONTENT))
    document = {
        "schemaVersion": 2,
        "mediaType": IMAGE,
        "artifactType": kind,
        "config": empty.as_json(),
        "layers": [content.as_json()],
        "subject": Descriptor(subject.media_type, subject.digest, subject.size).as_json(),
        "annotations": dict(annotations),
    }
    return Manifest(IMAGE, canonical(document))


def only(listed: Manifest, platforms: Sequence[str]) -> Manifest:
    """Return the index with the manifests of these platforms alone; a new document, with its own digest.

    Raises:
        FailedError: The index has no image for one of the platforms.
    """
    chosen = [entry for entry in listed.manifests if _fits(entry, platforms)]
    known = sorted({str(each.platform) for each in listed.manifests if each.platform})
    for platform in platforms:
        if not any(_fits(entry, [platform]) for entry in chosen):
            raise FailedError(
                f"The image has no variant for {platform}.",
                why=f"Its index {listed.digest} lists {', '.join(known) or 'none'}.",
                fix="Leave the platform out, or choose another image.",
            )
    kept = {entry.digest for entry in chosen}
    document = listed.document
    document["manifests"] = [each for each in document["manifests"] if each["digest"] in kept]
    return Manifest(listed.media_type, canonical(document))


def digest_of(content: bytes) -> str:
    """Return the digest of bytes as OCI writes it."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def canonical(value: object) -> bytes:
    """Return the bytes of a document that we write: the same value gives the same bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _fits(entry: Descriptor, platforms: Sequence[str]) -> bool:
    return any(entry.platform == each or str(entry.platform).startswith(f"{each}/") for each in platforms)


def is_digest(text: str) -> bool:
    """Whether a text is a digest, and nothing else: it becomes a part of URLs."""
    return _DIGEST.fullmatch(text) is not None


def _descriptor(document: Mapping[str, Any]) -> Descriptor:
    if not is_digest(str(document["digest"])):
        raise ValueError(document["digest"])
    platform = document.get("platform") or {}
    parts = [platform.get(each) for each in ("os", "architecture", "variant")]
    return Descriptor(
        str(document["mediaType"]),
        str(document["digest"]),
        int(document["size"]),
        platform="/".join(str(part) for part in parts if part) or None,
        annotations=document.get("annotations") or {},
        artifact_type=document.get("artifactType"),
    )
