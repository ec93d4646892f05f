"""What is wrong with pods and what the events say, in words. Pure."""

from collections.abc import Iterable
from typing import Any, Final

from embedded.plugins.kubernetes.readiness.verdict import condition

_MOST: Final = 3
_HARMLESS: Final = frozenset({"ContainerCreating", "PodInitializing"})


def pods(found: Iterable[dict[str, Any]]) -> list[str]:
    """Describe each pod that is in trouble."""
    lines: list[str] = []
    for pod in found:
        name = pod["metadata"]["name"]
        trouble = [*_scheduling(pod), *_containers(pod)]
        lines += [f"pod {name}: {line}" for line in trouble[:_MOST]]
    return lines[: 2 * _MOST]


def events(found: Iterable[dict[str, Any]]) -> list[str]:
    """Return the last warnings, each once."""
    warnings = [event for event in found if event.get("type") == "Warning"]
    warnings.sort(key=lambda event: event.get("lastTimestamp") or event.get("eventTime") or "")
    lines = [f"event {event.get('reason', '')}: {event.get('message', '')}" for event in warnings]
    return list(dict.fromkeys(lines))[-_MOST:]


def _scheduling(pod: dict[str, Any]) -> list[str]:
    scheduled = condition(pod, "PodScheduled")
    if scheduled.get("status") == "False":
        return [f"not scheduled: {scheduled.get('message', scheduled.get('reason', ''))}"]
    return []


def _containers(pod: dict[str, Any]) -> list[str]:
    status = pod.get("status") or {}
    lines = []
    for container in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
        state = container.get("state") or {}
        waiting, ended = state.get("waiting") or {}, state.get("terminated") or {}
        before = (container.get("lastState") or {}).get("terminated") or {}
        if waiting and waiting.get("reason") not in _HARMLESS:
            lines.append(f"container {container['name']}: {_words(waiting)}{_exit(before)}")
        elif ended and ended.get("exitCode") != 0:
            lines.append(f"container {container['name']}: {_words(ended)}{_exit(ended)}")
        elif "running" in state and not container.get("ready", True):
            lines.append(f"container {container['name']}: running, but not ready")
    return lines


def _words(state: dict[str, Any]) -> str:
    return ": ".join(state[key] for key in ("reason", "message") if state.get(key)) or "not running"


def _exit(ended: dict[str, Any]) -> str:
    return f" (exit code {ended['exitCode']})" if "exitCode" in ended else ""
