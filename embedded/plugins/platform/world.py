"""The local cluster and its images as they are, and the processes that change them.

Reading is quick and happens here. Long operations run in their own process (`work.py`), because only a
process can be stopped at any moment: on Ctrl-C, or when the CLI ends.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final

from embedded import cluster
from embedded.images.containerd import Containerd
from embedded.instance import Instance
from embedded.plugins.platform.kinds import ClusterInputs, ClusterState, ImageInputs
from slipway.core.errors import FailedError, SlipwayError, UsageError
from slipway.core.report import Report

STOP_SECONDS: Final = 8.0
"""Time for a worker to clean up after it was asked to stop."""


class Stopped(FailedError):  # noqa: N818  nothing is wrong
    """The user stopped it; the next run continues from there."""

    def __init__(self) -> None:
        """Use the same message for every operation."""
        super().__init__("Stopped on request.", fix="Run the same command again to go on.")


class Machine:
    """`kinds.World` on this machine."""

    def __init__(self) -> None:
        """Start nothing."""
        self._workers: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._stopped = False

    def state(self, instance: str) -> ClusterState:
        """See World."""
        return cluster.status(Instance(instance)).state

    def kubeconfig(self, instance: str) -> str:
        """See World."""
        try:
            return Instance(instance).kubeconfig.read_text()
        except FileNotFoundError:
            return ""

    def has_image(self, instance: str, reference: str) -> bool:
        """See World."""
        return Containerd.at(Instance(instance).containerd_socket).has(reference)

    def start(self, inputs: ClusterInputs, report: Report) -> None:
        """See World."""
        self._work({"do": "start", **inputs.model_dump(mode="json")}, report)

    def delete(self, instance: str, report: Report) -> None:
        """See World."""
        self._work({"do": "delete", "instance": instance}, report)

    def ensure_image(self, inputs: ImageInputs, report: Report) -> str:
        """See World."""
        containerd = Containerd.at(Instance(inputs.instance).containerd_socket)
        reference = self.load_image(inputs.name, containerd.command, report)
        if reference != inputs.reference:
            raise FailedError(
                f"Image {inputs.name} came out as {reference}.",
                why=f"The program expects {inputs.reference}: the image's sources changed meanwhile.",
                fix="Run the same command again.",
            )
        return reference

    def load_image(self, name: str, ctr: Sequence[str], report: Report) -> str:
        """Build the image and import it by a command that runs `ctr`; return its reference."""
        return str(self._work({"do": "image", "name": name, "ctr": list(ctr)}, report))

    def remove_image(self, instance: str, reference: str) -> None:
        """See World."""
        Containerd.at(Instance(instance).containerd_socket).remove(reference)

    def stop(self) -> None:
        """Stop running work, and start no more. Returns when the processes have ended."""
        with self._lock:
            self._stopped = True
            workers = list(self._workers)
        for worker in workers:
            worker.send_signal(signal.SIGINT)
        for worker in workers:
            try:
                worker.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(worker.pid, signal.SIGKILL)

    def _work(self, order: Mapping[str, Any], report: Report) -> Any:  # noqa: ANN401  the worker's JSON
        with self._lock:
            if self._stopped:
                raise Stopped
            worker = subprocess.Popen(
                [sys.executable, "-u", "-P", "-m", "embedded.plugins.platform.work"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                process_group=0,
            )
            self._workers.add(worker)
        try:
            return self._follow(worker, order, report)
        finally:
            with self._lock:
                self._workers.discard(worker)
            worker.wait()

    def _follow(self, worker: subprocess.Popen[bytes], order: Mapping[str, Any], report: Report) -> Any:  # noqa: ANN401
        assert worker.stdin is not None
        assert worker.stdout is not None
        # The pipe stays open while the worker runs: its end shows the worker that this process has ended.
        with worker.stdin, worker.stdout:
            worker.stdin.write(json.dumps(order).encode() + b"\n")
            worker.stdin.flush()
            for line in worker.stdout:
                message = json.loads(line)
                if "line" in message:
                    report(message["line"])
                elif "error" in message:
                    raise _error(message["error"])
                else:
                    return message["done"]
        worker.wait()
        if self._stopped:
            raise Stopped
        raise FailedError(
            f"The process that should {order['do']} ended with {worker.returncode}.",
            fix="Run the same command again.",
        )


def _error(fields: Mapping[str, str]) -> SlipwayError:
    kind = UsageError if fields["kind"] == "usage" else FailedError
    return kind(fields["what"], why=fields["why"], fix=fields["fix"])
