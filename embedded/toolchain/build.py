"""From names to binaries: on the machine, in the cache, or built now."""

import contextlib
import hashlib
import os
import tempfile
import threading
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from embedded.toolchain import cache, debian, golang, host, lanes, processes
from embedded.toolchain.failures import explain, redact
from embedded.toolchain.golang import Go
from embedded.toolchain.tools import BINARIES, Tool, chosen
from slipway.core.errors import FailedError, UsageError
from slipway.core.report import Report, silent

_SHORT_OF_DISK: Final = 6 * 1024**3
"""Below this, old entries are pruned before a build."""

_LANE_MEMORY: Final = 4 * 1024**3
"""What one build may need: the largest link takes about 2 GiB, in addition to the compilers."""


def binary(name: str, report: Report = silent) -> Path:
    """One binary, built first if it must be.

    Args:
        name: Such as `etcd` or `kubectl`.
        report: Receives what is built.

    Raises:
        UsageError: There is no such tool, or no Go that can build it.
        FailedError: The build failed; a rerun continues where it stopped.
    """
    return ensure([name], report)[name]


def ensure(
    names: Iterable[str] | None = None,
    report: Report = silent,
    *,
    tests: bool = False,
    also: Iterable[str] = (),
) -> dict[str, Path]:
    """Return the named binaries; missing ones are built in parallel, the longest build first.

    Args:
        names: Binaries; None is all that a platform needs and the Debian packages too.
        report: Receives what is being waited for.
        tests: Where no names are given, also what only the tests need.
        also: Where no names are given, binaries that are wanted too.

    Returns:
        The path of each binary.

    Raises:
        UsageError: There is no such tool, or no Go that can build it.
        FailedError: A build failed; the others were stopped, and a rerun continues where they were.
    """
    if names is None:
        needed = [name for name, tool in BINARIES.items() if chosen(tool, tests=tests)]
        wanted = list(dict.fromkeys([*needed, *also]))
    else:
        wanted = list(dict.fromkeys(names))
    unknown = [name for name in wanted if name not in BINARIES]
    if unknown:
        raise UsageError(
            f"There is no tool {unknown[0]!r}.", fix=f"The tools are {', '.join(sorted(BINARIES))}."
        )
    paths, to_build, go = _look(wanted)
    packages = debian.missing(debian.chosen(tests=tests)) if names is None else []
    steps = [debian.step(packages)] if packages else []
    if go is not None:
        steps += [_step(tool, go) for tool in _longest_first(to_build)]
    if steps:
        _run(steps, report)
    return {name: paths[name] for name in wanted}


def to_build(names: Iterable[str] | None = None) -> list[Tool]:
    """The tools that are neither on the machine nor in the cache; builds nothing.

    Args:
        names: Binaries; None is all that a platform needs.

    Raises:
        UsageError: There is no Go to determine it with.
    """
    wanted = [name for name, tool in BINARIES.items() if chosen(tool, tests=False)]
    return _look(wanted if names is None else list(names))[1]


def _look(wanted: list[str]) -> tuple[dict[str, Path], list[Tool], Go | None]:
    """Where each binary is or will be, the tools that must be built for it, and the Go that does."""
    paths = {name: path for name in wanted if (path := host.find(name))}
    tools = {tool.name: tool for name in wanted if name not in paths for tool in [BINARIES[name]]}
    if not tools:
        return paths, [], None
    go = golang.find(tuple(tools.values()))
    entries = {name: entry_of(tool, go) for name, tool in tools.items()}
    paths |= {name: entries[BINARIES[name].name] / name for name in wanted if name not in paths}
    return paths, [tool for tool in tools.values() if cache.load(entries[tool.name]) is None], go


def entry_of(tool: Tool, go: Go) -> Path:
    """Where the cache keeps, or will keep, a tool built by this Go."""
    return cache.shelf("tools", tool.name) / golang.digest(tool, go)


def bin_dir(report: Report = silent) -> Path:
    """A folder for PATH with what a person types: `pulumi` and `kubectl`.

    Its name is a digest of what the links point to, so clones with other versions don't meet.
    """
    targets = ensure(["pulumi", "kubectl"], report)
    key = hashlib.sha256("\0".join(map(str, targets.values())).encode()).hexdigest()[:16]
    folder = cache.shelf("bin", key)
    folder.mkdir(parents=True, exist_ok=True)
    for name, target in targets.items():
        link = folder / name
        if not link.is_symlink() or link.readlink() != target:
            # By rename, because another process may be reading the link at this moment.
            with tempfile.TemporaryDirectory(dir=folder, prefix=".") as draft:
                (Path(draft) / name).symlink_to(target)
                (Path(draft) / name).replace(link)
    return folder


def _longest_first(tools: list[Tool]) -> list[Tool]:
    # The usual rule for parallel lanes: the longest job must not start last.
    return sorted(tools, key=lambda tool: tool.seconds, reverse=True)


def _run(steps: list[lanes.Step], report: Report) -> None:
    if cache.root().exists() and cache.free_bytes() < _SHORT_OF_DISK:
        freed = cache.prune()
        if freed:
            report(f"disk nearly full: removed {freed // 1024**2} MiB of older tools from {cache.root()}")
    report(f"to make, in this order: {', '.join(step.subject for step in steps)}")
    lanes.run(steps, lanes=_lanes(), report=report)


def _lanes() -> int:
    """Two: while one build links or downloads on one core, the other compiles. One if memory is short."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return 2 if memory >= 2 * _LANE_MEMORY and (os.cpu_count() or 1) > 1 else 1


def _step(tool: Tool, go: Go) -> lanes.Step:
    return lanes.Step(
        subject=tool.title,
        verb="built",
        work=lambda step, cancel: build(tool, go, step, cancel),
    )


def build(tool: Tool, go: Go, step: lanes.Step, cancel: threading.Event) -> None:
    """Build one tool into the cache, unless another process did so while we waited for its lock."""
    entry, folder = entry_of(tool, go), cache.shelf("tools", tool.name)

    def waits(_line: str) -> None:
        step.status = lambda: ("waiting for another process that builds it", "")

    try:
        with cache.locked(folder, step.subject, waits, cancel):
            if cache.load(entry) is None:
                with cache.staging(folder) as work:
                    _compile(tool, go, work, step, cancel)
                    cache.publish(work / "out", entry, subject=step.subject, seconds=step.seconds)
    except OSError as error:
        raise explain(f"{step.subject} could not be built.", [str(error)]) from error


def _compile(tool: Tool, go: Go, work: Path, step: lanes.Step, cancel: threading.Event) -> None:
    out, scratch = work / "out", work / "scratch"
    out.mkdir()
    scratch.mkdir()
    progress = _Progress(step)
    overlay = _overlay(tool, go, scratch, cancel) if tool.files else None
    code = processes.follow(
        golang.build_command(go, tool, out, overlay),
        cwd=tool.folder,
        env=golang.environment(go, scratch),
        line=progress.line,
        started=progress.started,
        cancel=cancel,
    )
    for each in tool.binaries:
        if code == 0 and (out / each.built_as).is_file():
            (out / each.built_as).rename(out / each.name)
    if code != 0:
        raise explain(
            f"{step.subject} could not be built.", progress.output, log=_keep_log(tool, progress.output)
        )
    missing = [each.name for each in tool.binaries if not os.access(out / each.name, os.X_OK)]
    if missing:
        raise FailedError(
            f"{step.subject} could not be built.",
            why=f"`go build` succeeded but did not write {', '.join(missing)}.",
            fix=f"Check that {go.command} is a real Go, and run the command again.",
        )


def _overlay(tool: Tool, go: Go, scratch: Path, cancel: threading.Event) -> Path:
    lines: list[str] = []
    code = processes.follow(
        golang.download_command(go, tool),
        cwd=tool.folder,
        env=golang.environment(go, scratch),
        line=lines.append,
        cancel=cancel,
    )
    path = scratch / "overlay.json"
    try:
        if code == 0:
            path.write_text(golang.overlay(tool, "\n".join(lines)), encoding="utf-8")
            return path
    except ValueError:
        pass
    raise explain(f"The source of {tool.title} could not be fetched.", lines, log=_keep_log(tool, lines))


def _keep_log(tool: Tool, output: Iterable[str]) -> Path | None:
    path = cache.root() / "logs" / f"{tool.name}.log"
    with contextlib.suppress(OSError):  # the build may have failed because the disk is full
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(redact("\n".join(output)) + "\n", encoding="utf-8")
        return path
    return None


class _Progress:
    """Reads `go build -v`: a line for each download, and for each package that is compiled now."""

    def __init__(self, step: lanes.Step) -> None:
        self.output: deque[str] = deque(maxlen=200)
        self._step = step
        self._group = 0
        self._phase = "resolving"
        self._modules = 0
        self._packages = 0
        self._latest = ""

    def started(self, group: int) -> None:
        self._group = group
        self._step.status = self.status

    def line(self, text: str) -> None:
        if text.startswith("go: downloading "):
            self._modules += 1
            self._phase = "downloading"
        elif " " not in text and not text.startswith(("#", "\t")):
            self._packages += 1
            self._latest = text
            self._phase = "compiling"
        else:
            self.output.append(text)

    def status(self) -> tuple[str, str]:
        if self._phase == "downloading":
            return self._phase, f"{self._modules} modules"
        if self._phase == "compiling":
            programs = processes.running(self._group)
            if "link" in programs and "compile" not in programs:
                return "linking", f"{self._packages} packages"
            return self._phase, f"{self._packages} packages, {self._latest}"
        return self._phase, ""
