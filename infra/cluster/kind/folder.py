"""The private folder of a cluster: its kubeconfig, and the record that this user's Slipway made it."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from infra.cluster.kind.engine import Node
from slipway.core import atomic_files


class Record(BaseModel):
    """Who made the cluster, and how far that came."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    owner: str
    """As in the inputs."""

    engine: str
    node_ids: tuple[str, ...] = ()
    """Its containers; none until kind has finished."""

    def is_of(self, nodes: Sequence[Node]) -> bool:
        """Return whether these are the containers that were made, as far as that is known."""
        return not self.node_ids or set(self.node_ids) == {node.id for node in nodes}


def data_root() -> Path:
    """Return this user's folder for Slipway's data."""
    home = os.environ.get("XDG_DATA_HOME")
    return (Path(home) if home else Path.home() / ".local" / "share") / "slipway"


def folder(cluster: str) -> Path:
    """Return the folder of a cluster (0700), whether it exists or not."""
    return data_root() / "kind" / cluster


def kubeconfig(cluster: str) -> Path:
    """Return the path of the administrator's kubeconfig (0600)."""
    return folder(cluster) / "kubeconfig"


def read_record(cluster: str) -> Record | None:
    """Return the record, or None if this user's Slipway made no such cluster."""
    try:
        return Record.model_validate_json((folder(cluster) / "cluster.json").read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def write_record(cluster: str, record: Record) -> None:
    """Keep the record."""
    folder(cluster).mkdir(mode=0o700, parents=True, exist_ok=True)
    atomic_files.replace(
        folder(cluster) / "cluster.json", record.model_dump_json() + "\n", mode=atomic_files.PRIVATE
    )


def make_private(path: Path) -> None:
    """Write a file again with a mode that lets its owner alone read it; its folder does so until then."""
    atomic_files.replace(path, path.read_bytes(), mode=atomic_files.PRIVATE)


def read_kubeconfig(cluster: str) -> str:
    """Return the kubeconfig; empty if there is none."""
    try:
        return kubeconfig(cluster).read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


def remove(cluster: str) -> None:
    """Remove the folder."""
    shutil.rmtree(folder(cluster), ignore_errors=True)
