"""A training job: what to train, for which tenant. It is checked before anything is started."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from pydantic import ValidationError

from slipway.core.errors import UsageError
from slipway.operations import data_files
from storage.layout import checked_name
from tabular.schema import ReadOptions, Split

if TYPE_CHECKING:
    from tabular.summary import Summary

Pipeline = Literal["training", "iris"]
"""Names in `pipelines.compile`, which takes seconds to import."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One training job."""

    tenant: str
    pipeline: Pipeline
    model: str
    data: Path | None = None
    """CSV or Parquet file; None takes a data set of scikit-learn: iris, or Wisconsin for `training`."""
    read: ReadOptions = field(default_factory=ReadOptions)
    split: Split = field(default_factory=Split)
    threshold: float | None = None
    """Accuracy on held-out rows that the model must reach; None takes the pipeline's default."""
    replace: bool = False
    """Whether a champion may be replaced that the model can't be compared with."""

    @property
    def sample(self) -> Literal["iris", "wisconsin"]:
        """The data set that is used if the user gives none."""
        return "iris" if self.pipeline == "iris" else "wisconsin"

    def check(self) -> "Summary | None":
        """Refuse a job that can't work; return the summary of the user's data, if there is any.

        Raises:
            UsageError: The name, the threshold or the data can't be used.
        """
        checked_name("model", self.model)
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise UsageError(f"--threshold {self.threshold:g} can't be an accuracy.", fix="Give 0 to 1.")
        if self.data is None:
            if self.read != ReadOptions():
                raise UsageError(
                    "--target, --drop and --missing say how to read a file, and no file is given.",
                    fix="Name it with --data.",
                )
            return None
        return data_files.inspect(self.data, self.read, self.split)


def pipeline_named(name: str) -> Pipeline:
    """Return a pipeline's name; UsageError if there is none of that name."""
    known: tuple[Pipeline, ...] = get_args(Pipeline)
    for pipeline in known:
        if pipeline == name:
            return pipeline
    raise UsageError(f"There is no pipeline {name!r}.", fix=f"Choose one of {', '.join(known)}.")


def model_name(data: Path) -> str:
    """Return the default name of a model that is trained on a file."""
    plain = "".join(c if c.isascii() and c.isalnum() else "-" for c in data.stem.lower()).strip("-")
    name = plain if plain[:1].isalpha() else f"model-{plain}"
    return name[:40].rstrip("-")


def read_options(target: str, drop: list[str], missing: list[str] | None) -> ReadOptions:
    """Return a command's options for the reader; UsageError if they are invalid."""
    if not target.strip():
        raise UsageError("--target is empty.", fix="Name the column to predict.")
    arguments = {} if missing is None else {"missing": tuple(missing)}
    return ReadOptions(target=target.strip(), drop=tuple(drop), **arguments)


def split_options(test_split: float, seed: int) -> Split:
    """Return a command's options for the split; UsageError if they are invalid."""
    try:
        return Split(test_split=test_split, seed=seed)
    except ValidationError as error:
        if error.errors()[0]["loc"] == ("seed",):
            raise UsageError(f"--seed {seed} can't be used.", fix="Give 0 to 2147483647.") from error
        raise UsageError(
            f"--test-split {test_split:g} can't be a share of the rows.",
            fix="Give more than 0 and less than 1.",
        ) from error
