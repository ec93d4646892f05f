"""Runs that have not ended: they keep the store key that they started with."""

from datetime import datetime
from typing import Any, Final

from kfp import Client

from pipelines.client import calling, pages
from pipelines.run import FINAL, PATIENCE_SECONDS
from slipway.core.errors import FailedError
from slipway.core.report import Report, silent
from slipway.core.waiting import changes, poll, tolerating

POLL_SECONDS: Final = 1.0
_PAGE: Final = 100


def unfinished(client: Client, namespace: str, begun_before: datetime) -> tuple[str, ...]:
    """Return the ids of the namespace's active runs that started before `begun_before`."""

    def page(token: str) -> Any:  # noqa: ANN401 - kfp has no types
        return client.list_runs(page_token=token, page_size=_PAGE, namespace=namespace)

    return tuple(
        str(run.run_id)
        for answer in pages(page, f"list the runs of {namespace}")
        for run in answer.runs or ()
        if not _ended(run) and run.created_at < begun_before
    )


def wait_for_earlier(
    client: Client,
    namespace: str,
    begun_before: datetime,
    *,
    report: Report = silent,
    timeout: float,
) -> None:
    """Wait until every run that started before `begun_before` has ended.

    Raises:
        FailedError: A run did not end in time, or the API does not answer.
    """
    left = unfinished(client, namespace, begun_before)
    report = changes(report)

    def all_ended() -> bool:
        nonlocal left
        if left:
            report(f"waiting for {len(left)} runs that started with the old key")
            with calling("show the runs that have not ended"):
                left = tuple(each for each in left if not _ended(client.get_run(each)))
        return not left

    # The API may restart during the wait.
    tolerant = tolerating(all_ended, FailedError, seconds=PATIENCE_SECONDS)
    if not poll(tolerant, seconds=timeout, interval=POLL_SECONDS):
        raise FailedError(
            f"{len(left)} runs of {namespace} still use the old key: {', '.join(left[:5])}.",
            why=f"They did not end within {timeout:.0f} s.",
            fix="Both keys are valid. Wait for the runs or terminate them, and run the command again.",
        )


def _ended(run: Any) -> bool:  # noqa: ANN401 - kfp has no types
    return str(run.state or "PENDING").upper() in FINAL
