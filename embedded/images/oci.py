"""An image as the OCI specification describes it: a configuration, a manifest, an archive. Pure."""

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
class Settings:
    """How a container of the image starts when the pod says nothing else."""

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
    """The small parts of an image and the blobs of its layers, lowest first."""

    reference: str
    config: bytes
    manifest: bytes
    layers: tuple[Blob, ...]

    @property
    def digest(self) -> str:
        """Digest of the manifest, which is the digest of the image."""
        return blob_of(self.manifest).digest

    def index(self) -> bytes:
        """Return the `index.json` of an archive that holds this image alone."""
        annotations = {"io.containerd.image.name": self.reference}
        descriptor = _descriptor(_MANIFEST, blob_of(self.manifest)) | {"annotations": annotations}
        return _canonical({"schemaVersion": 2, "manifests": [descriptor]})


def assemble(reference: str, settings: Settings, layers: Sequence[Blob]) -> ImageContent:
    """Describe an image of `layers`, lowest first; the same inputs give the same digest.

    Layers are not compressed: they never travel, and so a layer's digest is that of its content.
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
    """Return this machine's architecture as OCI and Go spell it."""
    machine = platform.machine()
    return ARCHITECTURES.get(machine, machine)


def _descriptor(media_type: str, blob: Blob) -> dict[str, object]:
    return {"mediaType": media_type, "digest": blob.digest, "size": blob.size}


def _canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
