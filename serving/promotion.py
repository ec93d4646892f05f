"""Whether a candidate may replace the champion: a decision from metrics, with its reason. Pure.

All metrics are promotion's own; a run's metrics are compared with them and decide nothing. The tenant's
gates can raise the threshold that a run sets itself, but not lower it.
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
"""Differences of metrics below this are rounding errors."""
NAMED: Final = 5
"""Most classes that a warning names."""


@dataclass(frozen=True)
class Decision:
    """Whether to promote, and why."""

    promote: bool
    reason: str
    replaced: str = ""
    """What `--replace` accepted; empty if it was not needed."""


def require_same_figures(candidate: Candidate, scores: Scores) -> None:
    """Refuse a candidate whose run reports other metrics than promotion measured.

    Raises:
        FailedError: It does; the message names both values.
    """
    if candidate.held_out_rows != scores.rows:
        raise _differs("held-out rows", candidate.held_out_rows, scores.rows)
    for name in sorted({*candidate.metrics, *scores.metrics}):
        reported, measured = candidate.metrics.get(name), scores.metrics.get(name)
        if reported is None or measured is None or not math.isclose(reported, measured, abs_tol=1e-6):
            raise _differs(name, reported, measured)


def _differs(name: str, reported: float | None, measured: float | None) -> FailedError:
    return FailedError(
        "The run's figures are not those of its model.",
        why=f"{name}: the run reports {_shown(reported)}, promotion measured {_shown(measured)}.",
        fix="Run the pipeline again; only its own steps may write a candidate.",
    )


def decide(
    candidate: Candidate,
    scores: Scores,
    gates: Gates,
    champion: ChampionFigures | None,
    *,
    not_compared: str = "nothing is served yet",
    replace: bool = False,
) -> Decision:
    """Compare what promotion measured with the run's threshold, the gates and the champion.

    Args:
        candidate: Only its threshold is used.
        scores: Metrics of the candidate and of the baseline on held-out rows.
        gates: The tenant's gates.
        champion: Both models' metrics on the same rows; None if there is nothing to compare.
        not_compared: Why there is nothing to compare.
        replace: Whether the user accepts a comparison on rows that the champion was trained on.
    """
    demands = demanded(candidate.threshold, gates)
    refusals = [
        problem
        for metric, least in sorted(demands.items())
        if (problem := _below(metric, scores.metrics.get(metric), least))
    ]
    if scores.rows < gates.min_held_out_rows:
        refusals.append(f"evaluated on {scores.rows} rows; at least {gates.min_held_out_rows} are demanded")
    refusals += _no_gain(scores, gates)
    if refusals:
        return Decision(False, "; ".join(refusals))
    reached = ", ".join(
        f"{metric} {scores.metrics[metric]:.4f} >= {least:g}" for metric, least in sorted(demands.items())
    )
    refusal, comparison, replaced = (
        ("", not_compared, "") if champion is None else _against(champion, gates, replace=replace)
    )
    if refusal:
        return Decision(False, refusal)
    return Decision(True, "; ".join([reached, comparison, *warnings(candidate, scores, gates)]), replaced)


def demanded(threshold: float, gates: Gates) -> dict[str, float]:
    """Return the minimum of each metric: the higher of the run's threshold and the tenant's gate."""
    demands = {ACCURACY: threshold}
    for metric, least in gates.minimums.demanded().items():
        # Not max(): whether it returns a NaN depends on the order of its arguments.
        known = demands.get(metric, least)
        demands[metric] = known if known > least or math.isnan(known) else least
    return demands


def warnings(candidate: Candidate, scores: Scores, gates: Gates) -> list[str]:
    """Return warnings for the user, which do not close the gate."""
    texts = []
    least = demanded(candidate.threshold, gates)[ACCURACY]
    baseline = scores.baseline[ACCURACY]
    if baseline >= least - TOLERANCE:
        texts.append(
            f"warning: always answering {scores.majority!r} reaches accuracy {baseline:.4f} too, "
            f"and {least:g} is demanded"
        )
    if scores.few:
        shown = ", ".join(f"{name!r} {count}" for name, count in list(scores.few.items())[:NAMED])
        more = f" and {len(scores.few) - NAMED} more" if len(scores.few) > NAMED else ""
        texts.append(f"warning: fewer than {FEW_ROWS} held-out rows of a class: {shown}{more}")
    if candidate.differing_rows:
        texts.append(
            f"warning: the run's scikit-learn model answers {candidate.differing_rows} of "
            f"{candidate.held_out_rows} held-out rows differently than the ONNX model that is served"
        )
    return texts


def _below(metric: str, value: float | None, least: float) -> str | None:
    if not math.isfinite(least):
        return f"the threshold of {metric} is {least}, which no value can be compared with"
    if value is None or not math.isfinite(value):
        return f"{metric} is {'missing' if value is None else value}, so the gate can't be evaluated"
    return f"{metric} {value:.4f} is below {least:g}" if value < least - TOLERANCE else None


def _no_gain(scores: Scores, gates: Gates) -> list[str]:
    gain = scores.metrics[ACCURACY] - scores.baseline[ACCURACY]
    if gain >= gates.min_gain - TOLERANCE:
        return []
    return [
        f"accuracy {scores.metrics[ACCURACY]:.4f} is not {gates.min_gain:g} above "
        f"{scores.baseline[ACCURACY]:.4f}, which always answering {scores.majority!r} reaches"
    ]


def _against(champion: ChampionFigures, gates: Gates, *, replace: bool) -> tuple[str, str, str]:
    """Return why the candidate is refused, or how it compares with the champion and what was accepted."""
    candidate_accuracy, champion_accuracy = _accuracy(champion.candidate), _accuracy(champion.metrics)
    where = f"on the same {champion.rows} rows"
    if candidate_accuracy >= champion_accuracy - gates.max_drop - TOLERANCE:
        return "", f"the champion has {champion_accuracy:.4f} {where}", ""
    worse = f"accuracy {candidate_accuracy:.4f} is below the champion's {champion_accuracy:.4f} {where}"
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
