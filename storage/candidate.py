"""What a run leaves for promotion: its evaluation and, past the gate, its candidate. Pure.

The pipelines write these as JSON, promotion reads them; both sides meet here.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Record(BaseModel):
    """Strict where it must be; NaN stays readable, so that the gate can refuse it by name."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Sample(Record):
    """A held-out row with its label and what the model answered in evaluation."""

    features: tuple[float, ...]
    label: int
    prediction: int


class Evaluation(Record):
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


class Candidate(Record):
    """A model that passed the gate of its run."""

    schema_version: Literal[1]
    model: str
    model_uri: str
    model_digest: Digest
    metrics: dict[str, float | None]
    threshold: float
    held_out_rows: int
    samples: tuple[Sample, ...]
    classes: tuple[str, ...]
    features: tuple[str, ...]
    frameworks: dict[str, str]
    data_uri: str
    data_sha256: str
    run_id: str = Field(min_length=1, max_length=200)
    pipeline_version: str
    git_commit: str
