"""The parts of an image of the OCI specification: configuration, manifest, archive index. Pure."""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from embedded.images.blobs import Blob, blob_of
from oci.manifests import IMAGE, canonical

ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}
_PATH: Final = "/usr/local/bin:/usr/bin:/bin"
_CONFIG: Final = "application/vnd.oci.image.config.v1+json"
_LAYER: Final = "application/vnd.oci.image.layer.v1.tar"
_COMPRESSED_LAYER: Final = f"{_LAYER}+gzip"
CREATED: Final = "org.opencontainers.image.created"
"""Annotation that is also a field of the configuration."""


@dataclass(frozen=True)
class ImageSettings:
    """Defaults of a container of the image."""

    entrypoint: Sequence[str]
    user: int
    command: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    ports: Sequence[int] = ()

    def as_json(self) -> dict[str, object]:
        """Return the `config` of an image configuration."""
        env = {"PATH": _PATH, **self.env}
        described: dict[str, object] = {
            "User": f"{self.user}:{self.user}",
            "WorkingDir": "/",
            "Env": [f"{name}={value}" for name, value in sorted(env.items())],
            "Entrypoint": list(self.entrypoint),
        }
        if self.command:
            described["Cmd"] = list(self.command)
        if self.ports:
            described["ExposedPorts"] = {f"{port}/tcp": {} for port in self.ports}
        return described


@dataclass(frozen=True)
class ImageContent:
    """Configuration and manifest of an image, and the blobs of its layers, lowest first."""

    reference: str
    config: bytes
    manifest: bytes
    layers: tuple[Blob, ...]

    @property
    def digest(self) -> str:
        """The digest of the manifest, which is the image's digest."""
        return blob_of(self.manifest).digest

    def index(self) -> bytes:
        """Return the `index.json` of an archive with only this image."""
        annotations = {"io.containerd.image.name": self.reference}
        descriptor = _descriptor(IMAGE, blob_of(self.manifest)) | {"annotations": annotations}
        return canonical({"schemaVersion": 2, "manifests": [descriptor]})


def assemble(reference: str, settings: ImageSettings, layers: Sequence[Blob]) -> ImageContent:
    """Assemble an image from `layers`, lowest first; the same inputs give the same digest.

    Layers are not compressed, because they are never sent over a network.
    """
    config = _config(settings, layers)
    descriptors = [_descriptor(_LAYER, layer) for layer in layers]
    return ImageContent(reference, config, _manifest(config, descriptors), tuple(layers))


def assemble_for_registry(
    reference: str,
    settings: ImageSettings,
    layers: Sequence[tuple[Blob, Blob]],
    annotations: Mapping[str, str],
) -> ImageContent:
    """Assemble an image of compressed layers, with annotations that are also its labels.

    Args:
        reference: The image's reference.
        settings: Defaults of its containers.
        layers: Each layer and its compressed form, lowest first.
        annotations: As `provenance.annotations` returns them.
    """
    config = _config(settings, [layer for layer, _ in layers], annotations)
    descriptors = [_descriptor(_COMPRESSED_LAYER, compressed) for _, compressed in layers]
    manifest = _manifest(config, descriptors, annotations)
    return ImageContent(reference, config, manifest, tuple(compressed for _, compressed in layers))


def _config(
    settings: ImageSettings, layers: Sequence[Blob], labels: Mapping[str, str] | None = None
) -> bytes:
    document: dict[str, object] = {
        "architecture": architecture(),
        "os": "linux",
        "config": settings.as_json(),
        "rootfs": {"type": "layers", "diff_ids": [layer.digest for layer in layers]},
    }
    if labels:
        document["config"] = settings.as_json() | {"Labels": dict(labels)}
        document["created"] = labels[CREATED]
    return canonical(document)


def _manifest(
    config: bytes, layers: list[dict[str, object]], annotations: Mapping[str, str] | None = None
) -> bytes:
    return canonical(
        {
            "schemaVersion": 2,
            "mediaType": IMAGE,
            "config": _descriptor(_CONFIG, blob_of(config)),
            "layers": layers,
            **({"annotations": dict(annotations)} if annotations else {}),
        }
    )


def architecture() -> str:
    """Return this machine's architecture in the spelling of OCI and Go."""
    machine = platform.machine()
    return ARCHITECTURES.get(machine, machine)


def _descriptor(media_type: str, blob: Blob) -> dict[str, object]:
    return {"mediaType": media_type, "digest": blob.digest, "size": blob.size}
