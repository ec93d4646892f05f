"""Whether a candidate may replace the champion: a decision from data, with its reason in words. Pure."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from storage.candidate import Candidate

ACCURACY: Final = "accuracy"


class Rules(BaseModel):
    """What promotion demands, beyond the threshold of the run itself."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    minimums: Mapping[str, float] = Field(
        default_factory=dict, description="Metric -> least value on held-out rows."
    )
    min_held_out_rows: int = Field(default=10, ge=1, description="Fewer say nothing.")
    compare: Literal["always", "same-data", "never"] = Field(
        default="same-data",
        description="Whether the champion's figures bind; on other data they aren't comparable.",
    )
    max_drop: float = Field(default=0.0, ge=0, description="How far below the champion is tolerated.")


@dataclass(frozen=True)
class Champion:
    """What serves now, as its promotion recorded it."""

    digest: str
    metrics: Mapping[str, float | None]
    data_sha256: str


@dataclass(frozen=True)
class Decision:
    """The verdict, and why."""

    promote: bool
    reason: str


def decide(candidate: Candidate, rules: Rules, champion: Champion | None) -> Decision:
    """Hold the candidate against its threshold, the rules and the champion.

    A figure that is missing or not a number closes the gate: what can't be judged isn't promoted.
    """
    demands = {ACCURACY: candidate.threshold}
    for metric, least in rules.minimums.items():
        # Not max(): it drops a NaN or keeps it, depending on the order of its arguments.
        known = demands.get(metric, least)
        demands[metric] = known if known > least or math.isnan(known) else least
    refusals = [
        problem
        for metric, least in sorted(demands.items())
        if (problem := _below(metric, candidate.metrics.get(metric), least))
    ]
    if candidate.held_out_rows < rules.min_held_out_rows:
        refusals.append(f"judged on {candidate.held_out_rows} rows, it takes {rules.min_held_out_rows}")
    if refusals:
        return Decision(False, "; ".join(refusals))
    reached = ", ".join(
        f"{metric} {candidate.metrics[metric]:.4f} >= {least:g}" for metric, least in sorted(demands.items())
    )
    if champion is None:
        return Decision(True, f"{reached}; nothing is served yet")
    if champion.digest == candidate.model_digest:
        return Decision(True, f"{reached}; it is the champion already")
    worse, words = _against(candidate, rules, champion)
    return Decision(not worse, words if worse else f"{reached}; {words}")


def _below(metric: str, value: float | None, least: float) -> str | None:
    if not math.isfinite(least):
        return f"the threshold of {metric} is {least}, which nothing can be held against"
    if value is None or not math.isfinite(value):
        return f"{metric} is {'missing' if value is None else value}, so the gate can't be evaluated"
    return f"{metric} {value:.4f} is below {least:g}" if value < least else None


def _against(candidate: Candidate, rules: Rules, champion: Champion) -> tuple[bool, str]:
    """Whether the candidate is worse than the champion, and the words for it."""
    if rules.compare == "never":
        return False, "the champion was not compared"
    if rules.compare == "same-data" and champion.data_sha256 != candidate.data_sha256:
        return False, "the champion was judged on other data"
    mine, theirs = candidate.metrics.get(ACCURACY), champion.metrics.get(ACCURACY)
    if mine is None or theirs is None or not (math.isfinite(mine) and math.isfinite(theirs)):
        return True, "the champion has no accuracy on record, so the gate can't be evaluated"
    if mine < theirs - rules.max_drop:
        return True, f"accuracy {mine:.4f} is below the champion's {theirs:.4f} less {rules.max_drop:g}"
    return False, f"the champion has {theirs:.4f}"
