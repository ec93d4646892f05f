"""One server-side apply, and what to do where somebody else owns a field."""

from dataclasses import dataclass, field
from typing import Any

from embedded.plugins.kubernetes import conflicts, refusals
from embedded.plugins.kubernetes.client import ApiError, Client, Object, Target
from embedded.plugins.kubernetes.normal import folded, without_none
from embedded.plugins.kubernetes.values import get
from slipway.core.errors import FailedError


@dataclass(frozen=True)
class Order:
    """What to apply, in whose name, and what the state knows of the object."""

    target: Target
    body: Object
    manager: str
    known: dict[str, Any] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()
    force: bool = False
    dry_run: bool = False


def manifest(inputs: dict[str, Any]) -> Object:
    """Return the object to apply: what the program says, without what only the server writes."""
    body = folded(without_none(inputs))
    return {key: value for key, value in body.items() if key != "status" and not key.startswith("__")}


def apply(client: Client, order: Order) -> Object:
    """Apply, and return the object as it is then.

    A conflict is settled field by field: one that the program ignores is left to the other; one whose
    value the user has seen in the difference is overwritten; the rest is refused, by name.

    Raises:
        FailedError: when a field belongs to somebody else.
    """
    annotations = get(order.body, ("metadata", "annotations")) or {}
    force = order.force or annotations.get(conflicts.PATCH_FORCE) == "true"
    try:
        return _ask(client, order, order.body, force=force)
    except ApiError as error:
        found = conflicts.read(error.causes) if error.code == 409 else []
        if not found:
            raise
    yielded = [conflict for conflict in found if _is_ignored(conflict, order.ignored)]
    contested = [conflict for conflict in found if conflict not in yielded]
    surprising = conflicts.unseen(contested, order.known, client.get(order.target) or {})
    if surprising:
        why, fix = conflicts.explain(surprising)
        raise FailedError(f"{refusals.described(order.target)} was not changed.", why=f"{why}.", fix=fix)
    return _ask(client, order, _without(order.body, yielded), force=bool(contested))


def _ask(client: Client, order: Order, body: Object, *, force: bool) -> Object:
    return client.apply(order.target, body, order.manager, force=force, dry_run=order.dry_run)


def _without(body: Object, yielded: list[conflicts.Conflict]) -> Object:
    located = [conflicts.locate(conflict.field, body) for conflict in yielded]
    # The last first: taking an element out of a list moves those behind it.
    for path in sorted(filter(None, located), key=str, reverse=True):
        body = conflicts.without(body, path)
    return body


def _is_ignored(conflict: conflicts.Conflict, ignored: tuple[str, ...]) -> bool:
    place = conflict.field.removeprefix(".")
    return any(place == path or place.startswith((f"{path}.", f"{path}[")) for path in ignored)
