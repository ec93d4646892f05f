"""What changes between two versions of an object's inputs. Pure, and needs no cluster."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from embedded.plugins.kubernetes import immutability, names
from embedded.plugins.kubernetes.normal import folded, same, without_none
from embedded.plugins.kubernetes.tokens import Kind
from embedded.plugins.kubernetes.values import UNKNOWN, Path, Value, get

Operation = Literal["add", "delete", "update"]


@dataclass(frozen=True)
class Change:
    """One field that differs."""

    path: Path
    operation: Operation
    replaces: bool = False


@dataclass(frozen=True)
class Difference:
    """All that differs, and whether the old object has to go before the new one comes."""

    changes: tuple[Change, ...] = ()
    delete_first: bool = False

    @property
    def replaces(self) -> bool:
        """Whether a new object is needed."""
        return any(change.replaces for change in self.changes)


def compare(
    kind: Kind,
    old: dict[str, Any],
    new: dict[str, Any],
    *,
    applied: bool = True,
    mutable_contents: bool = False,
) -> Difference:
    """Compare inputs with inputs.

    Args:
        kind: of the object.
        old: inputs of the last run, or what a refresh made of them.
        new: inputs of this run.
        applied: whether we ever applied the object. If not, we own none of its fields, and leaving
            one out removes nothing: an imported object keeps what the program doesn't mention.
        mutable_contents: whether the data of an autonamed ConfigMap or Secret changes in place.
    """
    before, after = folded(without_none(old)), folded(without_none(new))
    contents = names.is_autonamed(before) and not mutable_contents
    changes = tuple(
        Change(
            _as_written(change.path, new),
            change.operation,
            immutability.replaces(kind, change.path, before, contents=contents),
        )
        for change in walk(before, after)
        if change.operation != "delete" or applied
    )
    replaced = any(change.replaces for change in changes)
    return Difference(changes, replaced and _keeps_name(before, after))


def walk(old: Value, new: Value, path: Path = ()) -> Iterator[Change]:
    """Yield every difference, as deep as it can be told."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            if key not in new:
                yield Change((*path, key), "delete")
            elif key not in old:
                yield Change((*path, key), "add")
            else:
                yield from walk(old[key], new[key], (*path, key))
    elif isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            if index >= len(new):
                yield Change((*path, index), "delete")
            elif index >= len(old):
                yield Change((*path, index), "add")
            else:
                yield from walk(old[index], new[index], (*path, index))
    elif isinstance(old, dict | list) or isinstance(new, dict | list) or not same(path, old, new):
        yield Change(path, "update")


def _keeps_name(old: dict[str, Any], new: dict[str, Any]) -> bool:
    if names.is_autonamed(new):
        return False
    places = [("metadata", "name"), ("metadata", "namespace")]
    return all(get(old, p) == get(new, p) or get(new, p) is UNKNOWN for p in places)


def _as_written(path: Path, new: dict[str, Any]) -> Path:
    """Return the path as the program wrote it: `stringData` was folded into `data`."""
    if len(path) > 1 and path[0] == "data" and get(new, ("stringData", path[1])) is not None:
        return ("stringData", *path[1:])
    if path == ("data",) and "data" not in new and "stringData" in new:
        return ("stringData",)
    return path
