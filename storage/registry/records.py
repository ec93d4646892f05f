"""What the registry keeps: versions, aliases and the promotion log, as they are stored. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from storage.registry.candidate import Candidate
from storage.registry.promotion_record import Details
from storage.registry.version_files import Digest, File


class Entry(BaseModel):
    """A version, an alias or a log entry; strict, because it is read from the store."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Lineage(Entry):
    """What a version was made from, and by what."""

    run_id: str
    pipeline_digest: str = Field(description="SHA-256 of the compiled pipeline.")
    git_commit: str
    data_uri: str
    data_sha256: str
    metrics: dict[str, float | None]
    frameworks: dict[str, str]

    @classmethod
    def of(
        cls, candidate: Candidate, metrics: Mapping[str, float], frameworks: Mapping[str, str]
    ) -> "Lineage":
        """Return what a candidate was made from, with the figures that promotion measured."""
        return cls(
            run_id=candidate.run_id,
            pipeline_digest=candidate.pipeline_digest,
            git_commit=candidate.git_commit,
            data_uri=candidate.data_uri,
            data_sha256=candidate.data_sha256,
            metrics=dict(metrics),
            frameworks=dict(frameworks),
        )


class Manifest(Entry):
    """What a version consists of; its presence is what makes it a version.

    A digest identifies bytes: two runs that produce the same bytes produce one version. The lineage is
    that of the first run; every later one is in the log. Records of schema 1 have none.
    """

    schema_version: Literal[1, 2] = 2
    tenant: str
    model: str
    digest: Digest
    files: tuple[File, ...]
    lineage: Lineage | None = None
    by: str = ""
    at: datetime | None = None


class Alias(Entry):
    """Where an alias points. `number` grows by one with every move and never comes back."""

    schema_version: Literal[1, 2] = 2
    tenant: str
    model: str
    alias: str
    digest: Digest
    number: int = Field(ge=1)
    history: int = Field(ge=1, description="Number of the log entry that records why.")
    moved_at: datetime
    token: str = Field(description="Random; identifies our own write after a lost answer.")
    run_id: str = Field(default="", description="The run whose candidate was promoted.")
    by: str = Field(default="", description="Who moved it; empty in schema 1.")

    def __str__(self) -> str:
        """Return who moved it where, for the message of a conflict."""
        run = f" of run {self.run_id}" if self.run_id else ""
        return (
            f"{self.by or 'somebody'} pointed it at {self.digest[:12]}{run}"
            f" by move {self.number} at {self.moved_at:%Y-%m-%d %H:%M:%S %Z}"
        )


class HistoryEntry(Entry):
    """One line of the promotion log."""

    schema_version: Literal[1, 2] = 2
    tenant: str
    model: str
    number: int = Field(ge=1)
    event: str
    digest: Digest
    at: datetime
    token: str
    by: str = ""
    details: Details

    @property
    def run_id(self) -> str:
        """The run that the entry names; empty where it names none."""
        return self.details.candidate.run_id


@dataclass(frozen=True)
class AliasSnapshot:
    """An alias as it was read, with the ETag that a move must match."""

    record: Alias
    etag: str


class ModelVersion(Manifest):
    """A published version: its manifest, and where the files are."""

    storage_uri: str

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)
