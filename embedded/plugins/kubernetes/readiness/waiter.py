"""The one loop that waits until an object is ready."""

import threading
import time

from embedded.plugins.kubernetes.client import ApiError, Client, NoKindError, Target, UnreachableError
from embedded.plugins.kubernetes.readiness import diagnosis
from embedded.plugins.kubernetes.readiness.verdict import Failed, Object, Ready, Rule, Verdict
from embedded.plugins.kubernetes.tokens import Kind
from slipway.core.report import Report

_EVENT = Kind("v1", "Event")
_POD = Kind("v1", "Pod")


class NotReadyError(Exception):
    """The object is there, but not ready; `live` is its last state."""

    def __init__(self, live: Object, reasons: list[str]) -> None:
        self.live = live
        self.reasons = reasons
        super().__init__("; ".join(reasons))


class GoneError(Exception):
    """The object was deleted while it was waited for."""


def judge(client: Client, target: Target, rule: Rule) -> tuple[Object, Verdict]:
    """Look once.

    Raises:
        GoneError: when the object is not there.
    """
    live, verdict, _watch, _version = _look(client, target, rule)
    return live, verdict


def wait(
    client: Client, target: Target, rule: Rule, *, until: float, cancelled: threading.Event, say: Report
) -> Object:
    """Return the object when it is ready.

    Raises:
        NotReadyError: when it failed, or did not get there in time, or the wait was cancelled.
        GoneError: when it was deleted meanwhile.
    """
    said = ""
    began = time.monotonic()
    while True:
        live, verdict, watch, version = _look(client, target, rule)
        if isinstance(verdict, Ready):
            return live
        if isinstance(verdict, Failed):
            raise NotReadyError(live, [verdict.reason, *diagnose(client, target, rule, live)])
        if cancelled.is_set():
            raise NotReadyError(live, [f"cancelled while waiting: {verdict.reason}"])
        left = until - time.monotonic()
        if left <= 0:
            waited = f"not ready after {until - began:.0f} s: {verdict.reason}"
            raise NotReadyError(live, [waited, *diagnose(client, target, rule, live)])
        if verdict.reason != said:
            said = verdict.reason
            say(f"waiting: {said}")
        client.await_change(watch, version, left)


def diagnose(client: Client, target: Target, rule: Rule, live: Object) -> list[str]:
    """Say what the pods and the events tell; never fails."""
    try:
        selector = rule.pods(live)
        pods = client.list(Target(_POD, target.namespace, labels=selector))[0] if selector else []
        lines = diagnosis.pods([live] if target.kind == _POD else pods)
        names = [live["metadata"]["name"], *(pod["metadata"]["name"] for pod in pods[:2])]
        for name in names:
            fields = f"involvedObject.name={name},type=Warning"
            lines += diagnosis.events(client.list(Target(_EVENT, target.namespace, fields=fields))[0])
    except (ApiError, NoKindError, UnreachableError):
        return []
    return list(dict.fromkeys(lines))


def _look(client: Client, target: Target, rule: Rule) -> tuple[Object, Verdict, Target, str]:
    """Return the object, the verdict, and what to watch from which version."""
    live = client.get(target)
    if live is None:
        raise GoneError
    related, watch, version = {}, target, str(live["metadata"]["resourceVersion"])
    for number, relative in enumerate(rule.relatives(live)):
        if relative.name:
            found = client.get(relative)
            related[relative] = [found] if found else []
        else:
            related[relative], listed = client.list(relative)
            if number == 0:
                watch, version = relative, listed
    return live, rule.judge(live, related), watch, version
