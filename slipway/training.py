"""One training job from data to an answer: upload, run, gate, promote, ask. Calls services only."""

import json
import shlex
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from infra.contract import PlatformOutputs
from pipelines import client as kfp_client
from pipelines import data as datasets
from pipelines import outcome, run, upload
from serving import access, predict, rollout
from serving.promotion import Rules
from storage.candidate import Candidate
from storage.errors import UsageError
from storage.layout import checked_name
from storage.report import Report, silent

Pipeline = Literal["training", "iris"]
SHOWN: int = 5
"""How many rows a prediction is shown for."""


class TrainedModel(BaseModel):
    """What became of one training job."""

    model_config = ConfigDict(frozen=True)

    name: str
    pipeline: str
    run_id: str
    run_state: str
    decision: str
    version: str | None = None
    endpoint: str | None = None
    rows: int = 0
    accuracy: float | None = None
    expected: str = ""
    predicted: str = ""
    curl: str | None = None


@dataclass(frozen=True, kw_only=True)
class Job:
    """What to train, for whom."""

    tenant: str
    pipeline: Pipeline
    model: str
    data: Path | None = None
    """CSV with a `target` column; None takes the Wisconsin diagnostic data set. Not used by iris."""
    threshold: float | None = None
    """Accuracy on held-out rows that the model must reach; None takes the pipeline's default."""

    def check(self) -> None:
        """Refuse what can be known to be wrong before anything is uploaded or started."""
        checked_name("model", self.model)
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise UsageError(f"--threshold {self.threshold:g} can't be an accuracy.", fix="Give 0 to 1.")
        if self.data is not None and self.pipeline == "iris":
            raise UsageError(
                "The pipeline iris takes no data: it brings its own.",
                fix="Leave --data away, or run training.",
            )
        if self.data is not None:
            datasets.prepare(self.data)


def train(outputs: PlatformOutputs, job: Job, report: Report = silent) -> run.RunResult:
    """Upload the pipeline and its data, run it, and wait; raises FailedError where the run fails."""
    opened = kfp_client.open_client(outputs, job.tenant)
    report("uploading the pipeline")
    uploaded = upload.upload(opened, outputs, job.tenant, job.pipeline)
    parameters: dict[str, run.Value] = {"model_name": job.model}
    if job.threshold is not None:
        parameters["deploy_threshold"] = job.threshold
    if job.pipeline == "training":
        stored = _store_data(outputs, job, report)
        parameters |= {"data_uri": stored.uri, "data_sha256": stored.sha256}
    run_id = run.start(opened, outputs, job.tenant, uploaded, parameters)
    report(f"run {run_id}")
    result = run.wait(opened, run_id, pipeline=job.pipeline, report=report)
    result.require_success()
    return result


def _store_data(outputs: PlatformOutputs, job: Job, report: Report) -> datasets.StoredData:
    store = access.open_store(outputs, job.tenant, "editor")
    with tempfile.TemporaryDirectory() as folder:
        prepared = datasets.prepare(job.data) if job.data else datasets.wisconsin(Path(folder))
        report(f"{prepared.name}: {prepared.rows} rows, {len(prepared.features)} features")
        return datasets.upload(store, outputs, job.tenant, prepared)


def promote(
    outputs: PlatformOutputs, job: Job, result: run.RunResult, report: Report = silent
) -> TrainedModel:
    """Promote what the run proposed, and ask the endpoint for its held-out rows; or say why not."""
    promoter = rollout.open_promoter(outputs, job.tenant, report)
    left = outcome.read(promoter.runs, outputs, job.tenant, result.run_id, job.pipeline)
    told = {
        "name": job.model,
        "pipeline": job.pipeline,
        "run_id": result.run_id,
        "run_state": result.state,
    }
    if left.candidate is None:
        return TrainedModel(**told, decision=f"not promoted: {left.summary}")
    promoted = promoter.promote_run(result.run_id, Rules(), job.pipeline)
    if not promoted.promoted:
        return TrainedModel(**told, decision=f"not promoted: {promoted.reason}")
    report("asking the endpoint")
    return TrainedModel(
        **told,
        decision=f"promoted: {promoted.reason}",
        version=promoted.digest,
        **answers(outputs, job.tenant, left.candidate),
    )


def answers(outputs: PlatformOutputs, tenant: str, candidate: Candidate) -> dict[str, object]:
    """What the served model answers for the candidate's held-out rows, and how often it is right."""
    url = predict.url_of(outputs, tenant, candidate.model)
    rows = [list(sample.features) for sample in candidate.samples]
    labels = [sample.label for sample in candidate.samples]
    given = predict.predict(url, rows)
    right = sum(answer == label for answer, label in zip(given, labels, strict=True))
    return {
        "endpoint": f"{url}/infer",
        "rows": len(rows),
        "accuracy": right / len(rows),
        "expected": _shown(candidate.classes, labels),
        "predicted": _shown(candidate.classes, given),
        "curl": _curl(f"{url}/infer", rows[0]),
    }


def _shown(classes: Sequence[str], answers: Sequence[int]) -> str:
    """A few of the answers in words, from all over the rows: they may be in the order of their class."""
    step = max(1, len(answers) // SHOWN)
    return ", ".join(classes[answer] for answer in answers[::step][:SHOWN])


def _curl(url: str, row: list[float]) -> str:
    body = predict.request_body([row])
    return (
        f"curl -s {shlex.quote(url)} -H 'Content-Type: application/json' -d {shlex.quote(json.dumps(body))}"
    )
