"""Reads the results of a finished run: the evaluation of its model, and the candidate if it passed."""

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from infra.contract import PlatformOutputs
from storage.registry.candidate import Candidate, RunEvaluation
from storage.registry.run_records import find_run, read_candidate, read_evaluation

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class RunOutcome(BaseModel):
    """The results of a run, read from its artifacts."""

    model_config = ConfigDict(frozen=True)

    run_id: str
    run_uri: str
    evaluation: RunEvaluation | None
    candidate: Candidate | None

    @property
    def summary(self) -> str:
        """A one-line summary."""
        if self.evaluation is None:
            return "the run did not get as far as an evaluation"
        figures = ", ".join(f"{name} {value:.4f}" for name, value in sorted(self.evaluation.metrics.items()))
        verdict = "reached" if self.evaluation.passed else "missed, so nothing is proposed"
        return (
            f"{figures} on {self.evaluation.held_out_rows} held-out rows; "
            f"threshold {self.evaluation.threshold} {verdict}"
        )


def read(client: "S3Client", outputs: PlatformOutputs, tenant: str, run_id: str, pipeline: str) -> RunOutcome:
    """Read the results of a finished run of `pipeline` under the tenant's pipeline root."""
    root = outputs.tenant(tenant).pipeline_root
    run_uri = find_run(client, root, run_id, pipeline)
    return RunOutcome(
        run_id=run_id,
        run_uri=run_uri,
        evaluation=read_evaluation(client, run_uri),
        candidate=read_candidate(client, run_uri),
    )
