"""Fields that somebody else has set: who, which, and what may be done about it. Pure."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from embedded.plugins.kubernetes.normal import folded, same
from embedded.plugins.kubernetes.values import Path, Value, get

PATCH_FORCE: Final = "pulumi.com/patchForce"
_MANAGER: Final = re.compile(r'conflict with "(?P<manager>[^"]*)"(?P<rest>.*)')
_STEP: Final = re.compile(r'\.(?P<name>[^.\[\]]+)|\[(?P<select>(?:[^\]"]|"(?:[^"\\]|\\.)*")*)\]')
_PAIR: Final = re.compile(r'(?P<key>[^=,]+)=(?P<value>"(?:[^"\\]|\\.)*"|[^,]+)')


@dataclass(frozen=True)
class Conflict:
    """One field, owned by another manager.

    `declared` tells a manager who applies the field as we do (another stack, Argo CD) from one who
    has changed it once (`kubectl edit`, a controller): the first will set it again.
    """

    manager: str
    field: str
    declared: bool

    def __str__(self) -> str:
        """Name the manager and the field."""
        return f"conflict with manager '{self.manager}' on {self.field}"


def read(causes: Iterable[Mapping[str, Any]]) -> list[Conflict]:
    """Read the causes of a 409 answer to an apply; none if it is another kind of conflict."""
    found = []
    for cause in causes:
        if cause.get("reason") != "FieldManagerConflict":
            continue
        match = _MANAGER.search(str(cause.get("message", "")))
        manager, rest = (match["manager"], match["rest"]) if match else ("unknown", "")
        found.append(Conflict(manager, str(cause.get("field", "")), " using " not in rest))
    return found


def unseen(conflicts: Sequence[Conflict], known: dict[str, Any], live: dict[str, Any]) -> list[Conflict]:
    """Return the conflicts that the user can't have seen in the difference.

    A value that the state knows (a refresh or an import has read it) was shown before the user said
    yes, so it may be overwritten, unless its manager declares it and would set it again. A value that
    the state does not know has been set behind the user's back.
    """
    return [
        conflict
        for conflict in conflicts
        if conflict.declared or not _is_known(conflict.field, folded(known), live)
    ]


def locate(field: str, value: Value) -> Path | None:
    """Return the place in `value` that the server's notation means, e.g. `.ports[port=80].name`."""
    path: list[str | int] = []
    for match in _STEP.finditer(field):
        step = match["name"] if match["name"] is not None else _index(match["select"], value)
        if step is None:
            return None
        path.append(step)
        value = get(value, (step,))
    return tuple(path)


def without(value: Value, path: Path) -> Value:
    """Return a copy without what is at `path`."""
    if not path:
        return value
    head, rest = path[0], path[1:]
    if isinstance(value, dict) and head in value:
        if not rest:
            return {key: item for key, item in value.items() if key != head}
        return {**value, head: without(value[head], rest)}
    if isinstance(value, list) and isinstance(head, int) and head < len(value):
        if not rest:
            return [item for index, item in enumerate(value) if index != head]
        return [without(item, rest) if index == head else item for index, item in enumerate(value)]
    return value


def explain(conflicts: Sequence[Conflict]) -> tuple[str, str]:
    """Return why, and how to mend it, in words."""
    why = "; ".join(str(conflict) for conflict in conflicts)
    if any(conflict.declared for conflict in conflicts):
        fix = "Let one of the two own the field: leave it out of this program or take it from the other; "
    else:
        fix = "Run `pulumi refresh` to see the other value and then `pulumi up` to overwrite it; "
    return why, f'{fix}to take the field in any case, annotate the object with {PATCH_FORCE}: "true".'


def _is_known(field: str, known: dict[str, Any], live: dict[str, Any]) -> bool:
    here, there = locate(field, known), locate(field, live)
    if here is None or there is None:
        return False
    return _equal(here, get(known, here), get(live, there))


def _equal(path: Path, one: Value, other: Value) -> bool:
    if isinstance(one, dict | list) or isinstance(other, dict | list):
        return bool(one == other)
    return one is not None and same(path, one, other)


def _index(select: str, value: Value) -> int | None:
    if not isinstance(value, list):
        return None
    if select.isdigit():
        return int(select)
    if select.startswith("="):
        wanted = json.loads(select[1:])
        return value.index(wanted) if wanted in value else None
    pairs = {match["key"]: json.loads(match["value"]) for match in _PAIR.finditer(select)}
    for index, item in enumerate(value):
        if isinstance(item, dict) and all(item.get(key, wanted) == wanted for key, wanted in pairs.items()):
            return index
    return None
