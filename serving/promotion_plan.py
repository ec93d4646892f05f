"""The plan of a promotion, and its result."""

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict

from serving.judge import Judgement
from storage.registry.candidate import Candidate
from storage.registry.gates import Gates
from storage.registry.promotion_record import Evaluation, PromotionRecord, SmokeCheck
from storage.registry.records import AliasSnapshot
from tabular import v2
from tabular.schema import ModelSchema


class PromotionResult(BaseModel):
    """The result of a promotion; `promoted` is False if the gate was closed."""

    model_config = ConfigDict(frozen=True)

    promoted: bool
    changed: bool
    reason: str
    model: str | None = None
    digest: str | None = None
    previous_digest: str | None = None
    replaced: str = ""
    storage_uri: str | None = None
    number: int | None = None
    endpoint: str | None = None
    evaluation: Evaluation | None = None
    smoke: SmokeCheck | None = None
    request: dict[str, Any] = {}
    """A V2 request for one held-out row, to try the endpoint."""
    seconds: dict[str, float] = {}


@dataclass(frozen=True)
class PromotionPlan:
    """What will be served, and why."""

    candidate: Candidate
    schema: ModelSchema
    judged: Judgement
    gates: Gates
    held: AliasSnapshot | None
    """The alias at the time of the decision."""
    manifest: dict[str, Any]
    storage_uri: str
    number: int

    @property
    def previous(self) -> str | None:
        """Digest of the previous champion; None if there was none."""
        return self.held.record.digest if self.held else None

    @property
    def again(self) -> bool:
        """Whether the candidate is the champion already."""
        return self.previous == self.candidate.model_digest

    def record(self, answered: SmokeCheck) -> PromotionRecord:
        """Return the promotion's record for the log."""
        return PromotionRecord(
            candidate=self.candidate,
            evaluation=self.judged.evaluation,
            gates=self.gates,
            reason=self.judged.decision.reason,
            replaced=self.judged.decision.replaced,
            previous=self.previous,
            manifest=self.manifest,
            smoke=answered,
        )

    def result(self, url: str, answered: SmokeCheck, seconds: dict[str, float]) -> PromotionResult:
        """Return the result of the promotion."""
        return PromotionResult(
            promoted=True,
            changed=not self.again,
            reason=self.judged.decision.reason,
            model=self.candidate.model,
            digest=self.candidate.model_digest,
            previous_digest=self.previous,
            replaced=self.judged.decision.replaced,
            storage_uri=self.storage_uri,
            number=self.number,
            endpoint=url,
            evaluation=self.judged.evaluation,
            smoke=answered,
            request=v2.request(self.schema, self.judged.sample.table.slice(0, 1)),
            seconds=seconds,
        )
