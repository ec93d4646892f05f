"""What changes between two bundles, and which of it must not be done. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict

from infra.settings import quantity
from infra.upstream.definition_versions import definition_hazards
from infra.upstream.immutable import FORBIDDEN, REPLACES, changed
from infra.upstream.objects import Identity

Json = Mapping[str, Any]
Action = Literal["added", "removed", "changed"]
Consequence = Literal["", "replaced", "to check", "forbidden"]

_LOSSES: Final[Mapping[str, str]] = {
    "CustomResourceDefinition": "every object of the kind is deleted with it",
    "Namespace": "everything in it is deleted with it",
    "PersistentVolumeClaim": "its data is deleted with it",
}
_FIELDS: Final = 6


@dataclass(frozen=True)
class Rendered:
    """One object of a bundle."""

    part: str
    document: Json


Bundle = Mapping[Identity, Rendered]


class Change(BaseModel):
    """What happens to one object."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    action: Action
    part: str
    object: str
    fields: list[str]
    """Fields that differ, joined by dots; the first few."""
    consequence: Consequence
    """`replaced`: deleted and made again. `to check`: safe or not by what the cluster holds."""
    why: str


def changes(old: Bundle, new: Bundle) -> list[Change]:
    """Return every change from one bundle to another, in order of the objects.

    An object is the same in another version of its API.
    """
    before = {identity.without_version: (identity, each) for identity, each in old.items()}
    after = {identity.without_version: (identity, each) for identity, each in new.items()}
    found = []
    for key in sorted({*before, *after}):
        if key not in after:
            found.append(_removed(*before[key]))
        elif key not in before:
            identity, each = after[key]
            found.append(_change("added", each.part, identity))
        elif before[key][1].document != after[key][1].document:
            identity, each = after[key]
            found.append(_changed(identity, before[key][1].document, each))
    return found


def _removed(identity: Identity, each: Rendered) -> Change:
    loss = _LOSSES.get(identity.kind)
    return _change("removed", each.part, identity, consequence="forbidden" if loss else "", why=loss or "")


def _changed(identity: Identity, old: Json, each: Rendered) -> Change:
    new = each.document
    fields = [*_differing(old, new, ())]
    consequence, why = _consequence(identity, old, new)
    more = [f"and {len(fields) - _FIELDS} more"] if len(fields) > _FIELDS else []
    return _change(
        "changed", each.part, identity, fields=fields[:_FIELDS] + more, consequence=consequence, why=why
    )


def _consequence(identity: Identity, old: Json, new: Json) -> tuple[Consequence, str]:
    if identity.kind == "CustomResourceDefinition":
        forbidden, doubtful = definition_hazards(old["spec"], new["spec"])
        if forbidden:
            return "forbidden", "; ".join([*forbidden, *doubtful])
        return ("to check", "; ".join(doubtful)) if doubtful else ("", "")
    if identity.kind == "PersistentVolumeClaim" and _size(new) < _size(old):
        return "forbidden", "a volume can't become smaller"
    lost = changed(identity.group, old, new, FORBIDDEN)
    if lost:
        return "forbidden", f"{' and '.join(lost)} can't change; a new object would not have the data"
    fixed = changed(identity.group, old, new, REPLACES)
    if fixed:
        return "replaced", f"{' and '.join(fixed)} can't change: the object is deleted and made again"
    return "", ""


def _size(claim: Json) -> Decimal:
    return quantity.value(str(claim["spec"]["resources"]["requests"]["storage"]))


def _change(
    action: Action,
    part: str,
    identity: Identity,
    *,
    fields: list[str] | None = None,
    consequence: Consequence = "",
    why: str = "",
) -> Change:
    return Change(
        action=action,
        part=part,
        object=str(identity),
        fields=fields or [],
        consequence=consequence,
        why=why,
    )


def _differing(old: Any, new: Any, place: tuple[str, ...]) -> Iterator[str]:  # noqa: ANN401 - any JSON value
    old, new = _by_name(old), _by_name(new)
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted({*old, *new}):
            yield from _differing(old.get(key), new.get(key), (*place, key))
    elif old != new:
        yield ".".join(place)


def _by_name(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Return a list of named items, such as containers, as a mapping; anything else as it is."""
    if not isinstance(value, list) or not value:
        return value
    names = [item.get("name") if isinstance(item, Mapping) else None for item in value]
    if None in names or len(set(names)) != len(names):
        return value
    return dict(zip(names, value, strict=True))
