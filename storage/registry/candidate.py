"""What a run leaves for promotion: its evaluation and, past the gate, its candidate. Pure.

The pipelines write these as JSON, promotion reads them; both use these types. Anyone who can write to the
run's prefix can change a run's files. So promotion takes only the model and the name of its data from a
candidate and evaluates the model itself. The run's figures are only compared with its own.
"""

from typing import Annotated, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class RunRecord(BaseModel):
    """Strict where it must be; NaN stays readable, so that the gate can refuse it by name."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class RunEvaluation(RunRecord):
    """What the run's step `evaluate` measured on held-out rows."""

    confusion: tuple[tuple[int, ...], ...]
    held_out_rows: int
    metrics: dict[str, float]
    baseline: dict[str, float] = Field(description="Of always answering the most common class.")
    majority: str = Field(description="That class.")
    few: dict[str, int] = Field(description="Classes with few held-out rows, and how many they have.")
    differing_rows: int = Field(description="Rows that scikit-learn answers differently than ONNX.")
    model_digest: Digest
    passed: bool
    threshold: float


class Candidate(RunRecord):
    """A model that passed the gate of its run."""

    schema_version: Literal[2]
    model: str
    model_uri: str
    model_digest: Digest
    data_uri: str
    data_sha256: Digest
    run_id: str = Field(min_length=1, max_length=200)
    pipeline_digest: str = Field(
        validation_alias=AliasChoices("pipeline_digest", "pipeline_version"),
        description="SHA-256 of the compiled pipeline; earlier versions wrote it as pipeline_version.",
    )
    git_commit: str
    metrics: dict[str, float | None]
    threshold: float
    held_out_rows: int
    differing_rows: int = Field(
        ge=0, description="Held-out rows that scikit-learn answers differently than ONNX, as the run counted."
    )
