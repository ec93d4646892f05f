"""A `go` that fails on demand, and a small table for it: builds without compiling."""

import sys
import textwrap
from pathlib import Path

import pytest

from embedded.toolchain import build, golang, tools
from embedded.toolchain.tools import Binary, Tool

_FAKE_GO = """\
    #!{python}
    import json, os, pathlib, subprocess, sys, time

    here = pathlib.Path({folder!r})
    mode = (here / "mode").read_text()
    if sys.argv[1] == "env":
        print(json.dumps({{"GOVERSION": "go" + (here / "version").read_text(), "GOHOSTARCH": "amd64",
                          "GOTOOLCHAIN": (here / "toolchain").read_text()}}))
        sys.exit()
    if sys.argv[1:4] == ["mod", "download", "-json"]:
        print((here / "download").read_text())
        sys.exit(mode == "offline")
    (here / "environment").write_text(json.dumps(dict(os.environ)))
    (here / "overlay").write_text("".join(
        pathlib.Path(each.partition("=")[2]).read_text() for each in sys.argv if each.startswith("-overlay=")
    ))
    with (here / "builds").open("a") as log:
        log.write(os.getcwd() + "\\n")
    out = pathlib.Path(sys.argv[sys.argv.index("-o") + 1])
    packages = sys.argv[sys.argv.index("-o") + 2:]
    print("go: downloading example.com/dependency v1.0.0", flush=True)
    (pathlib.Path(os.environ["GOTMPDIR"]) / "object").write_text("half an object")
    for package in packages:
        print(package, flush=True)
        whole = mode not in ("fails", "hangs")
        target = out / package.rpartition("/")[2]
        if mode != "writes nothing":
            target.write_text("#!/bin/sh\\necho whole\\n" if whole else "#!/bin")
            target.chmod(0o755)
    if mode == "fails":
        print((here / "message").read_text())
        sys.exit(1)
    if mode == "slow":
        time.sleep(1)
    if mode == "hangs":
        child = subprocess.Popen(["sleep", "3600"])
        (here / "pids").write_text(f"{{os.getpid()}} {{child.pid}}")
        time.sleep(3600)
"""


class FakeGo:
    """Writes what the fake command reads: what it does, says and calls itself."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "bin").mkdir(parents=True)
        self.command = folder / "bin" / "go"
        self.command.write_text(textwrap.dedent(_FAKE_GO).format(python=sys.executable, folder=str(folder)))
        self.command.chmod(0o755)
        self.does("works")
        self.calls_itself("1.99.1")

    def does(self, mode: str, message: str = "") -> None:
        (self.folder / "mode").write_text(mode)
        (self.folder / "message").write_text(message)

    def calls_itself(self, version: str, toolchain: str = "local") -> None:
        (self.folder / "version").write_text(version)
        (self.folder / "toolchain").write_text(toolchain)

    @property
    def builds(self) -> int:
        log = self.folder / "builds"
        return len(log.read_text().splitlines()) if log.exists() else 0

    @property
    def pids(self) -> list[int]:
        path = self.folder / "pids"
        return [int(pid) for pid in path.read_text().split()] if path.exists() else []


def small_table(sources: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Tool]:
    """Two tools of three binaries in place of the real table."""
    table = {
        tool.name: tool
        for tool in (
            Tool("one", "example.com/one", "v1.2.3", (Binary("one", "example.com/one"),), 2),
            Tool(
                "pair",
                "example.com/pair",
                "v0.0.0-20260212201848-7aac2a2c5b7c",
                (
                    Binary("left", "example.com/pair/cmd/left"),
                    Binary("right", "example.com/pair/cmd/manager"),
                ),
                1,
            ),
        )
    }
    for tool in table.values():
        (sources / tool.name).mkdir(parents=True)
        (sources / tool.name / "go.mod").write_text(
            f"module slipway.dev/toolchain/{tool.name}\n\ngo 1.25.4\n"
        )
        (sources / tool.name / "go.sum").write_text("")
    monkeypatch.setattr(tools, "SOURCES", sources)
    monkeypatch.setattr(golang, "TOOLS", table)
    monkeypatch.setattr(
        build, "BINARIES", {binary.name: tool for tool in table.values() for binary in tool.binaries}
    )
    return table
