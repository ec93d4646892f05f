"""Wait until the cluster is ready: node Ready, DNS resolves, volumes and service accounts exist."""

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import httpx

from embedded.cluster import bootstrap, probes, records
from embedded.cluster.api import Api, Object
from embedded.cluster.config import DOMAIN
from embedded.cluster.diagnosis import failure
from embedded.cluster.paths import API_PORT, DNS_PORT, ClusterPaths
from embedded.images import ensure
from embedded.images.containerd import Containerd
from slipway.core.errors import FailedError
from slipway.core.report import Report
from slipway.core.waiting import poll

TIMEOUT: Final = 180.0
"""Seconds for a cold start on a busy machine; an idle machine with two cores takes less than ten."""
_MAX_RESTARTS: Final = 4
"""Restarts of one component after which a start fails."""


@dataclass
class Waiting:
    """A wait that fails early if a component is restarted repeatedly."""

    paths: ClusterPaths
    report: Report
    deadline: float
    before: dict[str, int]

    @classmethod
    def begin(cls, paths: ClusterPaths, report: Report) -> "Waiting":
        """Start the timeout."""
        processes = records.read_processes(paths.processes)
        before = {name: life.restarts for name, life in processes.lives.items()} if processes else {}
        return cls(paths, report, time.monotonic() + TIMEOUT, before)

    def until(self, what: str, process: str, done: Callable[[], bool]) -> None:
        """Wait until `done` returns true; after the timeout, the error quotes the log of `process`.

        Raises:
            FailedError: A component is restarted repeatedly, the supervisor ended, or the timeout expired.
        """
        self.report(f"waiting for {what}")
        left = self.deadline - time.monotonic()
        if not poll(lambda: _succeeds(done), seconds=left, interval=0.05, meanwhile=self._check):
            raise failure(self.paths, process, f"The local cluster has no {what} after {TIMEOUT:.0f} s.")

    def _check(self, _: bool) -> None:
        if records.supervisor_pid(self.paths.supervisor) is None:
            raise failure(self.paths, "supervisor", "The local cluster's supervisor ended during the start.")
        processes = records.read_processes(self.paths.processes)
        for name, life in processes.lives.items() if processes else ():
            if life.restarts - self.before.get(name, 0) >= _MAX_RESTARTS:
                raise failure(
                    self.paths,
                    name,
                    f"{name} of the local cluster can't run: it ended {_MAX_RESTARTS} times.",
                )


def wait_until_ready(paths: ClusterPaths, report: Report, *, since: float) -> None:
    """Apply the initial objects, and return when pods can run and resolve names.

    Args:
        paths: Paths of the cluster.
        report: Receives progress messages.
        since: Start time of the components; older heartbeats of the node are ignored.
    """
    waiting = Waiting.begin(paths, report)
    instance = paths.instance
    waiting.until("containerd", "containerd", lambda: probes.accepts(instance.containerd_socket))
    ensure("pause", Containerd.at(instance.containerd_socket), report)
    with Api(paths, f"https://{instance.addresses.node}:{API_PORT}") as api:
        waiting.until(
            "API server", "apiserver", lambda: api.get("/api/v1/namespaces/kube-system") is not None
        )
        waiting.until("initial objects", "apiserver", lambda: bootstrap.apply(api, paths))
        waiting.until("Ready node", "kubelet", lambda: node_is_ready(_node(api, paths), since))
        waiting.until(
            "service accounts",
            "controller-manager",
            lambda: api.get("/api/v1/namespaces/default/serviceaccounts/default") is not None,
        )
    waiting.until("DNS", "coredns", lambda: resolves(str(instance.addresses.dns_service)))
    waiting.until(
        f"connection to 127.0.0.1:{instance.ports.api}", "forwards", lambda: _connects(instance.ports.api)
    )


def node_is_ready(node: Object, since: float) -> bool:
    """Whether the node reported Ready after `since`: the condition remains when the kubelet stops."""
    for condition in node.get("status", {}).get("conditions", []):
        if condition["type"] == "Ready" and condition["status"] == "True":
            return datetime.fromisoformat(condition["lastHeartbeatTime"]).timestamp() >= int(since)
    return False


def resolves(server: str, name: str = f"kubernetes.default.svc.{DOMAIN}") -> bool:
    """Whether a DNS server resolves `name`, with a single handwritten query."""
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0"
    query = b"\x51\x0a\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00" + labels + b"\x00\x01\x00\x01"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(0.3)
        client.connect((server, DNS_PORT))
        client.send(query)
        response = client.recv(512)
    no_error, answers = response[3] & 0x0F == 0, int.from_bytes(response[6:8], "big")
    return no_error and answers > 0


def _node(api: Api, paths: ClusterPaths) -> Object:
    return api.get(f"/api/v1/nodes/{paths.instance.node_name}") or {}


def _connects(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), timeout=1):
        return True


def _succeeds(done: Callable[[], bool]) -> bool:
    """Call a probe; an error counts as false, and the wait continues until its timeout."""
    try:
        return done()
    except (OSError, httpx.HTTPError, FailedError):
        return False
