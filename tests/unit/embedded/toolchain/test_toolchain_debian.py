"""Debian packages: looked for by file, installed with nobody to ask, lists refreshed only when stale."""

import os
import sys
import textwrap
from pathlib import Path

import pytest

from embedded.toolchain import debian
from embedded.toolchain.debian import Package
from slipway.core.errors import FailedError, UsageError

_FAKE_APT = """\
    #!{python}
    import os, pathlib, sys
    here = pathlib.Path({folder!r})
    arguments = [a for a in sys.argv[1:] if not a.startswith("--option")]
    name = pathlib.Path(sys.argv[0]).name
    with (here / "calls").open("a") as log:
        log.write(" ".join([name, *arguments]) + "\\n")
    assert os.environ["DEBIAN_FRONTEND"] == "noninteractive"
    if name == "dpkg" or arguments[0] == "update":
        (here / "mended").touch()
        sys.exit()
    trouble = (here / "trouble").read_text()
    if trouble and not (trouble.startswith("once ") and (here / "mended").exists()):
        print("E: " + trouble.removeprefix("once "))
        sys.exit(100)
    print("Get:1 http://archive.example/debian bookworm/main amd64 frobnicator")
    for package in arguments:
        if not package.startswith("-") and package != "install":
            print(f"Setting up {{package}} (1.0) ...")
            target = here / "bin" / package
            target.write_text("#!/bin/sh\\n")
            target.chmod(0o755)
"""


class FakeApt:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "bin").mkdir(parents=True)
        for name in ("apt-get", "dpkg"):
            path = folder / "bin" / name
            path.write_text(textwrap.dedent(_FAKE_APT).format(python=sys.executable, folder=str(folder)))
            path.chmod(0o755)
        self.has("")

    def has(self, trouble: str) -> None:
        (self.folder / "trouble").write_text(trouble)

    @property
    def calls(self) -> list[str]:
        log = self.folder / "calls"
        return log.read_text().splitlines() if log.exists() else []


@pytest.fixture
def apt(tmp_path, monkeypatch):
    fake = FakeApt(tmp_path / "apt")
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "archive_main_Packages.lz4").touch()
    monkeypatch.setattr(debian, "_LISTS", tmp_path / "lists")
    monkeypatch.setenv("PATH", f"{fake.folder / 'bin'}:/usr/bin:/bin")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    packages = {name: Package(name, commands=(name,)) for name in ("frobnicator", "widgetizer")}
    monkeypatch.setattr(debian, "PACKAGES", packages | {"coreutils": Package("coreutils", commands=("cat",))})
    return fake


INSTALL = "apt-get install --yes --no-install-recommends --no-remove frobnicator widgetizer"


def test_only_what_is_missing_is_installed(apt):
    lines = []
    debian.ensure(lines.append)
    assert apt.calls == [INSTALL]
    assert lines[-1] == "Debian packages frobnicator, widgetizer installed in 0:00"
    debian.ensure()
    assert apt.calls == [INSTALL], "the second time there is nothing to do"


def test_without_lists_they_are_fetched_first(apt, tmp_path):
    (tmp_path / "lists" / "archive_main_Packages.lz4").unlink()
    debian.ensure()
    assert apt.calls == ["apt-get update", INSTALL]


@pytest.mark.parametrize(
    "trouble", ["Unable to locate package frobnicator", "Failed to fetch x  404  Not Found"]
)
def test_stale_lists_are_refreshed(apt, trouble):
    apt.has(f"once {trouble}")
    debian.ensure()
    assert apt.calls == [INSTALL, "apt-get update", INSTALL]


def test_an_installation_that_was_interrupted_is_mended_first(apt):
    apt.has("once dpkg was interrupted, you must manually run 'dpkg --configure -a'")
    debian.ensure()
    assert apt.calls == [INSTALL, "dpkg --configure -a", INSTALL]


@pytest.mark.parametrize(
    ("trouble", "why", "calls"),
    [
        ("Unable to locate package frobnicator", "Unable to locate", [INSTALL, "apt-get update", INSTALL]),
        ("write error: No space left on device", "The disk is full", [INSTALL]),
        ("Temporary failure resolving 'archive.example'", "could not be reached", [INSTALL]),
    ],
)
def test_what_stays_broken_fails_with_the_reason(apt, trouble, why, calls):
    apt.has(trouble)
    with pytest.raises(FailedError, match=why):
        debian.ensure()
    assert apt.calls == calls
    apt.has("")
    debian.ensure()


def test_one_who_is_not_root_is_told_the_command(apt, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(UsageError, match="needs root") as caught:
        debian.ensure()
    assert "apt-get install --yes --no-install-recommends frobnicator widgetizer" in caught.value.fix
    assert apt.calls == []


def test_another_distribution_is_told_of_the_kind_environment(apt, monkeypatch, tmp_path):
    real = debian.which
    monkeypatch.setattr(debian, "which", lambda name: None if name == "apt-get" else real(name))
    with pytest.raises(UsageError, match="`dev` environment"):
        debian.ensure()


def test_a_containerd_that_is_not_debians_counts(apt, monkeypatch):
    path = apt.folder / "bin" / "frobnicator"
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    assert debian.missing() == ["widgetizer"]


def test_the_real_table_looks_for_files_only():
    for package in debian.PACKAGES.values():
        assert package.commands or package.plugins, f"{package.name} could never be found present"
