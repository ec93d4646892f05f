"""One training job from data to a prediction: upload, run, gate, promote, query."""

import json
import shlex
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from infra.contract import PlatformOutputs
from pipelines import client as kfp_client
from pipelines import data as datasets
from pipelines import outcome, run, upload
from serving import access, rollout
from serving.champion import OtherQuestionsError
from slipway.core.report import Phases, Report, silent
from slipway.operations.training_job import Job
from tabular.summary import Summary


class TrainedModel(BaseModel):
    """The outcome of one training job."""

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
    """Held-out rows that promotion evaluated on."""
    accuracy: float | None = None
    baseline: float | None = None
    """Accuracy of always answering the most frequent class."""
    most_frequent: str = ""
    asked: int = 0
    """Held-out rows that were sent to the endpoint; it answered all of them as evaluated."""
    expected: str = ""
    predicted: str = ""
    curl: str | None = None

    @property
    def promoted(self) -> bool:
        """Whether the model is served: promoted now, or the champion already."""
        return self.version is not None


class TrainingRun(run.RunResult):
    """The result of a run, and its data."""

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
    """Promote the run's candidate, or say why not; the figures are those of promotion's own evaluation."""
    promoter = rollout.open_promoter(outputs, job.tenant, report)
    proposal = outcome.read(promoter.store, outputs, job.tenant, result.run_id, job.pipeline)
    fields: dict[str, Any] = {
        "name": job.model,
        "pipeline": job.pipeline,
        "run_id": result.run_id,
        "run_state": result.state,
        "data": result.data,
    }
    if proposal.candidate is None:
        return TrainedModel(**fields, decision=f"not promoted: {proposal.summary}")
    try:
        promoted = promoter.promote_run(result.run_id, pipeline=job.pipeline, replace=job.replace)
    except OtherQuestionsError as error:
        # The run succeeded and the platform is up, so this is a result and no failure: the user decides.
        return TrainedModel(**fields, decision=f"not promoted: {error}")
    evaluation = promoted.evaluation
    if evaluation is not None:
        fields |= {
            "rows": evaluation.held_out.rows,
            "accuracy": evaluation.metrics["accuracy"],
            "baseline": evaluation.baseline["accuracy"],
            "most_frequent": evaluation.most_frequent,
        }
    if promoted.smoke is None:
        return TrainedModel(**fields, decision=f"not promoted: {promoted.reason}")
    return TrainedModel(
        **fields,
        decision=f"promoted: {promoted.reason}",
        version=promoted.digest,
        endpoint=f"{promoted.endpoint}/infer",
        asked=promoted.smoke.rows,
        expected=", ".join(promoted.smoke.expected),
        predicted=", ".join(promoted.smoke.answered),
        curl=_curl(f"{promoted.endpoint}/infer", promoted.request),
    )


def train_and_promote(
    outputs: PlatformOutputs, job: Job, checked: Summary | None, phases: Phases
) -> TrainedModel:
    """Train, then promote the run's candidate; raises as `train` and `promote`."""
    with phases(f"Train {job.model}") as report:
        result = train(outputs, job, checked, report)
    with phases(f"Promote {job.model}") as report:
        return promote(outputs, job, result, report)


def _curl(url: str, body: Mapping[str, object]) -> str:
    return (
        f"curl -s {shlex.quote(url)} -H 'Content-Type: application/json' -d {shlex.quote(json.dumps(body))}"
    )
