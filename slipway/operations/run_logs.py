"""Logs of the tasks of a run."""

import httpx

from infra.contract import PlatformOutputs
from slipway.core.errors import FailedError, UsageError


def read(outputs: PlatformOutputs, run_id: str, task: str) -> str:
    """Return the log of a task of a run from the embedded pipelines API.

    Raises:
        UsageError: There is no such log, or another backend has it.
        FailedError: The API does not answer, or refuses.
    """
    if outputs.kfp.backend != "embedded":
        raise UsageError(
            "This command reads only the logs of the embedded pipelines API.",
            fix="Use kubectl logs on the run's pods, or the Kubeflow Pipelines UI.",
        )
    url = f"{outputs.kfp.endpoint}/apis/v2beta1/runs/{run_id}/tasks/{task}/log"
    try:
        response = httpx.get(url, timeout=30)
    except httpx.HTTPError as error:
        raise FailedError("The Pipelines API does not answer.", why=str(error)) from error
    if response.status_code in (400, 404):  # 400: the run id is malformed
        raise UsageError(f"Run {run_id} has no log of a task {task!r}.")
    if response.status_code != 200:
        raise FailedError(
            "The Pipelines API refused the log.", why=f"{response.status_code} {response.text[:200]}"
        )
    return response.text
