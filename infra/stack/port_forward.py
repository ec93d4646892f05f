"""Keeps ports of 127.0.0.1 open to a stack's Services, by `kubectl port-forward`.

kubectl forwards to one pod and ends when that pod does; it is started again until the command ends.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from infra.names import (
    GATEWAY_NAMESPACE,
    GATEWAY_PORT,
    GATEWAY_SERVICE,
    KFP_NAMESPACE,
    KFP_PORT,
    KFP_SERVICE,
    STORE_CONSOLE_PORT,
    STORE_NAMESPACE,
    STORE_PORT,
    STORE_SERVICE,
)
from infra.settings.models import DevSettings
from slipway.core.errors import FailedError, UsageError
from slipway.core.report import Report
from slipway.core.waiting import poll

_HOST: Final = "127.0.0.1"
_PAUSE: Final = 0.5
"""Seconds before kubectl is started again; a Service may have no ready pod for a while."""
_OPENED_SECONDS: Final = 30.0
_TARGETS: Final = {
    "gateway": (GATEWAY_NAMESPACE, GATEWAY_SERVICE, GATEWAY_PORT),
    "store": (STORE_NAMESPACE, STORE_SERVICE, STORE_PORT),
    "console": (STORE_NAMESPACE, STORE_SERVICE, STORE_CONSOLE_PORT),
    "kfp": (KFP_NAMESPACE, KFP_SERVICE, KFP_PORT),
}


@dataclass(frozen=True, kw_only=True)
class Forward:
    """A port of this machine, and the Service that it leads to."""

    name: str
    """Of the endpoint in the settings."""

    port: int
    namespace: str
    service: str
    service_port: int


def forwards(platform: DevSettings) -> list[Forward]:
    """Return what the settings ask for.

    Raises:
        UsageError: The endpoints are URLs, which need no port here.
    """
    wanted = platform.endpoints.forwarded
    if wanted is None:
        raise UsageError(
            "The stack's endpoints are URLs; there is no port to open.",
            why="With `endpoints.kind: urls` you publish the Services yourself.",
        )
    return [
        Forward(name=name, port=port, namespace=namespace, service=service, service_port=service_port)
        for name, (namespace, service, service_port) in _TARGETS.items()
        if (port := getattr(wanted, name)) is not None
    ]


@contextlib.contextmanager
def opened(platform: DevSettings, env: Mapping[str, str], report: Report) -> Iterator[Sequence[Forward]]:
    """Keep the ports open during the block.

    Args:
        platform: The stack's settings.
        env: Overrides the environment of this process.
        report: Receives a line when a forward ended and is started again.

    Raises:
        UsageError: The stack needs no ports, one is in use, or there is no kubectl.
        FailedError: A Service can't be reached.
    """
    wanted = forwards(platform)
    _refuse_taken(wanted)
    variables = {**os.environ, **env}
    kubectl = shutil.which("kubectl", path=variables.get("PATH"))
    if kubectl is None:
        raise UsageError(
            "There is no `kubectl` on this machine.",
            why="`slipway open` forwards ports with it.",
            fix="Install it: https://kubernetes.io/docs/tasks/tools/",
        )
    cluster = [kubectl, f"--context={platform.cluster.context}"]
    if platform.cluster.kubeconfig is not None:
        cluster.append(f"--kubeconfig={platform.cluster.kubeconfig}")
    with contextlib.ExitStack() as running:
        kept = [running.enter_context(_Kept(each, cluster, variables, report)) for each in wanted]
        for each in kept:
            each.wait()
        yield wanted


class _Kept:
    """One forward, started again whenever it ends."""

    def __init__(
        self, forward: Forward, kubectl: Sequence[str], env: Mapping[str, str], report: Report
    ) -> None:
        self._forward = forward
        self._command = [
            *kubectl,
            "port-forward",
            f"--namespace={forward.namespace}",
            f"--address={_HOST}",
            f"service/{forward.service}",
            f"{forward.port}:{forward.service_port}",
        ]
        self._env = env
        self._report = report
        self._ending = threading.Event()
        self._process: subprocess.Popen[str] | None = None
        self._said = ""
        self._thread = threading.Thread(target=self._run, name=f"forward-{forward.name}")

    def __enter__(self) -> "_Kept":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        while self._thread.is_alive():
            if self._process is not None:
                self._process.send_signal(signal.SIGTERM)
            self._thread.join(_PAUSE)

    def wait(self) -> None:
        """Wait until the port is open; raises FailedError if it does not open."""
        if not poll(lambda: _listens(self._forward.port), seconds=_OPENED_SECONDS, interval=0.1):
            raise FailedError(
                f"Port {self._forward.port} could not be opened to Service "
                f"{self._forward.namespace}/{self._forward.service}.",
                why=self._said or "kubectl said nothing.",
                fix="Check with `slipway up` that the platform is there.",
            )

    def _run(self) -> None:
        while not self._ending.is_set():
            with subprocess.Popen(
                self._command,
                env={**self._env},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                # Ctrl-C of a terminal is for this command, which ends its children itself.
                process_group=0,
            ) as self._process:
                assert self._process.stderr is not None
                for line in self._process.stderr:
                    self._said = line.strip()
            if not self._ending.wait(_PAUSE):
                self._report(f"{self._forward.name}: {self._said or 'the forward ended'}; opening it again")


def _refuse_taken(wanted: Sequence[Forward]) -> None:
    if taken := [each for each in wanted if _listens(each.port)]:
        raise UsageError(
            f"Port {taken[0].port} of {_HOST} is in use.",
            why=f"The settings name it for {taken[0].name}; another `slipway open` may be running.",
            fix="Stop what listens there, or change endpoints in the settings and run `slipway up`.",
        )


def _listens(port: int) -> bool:
    with socket.socket() as client:
        client.settimeout(1)
        return client.connect_ex((_HOST, port)) == 0
