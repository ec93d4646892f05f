"""The vocabulary of readiness. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from embedded.plugins.kubernetes.client import Target

Object = dict[str, Any]


@dataclass(frozen=True)
class Ready:
    """Nothing to wait for."""


@dataclass(frozen=True)
class Waiting:
    """Not yet, and why."""

    reason: str


@dataclass(frozen=True)
class Failed:
    """Never, and why."""

    reason: str


Verdict = Ready | Waiting | Failed
Related = Mapping[Target, Sequence[Object]]


def no_relatives(_live: Object) -> list[Target]:
    """Return nothing: the object speaks for itself."""
    return []


@dataclass(frozen=True)
class Rule:
    """How a kind is judged: from the object, and from those that `relatives` names."""

    judge: Callable[[Object, Related], Verdict]
    relatives: Callable[[Object], list[Target]] = no_relatives
    pods: Callable[[Object], str] = lambda _live: ""
    """The label selector of its pods, to say what is wrong with them."""


def condition(live: Object, name: str) -> Mapping[str, Any]:
    """Return the condition of that type, or an empty one."""
    for item in (live.get("status") or {}).get("conditions") or []:
        if item.get("type") == name:
            return dict(item)
    return {}


def is_true(live: Object, name: str) -> bool:
    """Tell whether the condition holds."""
    return condition(live, name).get("status") == "True"


def words(found: Mapping[str, Any], otherwise: str) -> str:
    """Return a condition's reason and message in one line."""
    return ": ".join(str(found[key]) for key in ("reason", "message") if found.get(key)) or otherwise


def is_observed(live: Object) -> bool:
    """Tell whether the controller has seen the latest version of the object."""
    generation = live["metadata"].get("generation", 0)
    return bool((live.get("status") or {}).get("observedGeneration", 0) >= generation)


def selector_text(selector: Mapping[str, Any] | None) -> str:
    """Write a label selector as the API takes it."""
    if not selector:
        return ""
    parts = [f"{key}={value}" for key, value in (selector.get("matchLabels") or {}).items()]
    for item in selector.get("matchExpressions") or []:
        operator, values = item["operator"], ",".join(item.get("values") or [])
        parts.append(
            {"In": f"{item['key']} in ({values})", "NotIn": f"{item['key']} notin ({values})",
             "Exists": item["key"], "DoesNotExist": f"!{item['key']}"}[operator]
        )  # fmt: skip
    return ",".join(parts)
