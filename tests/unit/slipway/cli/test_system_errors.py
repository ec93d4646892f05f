"""An error of the operating system is a message with the path, and never a traceback."""

import errno
import json
import os
import shutil
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest
from support.checkout import ROOT
from support.commands import raising

from slipway.cli import app, system_errors
from slipway.operations import workspace

CACHE = "/home/someone/.cache/slipway"


def slipway(*arguments: str, **more) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "slipway", *arguments],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
        **more,
    )


@pytest.mark.parametrize(
    ("number", "fix"),
    [
        (errno.EACCES, f"See whose it is (`ls -ld {CACHE}`)"),
        (errno.ENOSPC, "Free some space (`df -h`"),
        (errno.EROFS, "read-only: mount it for writing"),
        (errno.EBUSY, "Fix that"),
        (errno.EMFILE, "Fix that"),
    ],
)
def test_a_refusal_of_the_system_names_path_and_way_out(number, fix, monkeypatch, capsys):
    monkeypatch.setattr(workspace, "outputs", raising(OSError(number, os.strerror(number), CACHE)))
    assert app.main(["outputs", "local"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"{CACHE}: {os.strerror(number)}.\n")
    assert fix in captured.err
    assert "Traceback" not in captured.err


def test_with_json_a_refusal_of_the_system_is_a_document(monkeypatch, capsys):
    refusal = PermissionError(errno.EACCES, "Permission denied", CACHE)
    monkeypatch.setattr(workspace, "outputs", raising(refusal))
    assert app.main(["outputs", "local", "--json"]) == 1
    captured = capsys.readouterr()
    assert json.loads(captured.out)["error"] == f"{CACHE}: Permission denied."
    assert captured.err == ""


@pytest.mark.parametrize(
    ("error", "what"),
    [
        (
            OSError(errno.EXDEV, "Invalid cross-device link", "/a", None, "/b"),
            "/a -> /b: Invalid cross",
        ),
        (
            ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"),
            "The system refused an operation: C",
        ),
        (shutil.Error("three files"), "The system refused an operation: three files."),
        (OSError(), "The system refused an operation: OSError."),
    ],
)
def test_what_names_no_path_or_two_is_a_message_too(error, what):
    shown = system_errors.message(error)
    assert shown.what.startswith(what)
    assert shown.fix


def test_the_full_disk_is_named_where_the_error_does_not(monkeypatch):
    usage = namedtuple("usage", "free")
    full = {Path.cwd(): 5 << 20}
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(full.get(folder, 1 << 40)))
    shown = system_errors.message(OSError(errno.ENOSPC, "No space left on device"))
    assert shown.why == f"Full or nearly full: {Path.cwd()} (5 MiB free)."


@pytest.mark.parametrize("arguments", [["--version"], ["--version", "--json"]])
def test_output_to_a_full_disk_is_a_message(arguments):
    with Path("/dev/full").open("w") as full:
        done = slipway(*arguments, stdout=full)
    assert done.returncode == 1
    assert done.stderr.startswith("The system refused an operation: No space left on device.\n")
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr


def test_a_reader_that_has_seen_enough_gets_no_message():
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = slipway("--version", stdout=writer)
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")


def test_output_that_can_be_written_is_the_control():
    done = slipway("--version", stdout=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("slipway ")
