"""How the end of a program is reported, without a CLI."""

import pytest

from embedded.plugins.language.host import response
from embedded.plugins.language.program import Ending, _exit_code
from slipway.provider.serving import engine_address


@pytest.mark.parametrize(
    ("code", "error", "bail"),
    [
        (Ending.DONE, "", False),
        (Ending.TOLD, "", True),
        (7, "the program ended with exit code 7", False),
        (-9, "the program was ended by signal 9", False),
    ],
)
def test_endings_are_told_once(code: int, error: str, bail: bool) -> None:
    answer = response(code)
    assert (answer.error, answer.bail) == (error, bail)


@pytest.mark.parametrize(("code", "ending"), [(None, 0), (0, 0), (3, 3)])
def test_an_exit_keeps_its_code(code: int | None, ending: int) -> None:
    assert _exit_code(SystemExit(code)) == ending


@pytest.mark.parametrize(
    ("argv", "address"),
    [
        (["127.0.0.1:1"], "127.0.0.1:1"),
        (["--logtostderr", "-v=9", "--tracing", "http://x", "127.0.0.1:1"], "127.0.0.1:1"),
        ([], ""),
        (["--logtostderr"], ""),
    ],
)
def test_the_engines_address_is_the_last_argument(argv: list[str], address: str) -> None:
    assert engine_address(argv) == address
