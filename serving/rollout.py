"""Promotion: from a run's candidate to a model that serves, or to the old one still serving.

    candidate -> decide -> stage and check -> publish (immutable) -> InferenceService -> ready
    -> smoke check on held-out rows -> log entry -> alias `champion` by compare-and-set

The alias is the truth about what should serve. Whatever fails after the InferenceService was
touched, what the alias names is applied again; where it names nothing, the service is removed.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

from pydantic import BaseModel, ConfigDict

from infra.contract import PlatformOutputs, TenantOutputs
from serving import access, artifact, inference
from serving.cluster import Cluster
from serving.predict import NotAnsweringError, predict, url_of
from serving.promotion import Champion, Decision, Rules, decide
from storage.candidate import Candidate
from storage.errors import FailedError, SlipwayError, UsageError
from storage.layout import checked_name
from storage.model_files import stage
from storage.registry import ConflictError, Held, ModelVersion, Registry
from storage.report import Report, silent
from storage.runs import find_run, read_candidate, read_evaluation

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CHAMPION: Final = "champion"
READY_SECONDS: Final = 300.0
ANSWER_SECONDS: Final = 30.0
"""From Ready to an answer through Service and gateway; measured in tenths of a second when idle."""
RETRY_SECONDS: Final = 0.5


class Serving(Protocol):
    """What promotion asks of a cluster; `serving.cluster.Cluster` in earnest."""

    def get(self, namespace: str, name: str) -> dict[str, Any] | None: ...
    def apply(self, manifest: dict[str, Any]) -> None: ...
    def delete(self, namespace: str, name: str) -> None: ...
    def wait_serving(
        self, namespace: str, name: str, storage_uri: str, *, report: Report, timeout: float
    ) -> None: ...


Ask = Callable[[str, Sequence[Sequence[float]]], list[int]]


class SmokeCheck(BaseModel):
    """What the endpoint answered to held-out rows."""

    model_config = ConfigDict(frozen=True)

    rows: int
    agreed: int
    accuracy: float


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
        held = self.registry.read_alias(candidate.model, CHAMPION)
        decision = decide(candidate, rules, self._champion(candidate.model, held))
        self.report(f"decision: {'promote' if decision.promote else 'keep'}: {decision.reason}")
        if not decision.promote:
            return PromotionResult(
                promoted=False,
                changed=False,
                reason=decision.reason,
                model=candidate.model,
                metrics=candidate.metrics,
            )
        version = self._publish(candidate)
        try:
            return self._roll_out(candidate, version, held, decision)
        except BaseException as error:
            self._reinstate(candidate.model, error)
            raise

    @property
    def _place(self) -> TenantOutputs:
        return self.outputs.tenants[self.tenant]

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
        begun = time.monotonic()
        self.report(f"checking {candidate.model_digest[:12]}: digest, files, allow-list")
        with stage(self.runs, candidate.model_uri) as staged:
            artifact.check(staged, candidate)
            version = self.registry.publish(candidate.model, staged)
        self._seconds["check and copy"] = time.monotonic() - begun
        return version

    def _roll_out(
        self, candidate: Candidate, version: ModelVersion, held: Held | None, decision: Decision
    ) -> PromotionResult:
        again = held is not None and held.record.digest == version.digest
        number = held.record.number + (0 if again else 1) if held else 1
        manifest = self._manifest(candidate, version, held if again else None, number)
        self._serve(manifest, version)
        smoke = self._smoke(candidate)
        if not again:
            details = {
                "candidate": candidate.model_dump(exclude={"samples"}),
                "manifest": manifest,
                "previous": held.record.digest if held else None,
                "reason": decision.reason,
                "smoke": smoke.model_dump(),
            }
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
            endpoint=url_of(self.outputs, self.tenant, candidate.model),
            metrics=candidate.metrics,
            smoke=smoke,
            seconds={name: round(value, 2) for name, value in self._seconds.items()},
        )

    def _manifest(
        self, candidate: Candidate, version: ModelVersion, same: Held | None, number: int
    ) -> dict[str, Any]:
        if same is not None:
            # The champion once more: it keeps the lineage of the run that promoted it.
            return self._recorded(candidate.model, same)
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

    def _serve(self, manifest: dict[str, Any], version: ModelVersion) -> None:
        begun = time.monotonic()
        namespace, name = self._place.namespace, version.model
        self.report(f"serving {version.storage_uri}")
        self.cluster.apply(manifest)
        self.cluster.wait_serving(
            namespace, name, version.storage_uri, report=self.report, timeout=self.ready_seconds
        )
        self._seconds["roll out"] = time.monotonic() - begun

    def _smoke(self, candidate: Candidate) -> SmokeCheck:
        """Ask for held-out rows until the endpoint answers as evaluation did.

        For a moment after Ready the gateway may still reach the old pod, so a difference is
        believed only if it stays.
        """
        if not candidate.samples:
            raise FailedError("The candidate brings no held-out rows to check its endpoint with.")
        begun = time.monotonic()
        url = url_of(self.outputs, self.tenant, candidate.model)
        rows = [sample.features for sample in candidate.samples]
        expected = [sample.prediction for sample in candidate.samples]
        while True:
            late = time.monotonic() - begun > self.answer_seconds
            try:
                answers = self.ask(url, rows)
            except NotAnsweringError:
                if late:
                    raise
            else:
                if answers == expected:
                    break
                if late:
                    wrong = sum(a != e for a, e in zip(answers, expected, strict=True))
                    raise FailedError(
                        "The endpoint does not answer as the evaluated model did.",
                        why=f"{wrong} of {len(rows)} held-out rows differ.",
                    )
            time.sleep(RETRY_SECONDS)
        self._seconds["first answer"] = time.monotonic() - begun
        right = sum(a == sample.label for a, sample in zip(answers, candidate.samples, strict=True))
        self.report(f"{len(rows)} held-out rows answered as evaluated, {right} of them right")
        return SmokeCheck(rows=len(rows), agreed=len(rows), accuracy=right / len(rows))

    def _recorded(self, model: str, held: Held) -> dict[str, Any]:
        """The manifest that the champion was promoted with."""
        entry = self.registry.read_history(model, held.record.history)
        if entry is None or "manifest" not in entry.details:
            raise FailedError(f"The log of {model} does not hold the manifest of its champion.")
        manifest: dict[str, Any] = entry.details["manifest"]
        return manifest

    def _reinstate(self, model: str, cause: BaseException) -> None:
        """Serve again what the alias names, and add to the failure how that went."""
        namespace = self._place.namespace
        try:
            held = self.registry.read_alias(model, CHAMPION)
            if held is None:
                self.cluster.delete(namespace, model)
                outcome = "No version served before, so the endpoint was removed."
            else:
                outcome = self._serve_again(model, held, wait=isinstance(cause, Exception))
        except SlipwayError as error:
            outcome = f"Serving the champion again failed too: {error}"
        self.report(outcome)
        cause.add_note(outcome)
        if isinstance(cause, SlipwayError):
            cause.why = " ".join(part for part in (cause.why, outcome) if part)
            cause.args = (" ".join(part for part in (cause.what, cause.why, cause.fix) if part),)

    def _serve_again(self, model: str, held: Held, *, wait: bool) -> str:
        digest = held.record.digest
        version = self.registry.show(model, digest)
        manifest = self._recorded(model, held)
        if not wait:
            self.cluster.apply(manifest)
            return f"Version {digest[:12]} was applied again."
        self._serve(manifest, version)
        return f"Version {digest[:12]} serves."


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


__all__ = ["ConflictError", "Promoter", "PromotionResult", "SmokeCheck", "open_promoter", "promote"]
