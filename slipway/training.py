"""One training job from data to an answer: upload, run, gate, promote, ask. Calls services only."""

import json
import shlex
import tempfile
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from infra.contract import PlatformOutputs
from pipelines import client as kfp_client
from pipelines import data as datasets
from pipelines import outcome, run, upload
from serving import access, predict, rollout
from serving.promotion import Rules
from slipway.job import Job
from storage.candidate import Candidate
from storage.report import Report, silent
from tabular.summary import Summary

SHOWN: int = 5
"""How many rows a prediction is shown for."""


class TrainedModel(BaseModel):
    """What became of one training job."""

    model_config = ConfigDict(frozen=True)

    name: str
    pipeline: str
    run_id: str
    run_state: str
    data: Summary
    decision: str
    version: str | None = None
    endpoint: str | None = None
    rows: int = 0
    accuracy: float | None = None
    expected: str = ""
    predicted: str = ""
    curl: str | None = None


class TrainingRun(run.RunResult):
    """How a run went, and the data that it was given."""

    data: Summary


def train(
    outputs: PlatformOutputs, job: Job, checked: Summary | None, report: Report = silent
) -> TrainingRun:
    """Upload the pipeline and its data, run it, and wait.

    Args:
        outputs: The stack's outputs.
        job: What to train.
        checked: What `job.check` returned.
        report: Takes lines of progress.

    Raises:
        FailedError: The run failed.
    """
    opened = kfp_client.open_client(outputs, job.tenant)
    report("uploading the pipeline")
    uploaded = upload.upload(opened, outputs, job.tenant, job.pipeline)
    stored, data = _store_data(outputs, job, checked, report)
    parameters: dict[str, run.Value] = {
        "model_name": job.model,
        "data_uri": stored.uri,
        "data_sha256": stored.sha256,
        "test_split": job.split.test_split,
        "seed": job.split.seed,
        "read_options": job.read.model_dump_json(exclude_defaults=True),
    }
    if job.threshold is not None:
        parameters["deploy_threshold"] = job.threshold
    run_id = run.start(opened, outputs, job.tenant, uploaded, parameters)
    report(f"run {run_id}")
    result = run.wait(opened, run_id, pipeline=job.pipeline, report=report)
    result.require_success()
    return TrainingRun(**result.model_dump(), data=data)


def _store_data(
    outputs: PlatformOutputs, job: Job, checked: Summary | None, report: Report
) -> tuple[datasets.StoredData, Summary]:
    with tempfile.TemporaryDirectory() as folder:
        if job.data is not None and checked is not None:
            prepared = datasets.PreparedData(path=job.data, summary=checked)
        else:
            prepared = datasets.sample(job.sample, Path(folder), job.split)
        data = prepared.summary
        report(f"{prepared.path.name}: {data.rows} rows, {len(data.columns)} features; uploading")
        store = access.store_access(outputs, job.tenant, "editor")
        return datasets.upload(store, outputs, job.tenant, prepared), data


def promote(outputs: PlatformOutputs, job: Job, result: TrainingRun, report: Report = silent) -> TrainedModel:
    """Promote what the run proposed, and ask the endpoint for its held-out rows; or say why not."""
    promoter = rollout.open_promoter(outputs, job.tenant, report)
    left = outcome.read(promoter.runs, outputs, job.tenant, result.run_id, job.pipeline)
    told = {
        "name": job.model,
        "pipeline": job.pipeline,
        "run_id": result.run_id,
        "run_state": result.state,
        "data": result.data,
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
