"""Whether a candidate may replace the champion: a decision from figures, with its reason in words. Pure.

All figures are promotion's own; a run's figures are compared with them and decide nothing. What a run
demands of itself, its threshold, can only be raised by the gates of the tenant.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from slipway.core.errors import FailedError
from storage.registry.candidate import Candidate
from storage.registry.gates import Gates
from storage.registry.promotion_record import ChampionFigures
from tabular.metrics import ACCURACY, FEW_ROWS, Scores

TOLERANCE: Final = 1e-9
"""Shares of rows are compared; what is smaller than this is the rounding of a subtraction."""
NAMED: Final = 5
"""How many classes a warning names."""


@dataclass(frozen=True)
class Decision:
    """The verdict, and why."""

    promote: bool
    reason: str
    replaced: str = ""
    """What `--replace` accepted; empty where it was not needed."""


def require_same_figures(candidate: Candidate, found: Scores) -> None:
    """Refuse a candidate whose run reports something else than promotion measured.

    Raises:
        FailedError: It does; the message names both figures.
    """
    if candidate.held_out_rows != found.rows:
        raise _differs("held-out rows", candidate.held_out_rows, found.rows)
    for name in sorted({*candidate.metrics, *found.metrics}):
        reported, measured = candidate.metrics.get(name), found.metrics.get(name)
        if reported is None or measured is None or not math.isclose(reported, measured, abs_tol=1e-6):
            raise _differs(name, reported, measured)


def _differs(name: str, reported: float | None, measured: float | None) -> FailedError:
    return FailedError(
        "The run's figures are not those of its model.",
        why=f"{name}: the run reports {_shown(reported)}, promotion measured {_shown(measured)}.",
        fix="Run the pipeline again; nobody but its own steps may write a candidate.",
    )


def decide(
    candidate: Candidate,
    found: Scores,
    gates: Gates,
    champion: ChampionFigures | None,
    *,
    not_compared: str = "nothing is served yet",
    replace: bool = False,
) -> Decision:
    """Hold what promotion measured against the run's threshold, the gates and the champion.

    Args:
        candidate: For its threshold.
        found: The candidate's figures on held-out rows, and those of the baseline.
        gates: What the tenant demands.
        champion: Both models' figures on the same rows; None where there is nothing to compare.
        not_compared: Why there is nothing to compare.
        replace: Whether a person accepts a comparison on rows that the champion was trained on.
    """
    demands = demanded(candidate.threshold, gates)
    refusals = [
        problem
        for metric, least in sorted(demands.items())
        if (problem := _below(metric, found.metrics.get(metric), least))
    ]
    if found.rows < gates.min_held_out_rows:
        refusals.append(f"evaluated on {found.rows} rows; at least {gates.min_held_out_rows} are demanded")
    refusals += _no_gain(found, gates)
    if refusals:
        return Decision(False, "; ".join(refusals))
    reached = ", ".join(
        f"{metric} {found.metrics[metric]:.4f} >= {least:g}" for metric, least in sorted(demands.items())
    )
    refusal, words, replaced = (
        ("", not_compared, "") if champion is None else _against(champion, gates, replace=replace)
    )
    if refusal:
        return Decision(False, refusal)
    return Decision(True, "; ".join([reached, words, *warnings(candidate, found, gates)]), replaced)


def demanded(threshold: float, gates: Gates) -> dict[str, float]:
    """Return the least value of each metric: the higher of the run's own demand and the tenant's."""
    demands = {ACCURACY: threshold}
    for metric, least in gates.minimums.demanded().items():
        # Not max(): it drops a NaN or keeps it, depending on the order of its arguments.
        known = demands.get(metric, least)
        demands[metric] = known if known > least or math.isnan(known) else least
    return demands


def warnings(candidate: Candidate, found: Scores, gates: Gates) -> list[str]:
    """Return what a person should know although the gate is open."""
    said = []
    least = demanded(candidate.threshold, gates)[ACCURACY]
    baseline = found.baseline[ACCURACY]
    if baseline >= least - TOLERANCE:
        said.append(
            f"warning: always answering {found.majority!r} reaches accuracy {baseline:.4f} too, "
            f"and {least:g} is demanded"
        )
    if found.few:
        shown = ", ".join(f"{name!r} {count}" for name, count in list(found.few.items())[:NAMED])
        more = f" and {len(found.few) - NAMED} more" if len(found.few) > NAMED else ""
        said.append(f"warning: fewer than {FEW_ROWS} held-out rows of a class: {shown}{more}")
    if candidate.differing_rows:
        said.append(
            f"warning: the run's scikit-learn model answers {candidate.differing_rows} of "
            f"{candidate.held_out_rows} held-out rows differently than the ONNX model that is served"
        )
    return said


def _below(metric: str, value: float | None, least: float) -> str | None:
    if not math.isfinite(least):
        return f"the threshold of {metric} is {least}, which nothing can be held against"
    if value is None or not math.isfinite(value):
        return f"{metric} is {'missing' if value is None else value}, so the gate can't be evaluated"
    return f"{metric} {value:.4f} is below {least:g}" if value < least - TOLERANCE else None


def _no_gain(found: Scores, gates: Gates) -> list[str]:
    gain = found.metrics[ACCURACY] - found.baseline[ACCURACY]
    if gain >= gates.min_gain - TOLERANCE:
        return []
    return [
        f"accuracy {found.metrics[ACCURACY]:.4f} is not {gates.min_gain:g} above "
        f"{found.baseline[ACCURACY]:.4f}, which always answering {found.majority!r} reaches"
    ]


def _against(champion: ChampionFigures, gates: Gates, *, replace: bool) -> tuple[str, str, str]:
    """Return why the candidate is refused, else what is said of the champion and what was accepted."""
    mine, theirs = _accuracy(champion.candidate), _accuracy(champion.metrics)
    where = f"on the same {champion.rows} rows"
    if mine >= theirs - gates.max_drop - TOLERANCE:
        return "", f"the champion has {theirs:.4f} {where}", ""
    worse = f"accuracy {mine:.4f} is below the champion's {theirs:.4f} {where}"
    worse += f" less {gates.max_drop:g}" if gates.max_drop else ""
    if champion.unseen:
        return worse, "", ""
    if replace:
        accepted = f"{worse}, some of which it was trained on"
        return "", f"--replace accepts: {accepted}", accepted
    return f"{worse}, some of which it was trained on; --replace accepts that", "", ""


def _accuracy(metrics: Mapping[str, float]) -> float:
    return metrics[ACCURACY]


def _shown(value: float | None) -> str:
    return "nothing" if value is None else f"{value:.6g}"
