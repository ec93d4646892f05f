"""Promotion: from a run's candidate to a model that serves, or to the old one still serving.

    candidate -> decide -> stage and check -> publish (immutable) -> InferenceService -> ready
    -> smoke check on held-out rows -> log entry -> alias `champion` by compare-and-set

The alias is the truth about what should serve. Whatever fails after the InferenceService was
touched, what the alias names is applied again; where it names nothing, the service is removed.
A promotion that was killed can't do so: the next one notices what it left.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from infra.contract import PlatformOutputs, TenantOutputs
from serving import access, artifact, inference, smoke
from serving.cluster import Cluster
from serving.endpoint import CHAMPION, READY_SECONDS, Endpoint, Serving, Stray
from serving.predict import predict, url_of
from serving.promotion import Champion, Decision, Rules, decide
from serving.smoke import ANSWER_SECONDS, Ask, SmokeCheck
from storage.candidate import Candidate
from storage.errors import FailedError, SlipwayError, UsageError
from storage.layout import checked_name
from storage.model_files import stage
from storage.records import Held, Lineage, ModelVersion
from storage.registry import ConflictError, Registry
from storage.report import Report, silent
from storage.runs import find_run, read_candidate, read_evaluation

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class PromotionResult(BaseModel):
    """How a promotion ended; `promoted` is False where the gate was closed."""

    model_config = ConfigDict(frozen=True)

    promoted: bool
    changed: bool
    reason: str
    model: str | None = None
    digest: str | None = None
    previous_digest: str | None = None
    storage_uri: str | None = None
    number: int | None = None
    endpoint: str | None = None
    metrics: dict[str, float | None] = {}
    smoke: SmokeCheck | None = None
    seconds: dict[str, float] = {}


@dataclass
class Promoter:
    """Promotes one tenant's candidates. Its collaborators are given, so that faults can be, too."""

    outputs: PlatformOutputs
    tenant: str
    cluster: Serving
    runs: "S3Client"
    registry: Registry
    ask: Ask = predict
    report: Report = silent
    ready_seconds: float = READY_SECONDS
    answer_seconds: float = ANSWER_SECONDS
    _seconds: dict[str, float] = field(default_factory=dict)

    def promote_run(self, run_id: str, rules: Rules, pipeline: str | None = None) -> PromotionResult:
        """Promote the candidate of a run, if it has one and the rules let it pass."""
        run_uri = find_run(self.runs, self._place.pipeline_root, run_id, pipeline)
        candidate = read_candidate(self.runs, run_uri)
        if candidate is None:
            return PromotionResult(promoted=False, changed=False, reason=self._why_not(run_id, run_uri))
        return self.promote(candidate, rules)

    def promote(self, candidate: Candidate, rules: Rules) -> PromotionResult:
        """Promote a candidate, if the rules let it pass.

        Raises:
            ConflictError: Another promotion won; what it promoted serves.
            FailedError: Something failed; what served before serves.
        """
        self._seconds = {}
        self._require_own(candidate)
        endpoint = self._endpoint(candidate.model)
        held = self.registry.read_alias(candidate.model, CHAMPION)
        stray = endpoint.stray(held)
        if stray:
            self.report(str(stray))
        decision = decide(candidate, rules, self._champion(candidate.model, held))
        self.report(f"decision: {'promote' if decision.promote else 'keep'}: {decision.reason}")
        if not decision.promote:
            self._settle(endpoint, stray)
            return PromotionResult(
                promoted=False,
                changed=False,
                reason=decision.reason,
                model=candidate.model,
                metrics=candidate.metrics,
            )
        version = self._publish(candidate)
        try:
            return self._roll_out(endpoint, candidate, version, held, decision)
        except BaseException as error:
            self._reinstate(endpoint, error)
            raise

    @property
    def _place(self) -> TenantOutputs:
        return self.outputs.tenants[self.tenant]

    def _endpoint(self, model: str) -> Endpoint:
        return Endpoint(
            self.cluster, self.registry, self._place.namespace, model, self.report, self.ready_seconds
        )

    def _settle(self, endpoint: Endpoint, stray: Stray | None) -> None:
        """Put back what an earlier promotion left, as this one is not going to replace it."""
        if stray and stray.abandoned:
            self.report(endpoint.reinstate())
        elif stray:
            self.report("left as it is; if no promotion is under way, promote again in ten minutes")

    @contextmanager
    def _timed(self, what: str) -> Iterator[None]:
        begun = time.monotonic()
        yield
        self._seconds[what] = time.monotonic() - begun

    def _why_not(self, run_id: str, run_uri: str) -> str:
        found = read_evaluation(self.runs, run_uri)
        if found is None:
            return f"run {run_id} has no candidate and no evaluation; did it finish?"
        return (
            f"run {run_id} missed its threshold: accuracy {found.metrics.get('accuracy', float('nan')):.4f} "
            f"on {found.held_out_rows} held-out rows, threshold {found.threshold:g}"
        )

    def _require_own(self, candidate: Candidate) -> None:
        """The candidate is a run's word; it may only name what lies in this tenant's runs."""
        checked_name("model", candidate.model)
        root = self._place.pipeline_root.rstrip("/") + "/"
        parts = candidate.model_uri.removeprefix(root).split("/")
        if not candidate.model_uri.startswith(root) or {"", ".", ".."} & set(parts):
            raise UsageError(
                f"The candidate's model is not one of {self.tenant}'s runs.",
                why=f"{candidate.model_uri} does not lie below {root}.",
            )

    def _champion(self, model: str, held: Held | None) -> Champion | None:
        if held is None:
            return None
        entry = self.registry.read_history(model, held.record.history)
        if entry is None or entry.digest != held.record.digest:
            raise FailedError(
                f"The log of {model} does not say how its champion got there.",
                why=f"Entry {held.record.history} is missing or names another version.",
            )
        found = entry.details.get("candidate", {})
        return Champion(entry.digest, found.get("metrics", {}), found.get("data_sha256", ""))

    def _publish(self, candidate: Candidate) -> ModelVersion:
        self.report(f"checking {candidate.model_digest[:12]}: digest, files, allow-list")
        with self._timed("check and copy"), stage(self.runs, candidate.model_uri) as staged:
            artifact.check(staged, candidate)
            # Before anything is published or applied; the gate is closed where nobody can say.
            self.registry.require_kept(candidate.model, staged.digest)
            return self.registry.publish(candidate.model, staged, Lineage.of(candidate))

    def _roll_out(
        self,
        endpoint: Endpoint,
        candidate: Candidate,
        version: ModelVersion,
        held: Held | None,
        decision: Decision,
    ) -> PromotionResult:
        url = url_of(self.outputs, self.tenant, candidate.model)
        again = held is not None and held.record.digest == version.digest
        number = held.record.number + (0 if again else 1) if held else 1
        if held is not None and again:
            # The champion once more: it keeps the lineage of the run that promoted it.
            manifest = endpoint.recorded(held)
        else:
            manifest = self._manifest(candidate, version, number)
        with self._timed("roll out"):
            endpoint.serve(manifest, version.storage_uri)
        with self._timed("first answer"):
            answered = smoke.check(self.ask, url, candidate, self.report, self.answer_seconds)
        details = {
            "candidate": candidate.model_dump(exclude={"samples"}),
            "manifest": manifest,
            "previous": held.record.digest if held else None,
            "reason": decision.reason,
            "smoke": answered.model_dump(),
        }
        if again:
            self._note_again(candidate, version, details)
        else:
            entry = self.registry.append_history(candidate.model, "promoted", version.digest, details)
            moved = self.registry.move_alias(
                candidate.model, CHAMPION, version.digest, expected=held, history=entry.number
            )
            self.report(f"{candidate.model}@{CHAMPION} is {version.digest[:12]}, promotion {moved.number}")
        return PromotionResult(
            promoted=True,
            changed=not again,
            reason=decision.reason,
            model=candidate.model,
            digest=version.digest,
            previous_digest=held.record.digest if held else None,
            storage_uri=version.storage_uri,
            number=number,
            endpoint=url,
            metrics=candidate.metrics,
            smoke=answered,
            seconds={name: round(value, 2) for name, value in self._seconds.items()},
        )

    def _note_again(self, candidate: Candidate, version: ModelVersion, details: dict[str, Any]) -> None:
        """Log a run that made the very bytes that are served: they are one version with two origins."""
        known = {
            entry.run_id for entry in self.registry.history(candidate.model) if entry.digest == version.digest
        }
        if candidate.run_id not in known:
            self.registry.append_history(candidate.model, "reproduced", version.digest, details)
            self.report(f"run {candidate.run_id} made the same bytes as the champion: logged")

    def _manifest(self, candidate: Candidate, version: ModelVersion, number: int) -> dict[str, Any]:
        served = inference.ServedVersion(
            model=candidate.model,
            digest=version.digest,
            storage_uri=version.storage_uri,
            promotion=number,
            run_id=candidate.run_id,
            pipeline_version=candidate.pipeline_version,
            git_commit=candidate.git_commit,
            data_sha256=candidate.data_sha256,
        )
        return inference.manifest(self.outputs, self.tenant, served)

    def _reinstate(self, endpoint: Endpoint, cause: BaseException) -> None:
        """Serve again what the alias names, and add to the failure how that went."""
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
    rules: Rules | None = None,
    report: Report = silent,
) -> PromotionResult:
    """Promote the candidate of a finished run to the tenant's endpoint.

    Raises:
        UsageError: No such tenant or run.
        FailedError: It failed on the way; what served before still serves.
    """
    return open_promoter(outputs, tenant, report).promote_run(run_id, rules or Rules(), pipeline)


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
