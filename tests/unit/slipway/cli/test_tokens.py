"""Short-lived tokens by the command line: durations, what is printed, exit codes; no cluster is asked."""

import base64
import json
from typing import Any

import pytest
from pydantic import SecretStr
from support.platform import outputs

from slipway.cli import app
from slipway.core.errors import FailedError, UsageError
from slipway.operations import tokens, workspace

DAY = 24 * 3600
HIDDEN = "never-in-a-message"


def token(seconds: int) -> SecretStr:
    claims = json.dumps({"iat": 1_000_000, "exp": 1_000_000 + seconds, "jti": HIDDEN}).encode()
    return SecretStr(f"head.{base64.urlsafe_b64encode(claims).decode().rstrip('=')}.signature")


class Cluster:
    """Gives the token that the test says, or fails."""

    answer: SecretStr | FailedError = token(3600)
    asked: tuple[Any, ...] = ()

    @classmethod
    def of(cls, _outputs: object) -> "Cluster":
        return cls()

    def request_token(self, *asked: Any) -> SecretStr:
        type(self).asked = asked
        if isinstance(self.answer, FailedError):
            raise self.answer
        return self.answer


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> type[Cluster]:
    monkeypatch.setattr(tokens, "Cluster", Cluster)
    monkeypatch.setattr(workspace, "outputs", lambda _stack: outputs())
    monkeypatch.setattr(Cluster, "answer", token(3600))
    return Cluster


@pytest.mark.parametrize(("text", "seconds"), [("10m", 600), ("600s", 600), ("1h", 3600), ("24h", DAY)])
def test_durations_are_read(text, seconds):
    assert tokens.lifetime(text) == seconds


@pytest.mark.parametrize("text", ["", "9m", "25h", "1d", "1", "-1h", "1.5h", "1h ", "1441m", "h", "1h30m"])
def test_other_durations_are_a_usage_error(text, cluster, capsys):
    with pytest.raises(UsageError, match="10m to 24h"):
        tokens.lifetime(text)
    cluster.asked = ()
    assert app.main(["tenant", "token", "team-a", f"--for={text}"]) == 2
    assert cluster.asked == ()


def test_the_token_alone_is_on_standard_output(cluster, capsys):
    assert app.main(["tenant", "token", "team-a", "--role", "viewer", "--for", "30m"]) == 0
    shown = capsys.readouterr()
    assert shown.out == cluster.answer.get_secret_value() + "\n"
    assert cluster.answer.get_secret_value() not in shown.err
    assert cluster.asked == ("team-a", "default-viewer", 1800, None)
    assert app.main(["tenant", "token", "team-a", "--audience", "kfp", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["token"] == cluster.answer.get_secret_value()
    assert cluster.asked == ("team-a", "default-editor", 3600, "kfp")


def test_a_token_that_lives_too_long_is_not_shown(cluster, monkeypatch, capsys):
    monkeypatch.setattr(cluster, "answer", token(DAY + 1))
    assert app.main(["tenant", "token", "team-a"]) == 1
    shown = capsys.readouterr()
    assert "doctor --cluster" in shown.err
    assert "signature" not in shown.out + shown.err


def test_what_is_no_token_is_a_failure_without_its_text(cluster, monkeypatch, capsys):
    monkeypatch.setattr(cluster, "answer", SecretStr(f"{HIDDEN}.{HIDDEN}"))
    assert app.main(["tenant", "token", "team-a"]) == 1
    shown = capsys.readouterr()
    assert HIDDEN not in shown.out + shown.err


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (token(DAY), 0),
        (FailedError("refused", why="403: 'slipway-token-lifetime' denied request"), 0),
        (token(DAY + 1), 1),
        (token(365 * DAY), 1),
        (FailedError("refused", why="403: no right"), 1),
    ],
    ids=["shortened", "refused", "a second too long", "a year", "can't be asked"],
)
def test_the_doctor_tells_whether_tokens_are_bounded(cluster, monkeypatch, capsys, answer, code):
    monkeypatch.setattr(cluster, "answer", answer)
    assert app.main(["doctor", "--cluster"]) == code
    shown = capsys.readouterr()
    assert HIDDEN not in shown.out + shown.err
    assert app.main(["doctor", "--cluster", "--json"]) == code
    document = json.loads(capsys.readouterr().out)
    assert document.get("bounded", False) is (code == 0)


@pytest.mark.parametrize(
    "words", [["--store"], ["--fix"], ["--tests"], ["--endpoint", "http://x"], ["--bucket", "b"]]
)
def test_the_doctor_tests_one_thing_at_a_time(cluster, words):
    assert app.main(["doctor", "--cluster", *words]) == 2
