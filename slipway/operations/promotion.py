"""Promoting the candidate of a run."""

from infra.contract import PlatformOutputs
from serving import rollout
from serving.rollout import PromotionResult
from slipway.core.report import Report, silent


def promote(
    outputs: PlatformOutputs,
    tenant: str,
    run_id: str,
    *,
    minimum: float | None = None,
    replace: bool = False,
    report: Report = silent,
) -> PromotionResult:
    """Promote the candidate of a run if promotion's own evaluation passes; raises as `rollout.promote`."""
    return rollout.promote(outputs, tenant, run_id, minimum=minimum, replace=replace, report=report)


__all__ = ["PromotionResult", "promote"]
