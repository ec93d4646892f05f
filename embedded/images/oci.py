"""The parts of an image of the OCI specification: configuration, manifest, archive index. Pure."""

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from embedded.images.blobs import Blob, blob_of

ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}
_PATH: Final = "/usr/local/bin:/usr/bin:/bin"
_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
_CONFIG: Final = "application/vnd.oci.image.config.v1+json"
_LAYER: Final = "application/vnd.oci.image.layer.v1.tar"


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
        descriptor = _descriptor(_MANIFEST, blob_of(self.manifest)) | {"annotations": annotations}
        return _canonical({"schemaVersion": 2, "manifests": [descriptor]})


def assemble(reference: str, settings: ImageSettings, layers: Sequence[Blob]) -> ImageContent:
    """Assemble an image from `layers`, lowest first; the same inputs give the same digest.

    Layers are not compressed, because they are never sent over a network.
    """
    config = _canonical(
        {
            "architecture": architecture(),
            "os": "linux",
            "config": settings.as_json(),
            "rootfs": {"type": "layers", "diff_ids": [layer.digest for layer in layers]},
        }
    )
    manifest = _canonical(
        {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": _descriptor(_CONFIG, blob_of(config)),
            "layers": [_descriptor(_LAYER, layer) for layer in layers],
        }
    )
    return ImageContent(reference, config, manifest, tuple(layers))


def architecture() -> str:
    """Return this machine's architecture in the spelling of OCI and Go."""
    machine = platform.machine()
    return ARCHITECTURES.get(machine, machine)


def _descriptor(media_type: str, blob: Blob) -> dict[str, object]:
    return {"mediaType": media_type, "digest": blob.digest, "size": blob.size}


def _canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
