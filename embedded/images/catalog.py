"""The catalog of images and their layers."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from embedded.images.code import CodeLayer, ProgramLayer
from embedded.images.debian import DebianLayer
from embedded.images.layer import NONROOT, Layer, RootLayer, ToolLayer, digest_of
from embedded.images.oci import ImageSettings, architecture
from embedded.images.wheels import Requirements, WheelsLayer
from embedded.toolchain import BINARIES, binary
from slipway.core.report import Report

_NFS_AND_KERBEROS: Final = (
    "libcom-err2",
    "libgssapi-krb5-2",
    "libk5crypto3",
    "libkeyutils1",
    "libkrb5-3",
    "libkrb5support0",
    "libnsl2",
    "libtirpc-common",
    "libtirpc3",
)
_BASE: Final = DebianLayer(
    "Debian and Python",
    # dash and coreutils: a pipeline step starts as a shell script of KFP.
    packages=(
        "python3-minimal",
        "libpython3-stdlib",
        "ca-certificates",
        "coreutils",
        "dash",
        "libgomp1",
        "libstdc++6",
        "zlib1g",
    ),
    unneeded=("debconf", "debianutils", "dpkg", "openssl", "readline-common", *_NFS_AND_KERBEROS),
)
_NGINX: Final = DebianLayer(
    "nginx",
    packages=("nginx",),
    unneeded=("iproute2", "libbpf1", "libcap2-bin", "libelf1", "libxtables12", *_NFS_AND_KERBEROS),
    lower=_BASE,
)
_MARIADB: Final = DebianLayer("MariaDB", packages=("mariadb-server-core",), lower=_BASE)
_STEPS: Final = Requirements(("steps", "kfp-server", "jobs"))
_SERVING: Final = Requirements(
    ("serving",),
    # Clients of stores that the local cluster can't reach.
    without=(
        "azure-core",
        "azure-identity",
        "azure-storage-blob",
        "azure-storage-file-share",
        "dulwich",
        "hf-xet",
        "huggingface-hub",
        "modelscope-hub",
        "msal",
        "msal-extensions",
        "oras",
    ),
)
_SHARED: Final = WheelsLayer("shared Python packages", requirements=_STEPS, other=_SERVING, shared=True)
_CODE: Final = CodeLayer(
    "code",
    (
        "slipway/__init__.py",
        "slipway/core",
        "storage",
        "tabular",
        "pipelines",
        "serving",
        "embedded/__init__.py",
        "embedded/kfp",
        "infra/__init__.py",
        "infra/contract.py",
        "infra/jobs",
        "infra/names.py",
        "infra/versions.py",
    ),
)
_MODEL_CODE: Final = CodeLayer(
    "code of the model server",
    (
        "slipway/__init__.py",
        "slipway/core/__init__.py",
        "slipway/core/errors.py",
        "tabular/__init__.py",
        *(f"tabular/{name}.py" for name in ("files", "graph", "inputs", "model", "operators", "predictions")),
        *(f"tabular/{name}.py" for name in ("requests", "schema", "trees", "v2", "wire")),
    ),
)
_PYTHON: Final = {
    "HOME": "/tmp",  # noqa: S108  # the only writable folder of a read-only container
    "MALLOC_ARENA_MAX": "2",
    "MPLCONFIGDIR": "/tmp",  # noqa: S108
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONUNBUFFERED": "1",
    "PYTHONUTF8": "1",
}
_ONE_THREAD: Final = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Recipe:
    """An image before it is built: its layers, lowest first, and its settings."""

    layers: tuple[Layer, ...]
    settings: ImageSettings

    def key(self) -> str:
        """Return the digest of all inputs of the image."""
        return digest_of(architecture(), self.settings.as_json(), [layer.key() for layer in self.layers])

    def keyed(self) -> list[tuple[Layer, str]]:
        """Return each layer with the current digest of its inputs."""
        return [(layer, layer.key()) for layer in self.layers]


@dataclass(frozen=True)
class GoTool:
    """A program that embedded.toolchain builds."""

    name: str

    def digest(self) -> str:
        """See layer.Tool. Does not include the version of Go, which takes too long to determine."""
        tool = BINARIES[self.name]
        content = {
            path.relative_to(tool.folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in tool.folder.rglob("*")
            if path.is_file()
        }
        return digest_of(tool.module, tool.version, tool.ldflags, content)

    def binary(self, report: Report) -> Path:
        """See layer.Tool."""
        return binary(self.name, report)


def _program(
    tool: str, *, file: str = "", user: int = NONROOT, ports: tuple[int, ...] = (), **env: str
) -> Recipe:
    """Return an image with one program; upstream's manifests name `file`, where that is not the tool's."""
    name = file or tool
    return Recipe(
        (RootLayer(), ToolLayer(name, GoTool(tool))),
        ImageSettings(entrypoint=[f"/{name}"], user=user, env=env, ports=ports),
    )


def _pause() -> Recipe:
    return _program("pause", user=65535)


def _minio() -> Recipe:
    return _program("minio", ports=(9000, 9001), HOME="/tmp")  # noqa: S108  # MinIO looks for certificates in its home


def _kserve_controller() -> Recipe:
    return _program("kserve-controller", file="manager", ports=(8080, 8081, 9443))


def _katib_controller() -> Recipe:
    return _program("katib-controller", ports=(8080, 8443, 18080))


def _katib_db_manager() -> Recipe:
    return _program("katib-db-manager", ports=(6789,))


def _mariadb() -> Recipe:
    entry = ProgramLayer("mariadb")
    return Recipe(
        (_BASE, _MARIADB, entry),
        ImageSettings(entrypoint=["python3", f"/{entry.path}"], user=NONROOT, env=_PYTHON, ports=(3306,)),
    )


def _gateway() -> Recipe:
    entry = ProgramLayer("gateway")
    return Recipe(
        (_BASE, _NGINX, entry),
        ImageSettings(entrypoint=["python3", f"/{entry.path}"], user=NONROOT, env=_PYTHON, ports=(8080,)),
    )


def _pipelines() -> Recipe:
    own = WheelsLayer("Python packages of steps", requirements=_STEPS, other=_SERVING, shared=False)
    return Recipe(
        (_BASE, _SHARED, own, _CODE),
        ImageSettings(entrypoint=[], command=["python3"], user=NONROOT, env=_PYTHON),
    )


def _model_server() -> Recipe:
    own = WheelsLayer("Python packages of serving", requirements=_SERVING, other=_STEPS, shared=False)
    entry = ProgramLayer("model_server")
    return Recipe(
        (_BASE, _SHARED, own, _MODEL_CODE, ProgramLayer("storage_initializer"), entry),
        ImageSettings(entrypoint=["python3", f"/{entry.path}"], user=NONROOT, env=_PYTHON | _ONE_THREAD),
    )


RECIPES: Final[Mapping[str, Callable[[], Recipe]]] = {
    "pause": _pause,
    "minio": _minio,
    "kserve-controller": _kserve_controller,
    "katib-controller": _katib_controller,
    "katib-db-manager": _katib_db_manager,
    "mariadb": _mariadb,
    "gateway": _gateway,
    "pipelines": _pipelines,
    "model-server": _model_server,
}
