"""What the tasks of a run wrote."""

import httpx

from infra.contract import PlatformOutputs
from slipway.core.errors import FailedError, UsageError


def read(outputs: PlatformOutputs, run_id: str, task: str) -> str:
    """Return what a task of a run wrote, as the embedded pipelines API keeps it.

    Raises:
        UsageError: There is no such log, or another backend has it.
        FailedError: The API does not answer, or refuses.
    """
    if outputs.kfp.backend != "embedded":
        raise UsageError(
            "This command reads the logs of the embedded pipelines API only.",
            fix="Use kubectl logs on the run's pods, or the Kubeflow Pipelines UI.",
        )
    url = f"{outputs.kfp.endpoint}/apis/v2beta1/runs/{run_id}/tasks/{task}/log"
    try:
        answer = httpx.get(url, timeout=30)
    except httpx.HTTPError as error:
        raise FailedError("The Pipelines API does not answer.", why=str(error)) from error
    if answer.status_code in (400, 404):  # 400: what was given as the run's id isn't one
        raise UsageError(f"Run {run_id} has no log of a task {task!r}.")
    if answer.status_code != 200:
        raise FailedError(
            "The Pipelines API refused the log.", why=f"{answer.status_code} {answer.text[:200]}"
        )
    return answer.text
