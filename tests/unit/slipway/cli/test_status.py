"""`slipway status`: what of the stack's objects is missing, and the command that puts it back."""

import json

import pytest
from support.platform import outputs

from embedded import cluster
from embedded.plugins import selection
from infra.stack.events import Summary
from infra.stack.stack import Stack
from slipway.cli import app
from slipway.core.errors import FailedError
from slipway.operations import missing_objects, workspace


class Opened:
    """A stack that is up, whose cluster has all but what a test takes away."""

    gone: tuple[str, ...] = ()
    error: FailedError | None = None

    def outputs(self):
        return outputs()

    def export(self):
        policies = [
            {
                "type": "kubernetes:networking.k8s.io/v1:NetworkPolicy",
                "custom": True,
                "id": f"team-a/{name}",
                "inputs": {},
            }
            for name in ("a", "b", "c", "d", "e", "f", "g")
        ]
        return {"deployment": {"resources": policies}}

    def live(self):
        return self

    def missing(self, objects):
        if self.error:
            raise self.error
        return [each for each in objects if each.name in self.gone]


@pytest.fixture
def opened(project, monkeypatch):
    class Running:
        name, state = "slw", "running"

        def model_dump(self, mode):
            return {"name": self.name, "state": self.state}

    made = Opened()
    monkeypatch.setattr(workspace, "open_stack", lambda stack: made)
    monkeypatch.setattr(cluster, "status", lambda instance: Running())
    monkeypatch.setattr(selection, "plugins", tuple)
    return made


def status(capsys, *more):
    assert app.main(["status", "local", *more]) == 0
    return capsys.readouterr().out


def test_a_whole_platform_is_told_in_one_line(opened, capsys):
    shown = status(capsys)
    assert "objects    all 7 are there" in shown
    assert "--refresh" not in shown


def test_missing_objects_are_named_with_the_command_that_helps(opened, capsys):
    opened.gone = ("b",)
    shown = status(capsys)
    assert "1 of 7 missing: NetworkPolicy team-a/b\n" in shown
    assert "slipway up local --refresh" in shown


def test_of_many_a_few_are_named_and_json_has_all(opened, capsys):
    opened.gone = tuple("abcdefg")
    assert "7 of 7 missing: NetworkPolicy team-a/a, " in (shown := status(capsys))
    assert "team-a/e and 2 more" in shown
    missing = json.loads(status(capsys, "--json"))["missing"]
    assert missing == {
        "checked": 7,
        "objects": [f"NetworkPolicy team-a/{n}" for n in "abcdefg"],
        "unknown": "",
    }


def test_a_cluster_that_does_not_say_is_not_a_whole_one(opened, capsys):
    opened.error = FailedError("The cluster does not answer.", why="https://127.0.0.1:1: TimeoutError.")
    assert "objects    not checked: The cluster does not answer. https://127.0.0.1:1" in status(capsys)
    assert json.loads(status(capsys, "--json"))["missing"]["checked"] is None


@pytest.mark.parametrize("command", ["up", "preview"])
@pytest.mark.parametrize("more", [[], ["--refresh"]])
def test_refresh_is_asked_for_by_name(command, more, monkeypatch):
    asked = []

    def done(_self, *, refresh=False):
        asked.append(refresh)
        return Summary(changes={}, seconds=0.0)

    monkeypatch.setattr(Stack, command, done)
    monkeypatch.setattr(workspace, "ready", lambda stack, phases, build=True: Stack.__new__(Stack))
    assert app.main([command, "local", *more]) == 0
    assert asked == [bool(more)]


def test_a_summary_of_nothing_missing_is_no_list():
    assert missing_objects.MissingObjects(checked=0).summary == "all 0 are there"
