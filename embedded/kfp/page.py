"""The page at `/`: a read-only view of runs, their tasks and logs. All text is escaped. Pure."""

from html import escape
from typing import Final

from embedded.kfp.database import Row

_STYLE: Final = (
    "body{font:15px system-ui,sans-serif;margin:2rem;max-width:70rem}"
    "table{border-collapse:collapse;width:100%}"
    "td,th{text-align:left;padding:.35rem .8rem .35rem 0;border-bottom:1px solid #ddd;vertical-align:top}"
    "pre{white-space:pre-wrap;margin:0;font-size:12px}.SUCCEEDED{color:#176f2c}.FAILED{color:#b3261e}"
    ".RUNNING,.PENDING,.CANCELING{color:#0b57d0}.SKIPPED,.CANCELED{color:#666}"
)


def overview(runs: list[Row], total: int) -> str:
    """The newest runs, and the total number."""
    rows = "".join(
        f"<tr><td><a href='/runs/{escape(run['id'])}'>{escape(run['display_name'])}</a></td>"
        f"<td>{escape(run['namespace'])}</td>{_state(run)}<td>{_time(run['created_at'])}</td>"
        f"<td>{_time(run['finished_at'])}</td></tr>"
        for run in runs
    )
    more = f"<p>{len(runs):,} of {total:,} runs</p>" if total > len(runs) else ""
    return _page("Runs", more + _table(("run", "namespace", "state", "created", "finished"), rows))


def run(row: Row, tasks: list[Row]) -> str:
    """One run and its tasks."""
    lines = "".join(
        f"<tr><td>{escape(task['path'])}</td>{_state(task)}<td>{_time(task['started_at'])}</td>"
        f"<td>{_time(task['ended_at'])}</td><td>{_log_link(task)}</td>"
        f"<td><pre>{escape(task['error'] or '')}</pre></td></tr>"
        for task in tasks
    )
    head = f"<p><a href='/'>all runs</a></p><p class='{escape(row['state'])}'>{escape(row['state'])}</p>"
    error = f"<pre>{escape(row['error'])}</pre>" if row["error"] else ""
    return _page(
        row["display_name"], head + error + _table(("task", "state", "start", "end", "log", "error"), lines)
    )


def _page(title: str, content: str) -> str:
    return (
        f"<!doctype html><html lang='en'><meta charset='utf-8'><title>{escape(title)}</title>"
        f"<style>{_STYLE}</style><h1>{escape(title)}</h1>{content}"
        "<p><small>Slipway's local pipelines server. No authentication; steps run in its pod."
        "</small></p></html>"
    )


def _table(heads: tuple[str, ...], rows: str) -> str:
    return f"<table><tr>{''.join(f'<th>{head}</th>' for head in heads)}</tr>{rows}</table>"


def _state(row: Row) -> str:
    cached = " (cached)" if row.get("cached") else ""
    return f"<td class='{escape(row['state'])}'>{escape(row['state'])}{cached}</td>"


def _log_link(task: Row) -> str:
    if task["kind"] != "step" or not task["started_at"]:
        return ""
    return f"<a href='/apis/v2beta1/runs/{escape(task['run_id'])}/tasks/{escape(task['id'])}/log'>log</a>"


def _time(text: str | None) -> str:
    return escape(text[:19].replace("T", " ")) if text else ""
