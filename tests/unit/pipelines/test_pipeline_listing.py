"""Lists of runs are never cut without a word. The API is played: pages of at most 200, with a count."""

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from support.platform import outputs

from embedded.kfp import page
from pipelines import client as kfp_client
from pipelines.listing import newest_runs
from slipway.cli import app
from slipway.operations import workspace

NEWEST = datetime(2026, 11, 28, tzinfo=UTC)


class Api:
    """The part of `kfp.Client` that lists runs."""

    def __init__(self, count: int, *, counts: bool = True) -> None:
        self.runs = [
            SimpleNamespace(
                run_id=f"run-{n}",
                display_name="training",
                state="SUCCEEDED",
                created_at=NEWEST - timedelta(n),
            )
            for n in range(count)
        ]
        self.counts = counts
        self.pages: list[int] = []

    def list_runs(self, *, namespace, page_token, page_size, sort_by):
        assert (namespace, sort_by) == ("team-a", "created_at desc")
        assert 1 <= page_size <= 200
        self.pages.append(page_size)
        begin = int(page_token or 0)
        end = begin + page_size
        return SimpleNamespace(
            runs=self.runs[begin:end] or None,
            total_size=len(self.runs) if self.counts else None,
            next_page_token=str(end) if end < len(self.runs) else None,
        )


@pytest.mark.parametrize(
    ("count", "limit", "listed", "cut"),
    [
        (0, 50, 0, False),
        (50, 50, 50, False),
        (51, 50, 50, True),
        (1463, 50, 50, True),
        (1463, 450, 450, True),
        (1463, 1463, 1463, False),
        (1463, 9999, 1463, False),
        (1463, None, 1463, False),
    ],
)
def test_as_many_runs_as_asked_for_and_the_count_of_all(count, limit, listed, cut):
    found = newest_runs(Api(count), "team-a", limit)
    assert [row.run for row in found.runs] == [f"run-{n}" for n in range(listed)], "newest first, each once"
    assert (found.total, found.cut) == (count, cut)


def test_a_page_never_asks_for_more_than_is_wanted():
    api = Api(1463)
    newest_runs(api, "team-a", 450)
    assert api.pages == [200, 200, 50]


@pytest.mark.parametrize(("limit", "cut"), [(50, True), (None, False)])
def test_a_backend_that_does_not_count_is_not_taken_for_short(limit, cut):
    assert newest_runs(Api(300, counts=False), "team-a", limit).cut is cut


@pytest.fixture
def many(monkeypatch):
    api = Api(1463)
    monkeypatch.setattr(workspace, "outputs", lambda stack: outputs())
    monkeypatch.setattr(kfp_client, "open_client", lambda outputs, tenant: api)
    return api


def test_the_command_says_that_there_are_more(many, capsys):
    assert app.main(["pipeline", "list"]) == 0
    captured = capsys.readouterr()
    assert captured.out.count("SUCCEEDED") == 50
    assert captured.err == "50 of 1,463 runs; see more with --limit N, or all with --all.\n"


@pytest.mark.parametrize(("more", "listed"), [([], 50), (["--limit", "3"], 3), (["--all"], 1463)])
def test_with_json_the_count_is_in_the_document(many, capsys, more, listed):
    assert app.main(["pipeline", "list", "--json", *more]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (len(document["runs"]), document["total"]) == (listed, 1463)
    assert document["runs"][0] == {
        "run": "run-0", "name": "training", "state": "SUCCEEDED", "created": "2026-11-28 00:00:00",
    }  # fmt: skip


def test_all_of_them_is_said_without_a_remark(many, capsys):
    assert app.main(["pipeline", "list", "--all"]) == 0
    captured = capsys.readouterr()
    assert captured.out.count("SUCCEEDED") == 1463
    assert captured.err == ""


@pytest.mark.parametrize("wrong", ["0", "-1", "many"])
def test_a_limit_that_is_no_count_is_refused(many, wrong, capsys):
    assert app.main(["pipeline", "list", "--limit", wrong]) == 2
    assert "--limit" in capsys.readouterr().err


def test_the_page_of_the_local_server_says_so_too():
    row = dict.fromkeys(("id", "display_name", "namespace", "state", "created_at", "finished_at"), "x")
    assert "2 of 1,463 runs" in page.overview([row, row], 1463)
    assert " of " not in page.overview([row, row], 2)
