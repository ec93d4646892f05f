"""What promotion requires of a model, as a tenant's file sets it. Pure."""

from typing import Annotated, Literal

from pydantic import Field

from storage.settings import Strict

_Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class Minimums(Strict):
    """Minimum metrics on held-out rows, in addition to those that the run requires."""

    accuracy: _Share | None = Field(default=None, description="Minimum accuracy on held-out rows.")
    f1_weighted: _Share | None = Field(
        default=None, description="Minimum F1 on held-out rows, weighted by class size."
    )

    def demanded(self) -> dict[str, float]:
        """Return the minimum value by metric, for metrics that have one."""
        return {name: minimum for name, minimum in self if minimum is not None}


class Gates(Strict):
    """Requirements of promotion for every model of a tenant; a run can't lower them."""

    minimums: Minimums = Field(default_factory=Minimums)
    min_held_out_rows: int = Field(default=10, ge=1, description="Minimum number of held-out rows.")
    min_gain: float = Field(
        default=0.0,
        ge=-1,
        le=1,
        allow_inf_nan=False,
        description="Minimum gain in accuracy over always predicting the most frequent class.",
    )
    compare: Literal["always", "never"] = Field(
        default="always", description="Whether the model is compared with the champion on the same rows."
    )
    max_drop: _Share = Field(
        default=0.0, description="How far a model's accuracy may be below the champion's."
    )

    def at_least(self, accuracy: float) -> "Gates":
        """Return these gates with the minimum accuracy raised to `accuracy`; never lowers it."""
        minimum = max(accuracy, self.minimums.accuracy or 0.0)
        raised = self.minimums.model_copy(update={"accuracy": minimum})
        return self.model_copy(update={"minimums": raised})
