"""Lists the runs of a tenant, newest first, and counts them."""

from typing import Any, Final

from kfp import Client
from pydantic import BaseModel, ConfigDict

from pipelines.client import pages

PAGE: Final = 200
"""The API's maximum page size."""


class ListedRun(BaseModel):
    """One run in a list."""

    model_config = ConfigDict(frozen=True)

    run: str
    name: str
    state: str
    created: str


class Runs(BaseModel):
    """The newest runs, and the total number of runs."""

    model_config = ConfigDict(frozen=True)

    runs: tuple[ListedRun, ...]
    total: int

    @property
    def cut(self) -> bool:
        """Whether there are more runs than listed."""
        return self.total > len(self.runs)


def newest_runs(client: Client, namespace: str, limit: int | None) -> Runs:
    """Return the newest runs of a namespace.

    Args:
        client: Client of the Pipelines API.
        namespace: Namespace of the runs.
        limit: Maximum number of runs; None for all.

    Raises:
        FailedError: The API rejects the request or doesn't answer.
    """
    listed: dict[str, ListedRun] = {}
    total, more = 0, False

    def page(token: str) -> Any:  # noqa: ANN401 - kfp has no types
        size = PAGE if limit is None else min(PAGE, limit - len(listed))
        return client.list_runs(
            namespace=namespace, page_token=token, page_size=size, sort_by="created_at desc"
        )

    for answer in pages(page, "list runs"):
        for each in answer.runs or ():
            created = f"{each.created_at:%Y-%m-%d %H:%M:%S}" if each.created_at else "-"
            listed[str(each.run_id)] = ListedRun(
                run=str(each.run_id), name=str(each.display_name), state=str(each.state), created=created
            )
        # A run that started after the first page is counted but not listed.
        total = total or int(answer.total_size or 0)
        more = bool(answer.next_page_token)
        if len(listed) == limit:
            break
    # A backend that doesn't count indicates further runs only by its token.
    return Runs(runs=tuple(listed.values()), total=max(total, len(listed) + 1) if more else len(listed))
