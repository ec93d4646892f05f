"""Waiting for a cluster that can be used: node Ready, names resolve, volumes and accounts are there."""

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
from embedded.cluster.places import API_PORT, DNS_PORT, Places
from embedded.images import ensure
from slipway.core.errors import FailedError
from slipway.core.report import Report
from slipway.core.waiting import poll

PATIENCE: Final = 180.0
"""Seconds for a cold start on a busy machine; a quiet one with two cores takes under ten."""
_ENDS: Final = 4
"""Times that one component may end during a start before the start gives up."""


@dataclass
class Waiting:
    """A wait that ends early when a component keeps dying."""

    places: Places
    report: Report
    deadline: float
    before: dict[str, int]

    @classmethod
    def begin(cls, places: Places, report: Report) -> "Waiting":
        """Start the clock."""
        held = records.read_processes(places.processes)
        before = {name: life.restarts for name, life in held.lives.items()} if held else {}
        return cls(places, report, time.monotonic() + PATIENCE, before)

    def until(self, what: str, process: str, done: Callable[[], bool]) -> None:
        """Wait until `done`; `process` is whose log is quoted when time runs out.

        Raises:
            FailedError: a component keeps ending, the supervisor is gone, or time is up.
        """
        self.report(f"waiting for {what}")
        left = self.deadline - time.monotonic()
        if not poll(lambda: _quietly(done), seconds=left, interval=0.05, meanwhile=self._check):
            raise failure(self.places, process, f"The local cluster has no {what} after {PATIENCE:.0f} s.")

    def _check(self, _: bool) -> None:
        if records.holder(self.places.supervisor) is None:
            raise failure(self.places, "supervisor", "The local cluster's supervisor ended during the start.")
        held = records.read_processes(self.places.processes)
        for name, life in held.lives.items() if held else ():
            if life.restarts - self.before.get(name, 0) >= _ENDS:
                raise failure(
                    self.places, name, f"{name} of the local cluster can't run: it ended {_ENDS} times."
                )


def wait_until_ready(places: Places, report: Report, *, since: float) -> None:
    """Apply the first objects and return when a pod could run and be found.

    Args:
        places: whose cluster.
        report: told what is waited for.
        since: when the components were started; an older sign of life of the node is void.
    """
    waiting = Waiting.begin(places, report)
    instance = places.instance
    waiting.until("containerd", "containerd", lambda: probes.accepts(instance.containerd_socket))
    ensure("pause", instance, report)
    with Api(places, f"https://{instance.addresses.node}:{API_PORT}") as api:
        waiting.until(
            "API server", "apiserver", lambda: api.get("/api/v1/namespaces/kube-system") is not None
        )
        waiting.until("first objects", "apiserver", lambda: bootstrap.apply(api, places))
        waiting.until("Ready node", "kubelet", lambda: node_is_ready(_node(api, places), since))
        waiting.until(
            "service accounts",
            "controller-manager",
            lambda: api.get("/api/v1/namespaces/default/serviceaccounts/default") is not None,
        )
    waiting.until("DNS", "coredns", lambda: resolves(str(instance.addresses.dns_service)))
    waiting.until(
        f"answer on 127.0.0.1:{instance.ports.api}", "forwards", lambda: _connects(instance.ports.api)
    )


def node_is_ready(node: Object, since: float) -> bool:
    """Whether the node said Ready after `since`: the stored condition outlives a stopped kubelet."""
    for condition in node.get("status", {}).get("conditions", []):
        if condition["type"] == "Ready" and condition["status"] == "True":
            return datetime.fromisoformat(condition["lastHeartbeatTime"]).timestamp() >= int(since)
    return False


def resolves(server: str, name: str = f"kubernetes.default.svc.{DOMAIN}") -> bool:
    """Whether a DNS server knows the address of `name`: one query, by hand."""
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0"
    query = b"\x51\x0a\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00" + labels + b"\x00\x01\x00\x01"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(0.3)
        client.connect((server, DNS_PORT))
        client.send(query)
        answer = client.recv(512)
    no_error, answers = answer[3] & 0x0F == 0, int.from_bytes(answer[6:8], "big")
    return no_error and answers > 0


def _node(api: Api, places: Places) -> Object:
    return api.get(f"/api/v1/nodes/{places.instance.node_name}") or {}


def _connects(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), timeout=1):
        return True


def _quietly(done: Callable[[], bool]) -> bool:
    """A probe that can't be made is a no: whether it may stay so is the deadline's business."""
    try:
        return done()
    except (OSError, httpx.HTTPError, FailedError):
        return False
