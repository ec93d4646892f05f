"""What the registry keeps: versions, aliases and the promotion log, as they stand in the store."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from storage.model_files import Digest, File


class Entry(BaseModel):
    """A version, an alias or a log entry; strict, as it crosses the store."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Manifest(Entry):
    """What a version consists of; its presence is what makes it a version."""

    schema_version: Literal[1] = 1
    tenant: str
    model: str
    digest: Digest
    files: tuple[File, ...]


class Alias(Entry):
    """Where an alias points. `number` grows by one with every move and never comes back."""

    schema_version: Literal[1] = 1
    tenant: str
    model: str
    alias: str
    digest: Digest
    number: int = Field(ge=1)
    history: int = Field(ge=1, description="Number of the log entry that tells why.")
    moved_at: datetime
    token: str = Field(description="Random; tells our own write from another's after a lost answer.")


class HistoryEntry(Entry):
    """One line of the promotion log."""

    schema_version: Literal[1] = 1
    tenant: str
    model: str
    number: int = Field(ge=1)
    event: str
    digest: Digest
    at: datetime
    token: str
    details: dict[str, Any]


@dataclass(frozen=True)
class Held:
    """An alias as it was read, with the ETag that a move must match."""

    record: Alias
    etag: str


@dataclass(frozen=True)
class ModelVersion:
    """A published version."""

    tenant: str
    model: str
    digest: str
    storage_uri: str
    files: tuple[File, ...]
