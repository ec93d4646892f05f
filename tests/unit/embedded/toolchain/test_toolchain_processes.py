"""A followed command: no line of its output is lost, and its end is noticed."""

import os
import time
from pathlib import Path

from embedded.toolchain import processes


def followed(program: str) -> tuple[int, list[str]]:
    lines: list[str] = []
    code = processes.follow(["sh", "-c", program], cwd=Path("/"), env=dict(os.environ), line=lines.append)
    return code, lines


def test_the_last_lines_are_kept_on_a_busy_machine(monkeypatch):
    """The thread that reads gets to run only some time after the command has ended."""
    read = processes._read

    def late(process, lines):
        process.wait()
        time.sleep(0.5)
        read(process, lines)

    monkeypatch.setattr(processes, "_read", late)
    assert followed("echo first; echo why; exit 3") == (3, ["first", "why"])


def test_a_grandchild_with_the_pipe_open_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(processes, "_GRACE", 0.2)
    assert followed("sleep 3600 & echo done") == (0, ["done"])
