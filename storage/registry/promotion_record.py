"""What promotion writes into the log: who evaluated which model on which rows, and what was decided. Pure."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from storage.registry.candidate import Candidate, Digest
from storage.registry.gates import Gates
from tabular.schema import ReadOptions, Split


class Part(BaseModel):
    """Strict and frozen, like every record."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class HeldOutRows(Part):
    """Which rows a model was evaluated on."""

    data_uri: str
    data_sha256: Digest
    read: ReadOptions
    split: Split
    rows: int = Field(ge=1)
    rows_sha256: Digest = Field(
        description="SHA-256 of the numbers of the rows in the table, from 0, each as 8 bytes little-endian."
    )
    few: dict[str, int] = Field(description="Classes with fewer than 5 of these rows, and how many.")
    warnings: tuple[str, ...] = Field(description="What the reader warns of in the data.")


class ChampionFigures(Part):
    """How the champion did on rows of the candidate's data."""

    digest: Digest
    rows: int = Field(ge=1, description="How many of the held-out rows both models were compared on.")
    unseen: bool = Field(description="Whether the champion was trained on none of them.")
    metrics: dict[str, float]
    candidate: dict[str, float] = Field(description="The candidate's figures on the same rows.")


class Evaluation(Part):
    """What promotion itself measured."""

    by: str = Field(description="Who ran the promotion that measured it.")
    software: dict[str, str] = Field(description="Library -> version that measured it.")
    held_out: HeldOutRows
    metrics: dict[str, float]
    reported: dict[str, float | None] = Field(description="The run's own figures, which are the same.")
    baseline: dict[str, float] = Field(description="Of always answering the most frequent class.")
    most_frequent: str
    champion: ChampionFigures | None = None
    not_compared: str = Field(default="", description="Why the champion was not evaluated.")
    warnings: tuple[str, ...] = Field(default=(), description="What weakens the decision.")


class SmokeCheck(Part):
    """What the endpoint answered to held-out rows."""

    rows: int
    agreed: int
    accuracy: float
    largest_difference: float = Field(description="Of a probability from the evaluated one.")
    expected: tuple[str, ...] = Field(description="True classes of a few of the rows.")
    answered: tuple[str, ...] = Field(description="What the endpoint answered to them.")


class PromotionRecord(Part):
    """What the log records of a promotion: the details of an entry `promoted` or `reproduced`.

    An entry `restored` has those of the entry that it restores, with the snapshot.
    """

    candidate: Candidate
    evaluation: Evaluation
    gates: Gates
    reason: str
    replaced: str = Field(default="", description="What `--replace` accepted; empty where it was not needed.")
    previous: Digest | None = Field(description="The champion before; null where there was none.")
    manifest: dict[str, Any] = Field(description="The InferenceService that was applied.")
    smoke: SmokeCheck
    snapshot: str | None = Field(default=None, description="The backup that the alias was restored from.")


class EarlierCandidate(BaseModel):
    """What every version of Slipway recorded of a candidate."""

    model_config = ConfigDict(extra="allow", frozen=True)

    run_id: str = ""
    data_uri: str = ""


class EarlierRecord(BaseModel):
    """The details of an entry that an earlier version of Slipway wrote; its additional fields are kept."""

    model_config = ConfigDict(extra="allow", frozen=True)

    candidate: EarlierCandidate = EarlierCandidate()
    reason: str = ""
    previous: Digest | None = None
    manifest: dict[str, Any] = {}
    snapshot: str | None = None


Details = Annotated[PromotionRecord | EarlierRecord, Field(union_mode="left_to_right")]
"""The details of any log entry, read as the most complete type that fits."""
