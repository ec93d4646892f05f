"""Promotion: from a run's candidate to a served model; if it fails, the old one is still served.

    candidate -> stage and check -> evaluate and decide -> publish (immutable) -> InferenceService
    -> ready -> smoke check on held-out rows -> log entry -> alias `champion` by compare-and-set

The alias decides what should be served. If a step fails after the InferenceService was changed,
the version that the alias points to is applied again; without alias the service is removed.
A promotion that was killed can't do so: the next one detects what it left.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from infra.contract import PlatformOutputs, TenantOutputs
from serving import access, artifact, inference, predict, smoke
from serving.champion import Champion
from serving.cluster import Cluster
from serving.endpoint import CHAMPION, READY_SECONDS, ModelEndpoint, Serving, ServingDrift
from serving.judge import Judge, Judgement
from serving.promotion_plan import PromotionPlan, PromotionResult
from serving.smoke import ANSWER_SECONDS, Ask
from slipway.core.errors import FailedError, SlipwayError, UsageError
from slipway.core.report import Report, silent
from storage.layout import checked_name
from storage.registry.candidate import Candidate
from storage.registry.gates import Gates
from storage.registry.model_files import stage
from storage.registry.promotion_record import PromotionRecord, SmokeCheck
from storage.registry.records import AliasSnapshot, Lineage
from storage.registry.registry import ConflictError, Registry
from storage.registry.run_records import find_run, read_candidate, read_evaluation
from tabular.schema import ModelSchema

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass
class Promoter:
    """Promotes one tenant's candidates. Tests inject faults by cluster, store and registry."""

    outputs: PlatformOutputs
    tenant: str
    cluster: Serving
    store: "S3Client"
    registry: Registry
    ask: Ask = predict.ask
    report: Report = silent
    ready_seconds: float = READY_SECONDS
    answer_seconds: float = ANSWER_SECONDS
    _seconds: dict[str, float] = field(default_factory=dict)

    def promote_run(
        self, run_id: str, gates: Gates | None = None, pipeline: str | None = None, *, replace: bool = False
    ) -> PromotionResult:
        """Promote the candidate of a run, if it has one and the gates pass; raises as `promote`."""
        run_uri = find_run(self.store, self._place.pipeline_root, run_id, pipeline)
        candidate = read_candidate(self.store, run_uri)
        if candidate is None:
            return PromotionResult(promoted=False, changed=False, reason=self._why_not(run_id, run_uri))
        return self.promote(candidate, gates, replace=replace)

    def promote(
        self, candidate: Candidate, gates: Gates | None = None, *, replace: bool = False
    ) -> PromotionResult:
        """Promote a candidate, if promotion's own evaluation passes the gates.

        Args:
            candidate: The candidate that a run wrote.
            gates: The gates to pass; the tenant's own by default.
            replace: Whether the user accepts that it can't be compared with the champion.

        Raises:
            UsageError: It may not be promoted; nothing was changed.
            ConflictError: Another promotion finished first; its version is served.
            FailedError: A step failed; the version before is still served.
        """
        self._seconds = {}
        self._require_own(candidate)
        endpoint = self._endpoint(candidate.model)
        held = self.registry.read_alias(candidate.model, CHAMPION)
        drift = endpoint.drift(held)
        if drift:
            self.report(str(drift))
        # Everything is checked before anything is published or applied.
        with self._timed("check and copy"), stage(self.store, candidate.model_uri) as staged:
            self.report(f"checking {candidate.model_digest[:12]}: digest, files, graph")
            model = artifact.load(staged, candidate.model_digest)
            judge = Judge(self.store, gates or self._place.gates, self.report)
            with self._timed("evaluate"):
                judged = judge.judge(candidate, model, self._champion(held), replace=replace)
            decision = judged.decision
            self.report(f"decision: {'promote' if decision.promote else 'keep'}: {decision.reason}")
            if not decision.promote:
                self._settle(endpoint, drift)
                return PromotionResult(
                    promoted=False,
                    changed=False,
                    reason=decision.reason,
                    model=candidate.model,
                    evaluation=judged.evaluation,
                )
            # The gate is closed unless it is certain that the version would not expire.
            self.registry.require_kept(candidate.model, staged.digest)
            plan = self._plan(endpoint, candidate, model.schema, judged, judge.gates, held)
            lineage = Lineage.of(candidate, judged.evaluation.metrics, model.schema.frameworks)
            self.registry.publish(candidate.model, staged, lineage)
        try:
            return self._roll_out(endpoint, plan)
        except BaseException as error:
            self._reinstate(endpoint, error)
            raise

    @property
    def _place(self) -> TenantOutputs:
        return self.outputs.tenants[self.tenant]

    def _endpoint(self, model: str) -> ModelEndpoint:
        return ModelEndpoint(
            self.cluster, self.registry, self.outputs, self.tenant, model, self.report, self.ready_seconds
        )

    def _settle(self, endpoint: ModelEndpoint, drift: ServingDrift | None) -> None:
        """Restore the champion after an abandoned promotion, because this one does not replace it."""
        if drift and drift.abandoned:
            self.report(endpoint.reinstate())
        elif drift:
            self.report("left unchanged; if no promotion is running, promote again in ten minutes")

    @contextmanager
    def _timed(self, step: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        self._seconds[step] = time.monotonic() - started

    def _why_not(self, run_id: str, run_uri: str) -> str:
        evaluation = read_evaluation(self.store, run_uri)
        if evaluation is None:
            return f"run {run_id} has no candidate and no evaluation; did it finish?"
        accuracy = evaluation.metrics.get("accuracy", float("nan"))
        return (
            f"run {run_id} missed its threshold: accuracy {accuracy:.4f} "
            f"on {evaluation.held_out_rows} held-out rows, threshold {evaluation.threshold:g}"
        )

    def _require_own(self, candidate: Candidate) -> None:
        """Refuse a candidate that names anything outside this tenant's runs and data: it is untrusted."""
        checked_name("model", candidate.model)
        for what, uri, root in (
            ("model", candidate.model_uri, self._place.pipeline_root),
            ("data", candidate.data_uri, self._place.data_uri),
        ):
            below = root.rstrip("/") + "/"
            if not uri.startswith(below) or {"", ".", ".."} & set(uri.removeprefix(below).split("/")):
                raise UsageError(
                    f"The candidate's {what} is not {self.tenant}'s.",
                    why=f"{uri} is not below {below}.",
                )

    def _champion(self, held: AliasSnapshot | None) -> Champion | None:
        """Return the current champion; FailedError if the log does not record its promotion."""
        if held is None:
            return None
        model = held.record.model
        entry = self.registry.read_history(model, held.record.history)
        if entry is None or entry.digest != held.record.digest:
            raise FailedError(
                f"The log of {model} does not say how its champion got there.",
                why=f"Entry {held.record.history} is missing or names another version.",
            )
        return Champion(self.store, self.registry, held)

    def _plan(
        self,
        endpoint: ModelEndpoint,
        candidate: Candidate,
        schema: ModelSchema,
        judged: Judgement,
        gates: Gates,
        held: AliasSnapshot | None,
    ) -> PromotionPlan:
        """Plan what is to be served before it is published: a value may not fit an InferenceService."""
        uri = f"{self._place.models_uri}/{candidate.model}/versions/{candidate.model_digest}/files"
        if held is not None and held.record.digest == candidate.model_digest:
            # The champion again: it keeps the lineage of the run that promoted it.
            manifest, number = endpoint.recorded(held), held.record.number
        else:
            number = held.record.number + 1 if held else 1
            served = inference.ServedVersion(
                model=candidate.model,
                digest=candidate.model_digest,
                storage_uri=uri,
                promotion=number,
                run_id=candidate.run_id,
                pipeline_digest=candidate.pipeline_digest,
                git_commit=candidate.git_commit,
                data_sha256=candidate.data_sha256,
            )
            manifest = inference.manifest(self.outputs, self.tenant, served)
        return PromotionPlan(candidate, schema, judged, gates, held, manifest, uri, number)

    def _roll_out(self, endpoint: ModelEndpoint, plan: PromotionPlan) -> PromotionResult:
        candidate, held = plan.candidate, plan.held
        url = predict.url_of(self.outputs, self.tenant, candidate.model)
        with self._timed("roll out"):
            endpoint.serve(plan.manifest, plan.storage_uri)
        with self._timed("first answer"):
            sample = plan.judged.sample
            answered = smoke.check(self.ask, url, plan.schema, sample, self.report, self.answer_seconds)
        record = plan.record(answered)
        if plan.again:
            self._note_again(record)
        else:
            digest = candidate.model_digest
            entry = self.registry.append_history(candidate.model, "promoted", digest, record)
            moved = self.registry.move_alias(
                candidate.model, CHAMPION, digest, expected=held, history=entry.number
            )
            self.report(f"{candidate.model}@{CHAMPION} is {digest[:12]}, promotion {moved.number}")
        seconds = {name: round(value, 2) for name, value in self._seconds.items()}
        return plan.result(url, answered, seconds)

    def _note_again(self, record: PromotionRecord) -> None:
        """Log a run that made the same bytes as the champion: one version then has two origins."""
        candidate = record.candidate
        history = self.registry.history(candidate.model)
        known = {entry.run_id for entry in history if entry.digest == candidate.model_digest}
        if candidate.run_id not in known:
            self.registry.append_history(candidate.model, "reproduced", candidate.model_digest, record)
            self.report(f"run {candidate.run_id} made the same bytes as the champion: logged")

    def _reinstate(self, endpoint: ModelEndpoint, cause: BaseException) -> None:
        """Serve again the version that the alias points to, and add the outcome to the error."""
        try:
            outcome = endpoint.reinstate(wait=isinstance(cause, Exception))
        except SlipwayError as error:
            outcome = (
                f"Serving the champion again failed too: {error.what} "
                "Until the command is run again, the new version may serve."
            )
        self.report(outcome)
        cause.add_note(outcome)
        if isinstance(cause, SlipwayError):
            cause.why = " ".join(part for part in (cause.why, outcome) if part)
            cause.args = (" ".join(part for part in (cause.what, cause.why, cause.fix) if part),)


def promote(
    outputs: PlatformOutputs,
    tenant: str,
    run_id: str,
    *,
    pipeline: str | None = None,
    minimum: float | None = None,
    replace: bool = False,
    report: Report = silent,
) -> PromotionResult:
    """Promote the candidate of a finished run to the tenant's endpoint.

    `minimum` is a minimum accuracy in addition to the tenant's gates; it can't lower them.

    Raises:
        UsageError: No such tenant or run, or it needs `replace`.
        FailedError: A step failed; the version before is still served.
    """
    gates = outputs.tenant(tenant).gates
    if minimum is not None:
        gates = gates.at_least(minimum)
    return open_promoter(outputs, tenant, report).promote_run(run_id, gates, pipeline, replace=replace)


def open_promoter(outputs: PlatformOutputs, tenant: str, report: Report = silent) -> Promoter:
    """Open cluster and store with the tenant's promotion credential."""
    store = access.open_store(outputs, tenant, "promoter")
    registry = Registry(store, outputs.store.models_bucket, tenant)
    return Promoter(outputs, tenant, Cluster.of(outputs), store, registry, report=report)


__all__ = [
    "CHAMPION",
    "ConflictError",
    "Promoter",
    "PromotionResult",
    "SmokeCheck",
    "open_promoter",
    "promote",
]
