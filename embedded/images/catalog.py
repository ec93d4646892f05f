"""Which images there are, and what each is made of."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from embedded.images.layer import NONROOT, Layer, RootLayer, ToolLayer, digest_of
from embedded.images.oci import Settings, architecture
from storage.report import Report


@dataclass(frozen=True)
class Recipe:
    """An image before it is built: layers, lowest first, and how it starts."""

    layers: tuple[Layer, ...]
    settings: Settings

    def key(self) -> str:
        """Return the digest of everything the image is made of."""
        return digest_of(architecture(), self.settings.as_json(), [layer.key() for layer in self.layers])


@dataclass(frozen=True)
class GoTool:
    """A program of embedded.toolchain."""

    name: str

    def digest(self) -> str:
        """See layer.Tool."""
        from embedded.toolchain import TOOLS  # noqa: PLC0415  # reference() of other images needs no toolchain

        return str(TOOLS[self.name].digest())

    def binary(self, report: Report) -> Path:
        """See layer.Tool."""
        from embedded.toolchain import binary  # noqa: PLC0415

        return binary(self.name, report)


def _program(tool: str, *, user: int = NONROOT, ports: tuple[int, ...] = (), **env: str) -> Recipe:
    return Recipe(
        (RootLayer(), ToolLayer(tool, GoTool(tool))),
        Settings(entrypoint=[f"/{tool}"], user=user, env=env, ports=ports),
    )


def _pause() -> Recipe:
    return _program("pause", user=65535)


def _minio() -> Recipe:
    return _program("minio", ports=(9000, 9001), HOME="/tmp")  # noqa: S108  # it looks for certificates in its home


def _kserve_controller() -> Recipe:
    return _program("kserve-controller", ports=(8443, 9443))


RECIPES: Final[Mapping[str, Callable[[], Recipe]]] = {
    "pause": _pause,
    "minio": _minio,
    "kserve-controller": _kserve_controller,
}
