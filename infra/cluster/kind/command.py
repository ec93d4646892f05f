"""The command `kind`, run so that it can be stopped at any moment."""

import os
import shutil
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import yaml

from infra.cluster.kind.engine import Engine
from infra.cluster.kind.facts import ClusterInputs, configuration
from infra.cluster.kind.requirements import INSTALL
from slipway.core.errors import FailedError, UsageError
from slipway.core.report import Report, silent

READY_SECONDS: Final = 300
"""How long kind waits for its node to become ready."""
_STOP_SECONDS: Final = 8.0


class KindCommand:
    """kind on PATH."""

    def __init__(self) -> None:
        """Start nothing."""
        self._running: set[subprocess.Popen[str]] = set()
        self._lock = threading.Lock()
        self._stopped = False

    def version(self) -> str:
        """Return what `kind version` prints; raises UsageError if there is no kind."""
        return self._run("version")

    def create(self, engine: Engine, inputs: ClusterInputs, kubeconfig: Path, report: Report) -> None:
        """Create the cluster and wait until its node is ready; kind removes what it made if it fails.

        Raises:
            FailedError: kind failed, or was stopped.
        """
        self._run(
            "create", "cluster", f"--name={inputs.name}", "--config=-", f"--kubeconfig={kubeconfig}",
            f"--wait={READY_SECONDS}s", engine=engine, report=report,
            stdin=yaml.safe_dump(configuration(inputs), sort_keys=False),
        )  # fmt: skip

    def delete(self, engine: Engine, cluster: str, kubeconfig: Path, report: Report = silent) -> None:
        """Delete the cluster with its volumes; succeeds if there is none."""
        self._run(
            "delete", "cluster", f"--name={cluster}", f"--kubeconfig={kubeconfig}",
            engine=engine, report=report,
        )  # fmt: skip

    def export_kubeconfig(self, engine: Engine, cluster: str, path: Path) -> None:
        """Write the administrator's kubeconfig to a file; never to an output, since it holds a key."""
        self._run("export", "kubeconfig", f"--name={cluster}", f"--kubeconfig={path}", engine=engine)

    def stop(self) -> None:
        """Stop what runs, and start no more. Returns when it has ended."""
        with self._lock:
            self._stopped = True
            running = list(self._running)
        for process in running:
            os.killpg(process.pid, signal.SIGINT)
        for process in running:
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)

    def _run(
        self,
        *arguments: str,
        engine: Engine | None = None,
        report: Report = silent,
        stdin: str = "",
    ) -> str:
        command = shutil.which("kind")
        if command is None:
            raise UsageError(
                "There is no `kind` on this machine.", why="It makes the cluster of this stack.", fix=INSTALL
            )
        environment = dict(os.environ)
        if engine is not None:
            environment["KIND_EXPERIMENTAL_PROVIDER"] = engine.name
        with self._started([command, *arguments], environment) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            with process.stdin:
                process.stdin.write(stdin)
            output = deque(self._lines(process.stdout, report))
        if self._stopped:
            raise FailedError("Stopped on request.", fix="Run the same command again to go on.")
        if process.returncode:
            raise FailedError(
                f"`kind {arguments[0]}` failed.",
                why=_reason(output),
                fix="Fix the cause and run the same command again.",
            )
        return "\n".join(output) + "\n"

    @contextmanager
    def _started(
        self, command: Sequence[str], environment: dict[str, str]
    ) -> "Iterator[subprocess.Popen[str]]":
        with self._lock:
            if self._stopped:
                raise FailedError("Stopped on request.", fix="Run the same command again to go on.")
            process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                process_group=0,
            )
            self._running.add(process)
        try:
            with process:
                yield process
        finally:
            with self._lock:
                self._running.discard(process)

    @staticmethod
    def _lines(output: Iterator[str], report: Report) -> Iterator[str]:
        for line in output:
            text = line.rstrip("\n")
            # Without the pictures that kind draws.
            if shown := text.encode("ascii", "ignore").decode().strip(" ."):
                report(f"kind: {shown}")
            yield text


def _reason(output: Sequence[str]) -> str:
    """Return what kind named as the error, else its last line."""
    lines = [line.strip() for line in output if line.strip()]
    named = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    return f"{(named or lines or ['It said nothing'])[-1][-600:].rstrip('.')}."
