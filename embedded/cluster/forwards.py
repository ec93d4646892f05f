"""The table of port forwards from 127.0.0.1 to Services, set by users and programs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from embedded.cluster.paths import ClusterPaths
from slipway.core import atomic_files
from slipway.core.errors import UsageError

_LABEL: Final = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"


class Forward(BaseModel):
    """A port of 127.0.0.1 that is forwarded to a Service, which need not exist yet."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    port: int = Field(ge=1024, le=65535, description="Port on 127.0.0.1.")
    namespace: str = Field(pattern=_LABEL)
    service: str = Field(pattern=_LABEL)
    service_port: int = Field(ge=1, le=65535)

    def __init__(self, port: int, namespace: str, service: str, service_port: int) -> None:
        """Accept positional arguments."""
        super().__init__(port=port, namespace=namespace, service=service, service_port=service_port)


_TABLE: Final = TypeAdapter(tuple[Forward, ...])


def checked(forwards: Sequence[Forward], paths: ClusterPaths) -> tuple[Forward, ...]:
    """Return the table sorted; raise UsageError if two entries use one port, or one uses the API server's."""
    seen = {paths.instance.ports.api: "the API server"}
    for forward in forwards:
        target = f"{forward.namespace}/{forward.service}"
        if forward.port in seen:
            raise UsageError(
                f"Port {forward.port} can't be forwarded to {target}.",
                why=f"It is forwarded to {seen[forward.port]} already.",
                fix="Use a different port for each Service.",
            )
        seen[forward.port] = target
    return tuple(sorted(forwards, key=lambda forward: forward.port))


def read(path: Path) -> tuple[Forward, ...]:
    """The table as last written; empty if there is none."""
    try:
        return _TABLE.validate_json(path.read_bytes())
    except FileNotFoundError:
        return ()
    except ValidationError:
        return ()


def write(path: Path, forwards: Sequence[Forward]) -> None:
    """Replace the table atomically."""
    atomic_files.replace(path, _TABLE.dump_json(tuple(forwards), indent=2))
