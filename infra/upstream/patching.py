"""Slipway's changes to rendered objects. Pure.

A change that matches nothing is an error: after an upgrade it would otherwise be lost without a word.
"""

import copy
from collections.abc import Iterable, Sequence
from typing import Any

from infra.upstream.manifests import Document
from infra.upstream.objects import Identity
from infra.upstream.part import Append, Patch, Remove, Target


class PatchError(ValueError):
    """A change does not fit what was rendered."""


def patched(documents: Sequence[Document], patches: Iterable[Patch]) -> list[Document]:
    """Return the objects with every change made, in order.

    Raises:
        PatchError: A change matches no object, or its path does not exist.
    """
    result = copy.deepcopy(list(documents))
    for patch in patches:
        matching = [document for document in result if _matches(document, patch.target)]
        if not matching:
            raise PatchError(f"no object is {patch.target.kind} {patch.target.name}, which a patch changes")
        if isinstance(patch, Remove):
            result = [document for document in result if not _matches(document, patch.target)]
            continue
        for document in matching:
            name = str(Identity.of(document))
            if isinstance(patch, Append):
                _append(document, patch.path, patch.value, name)
            else:
                _set(document, patch.path, patch.value, name)
    return result


def _matches(document: Document, target: Target) -> bool:
    identity = Identity.of(document)
    return (
        identity.kind == target.kind
        and target.name in ("*", identity.name)
        and target.namespace in (None, identity.namespace)
    )


def _append(document: Document, path: tuple[str | int, ...], value: Any, name: str) -> None:  # noqa: ANN401
    place: Any = document
    for number, step in enumerate(path):
        place = _inside(place, step, f"{name}: {'.'.join(map(str, path[: number + 1]))}")
    if not isinstance(place, list):
        raise PatchError(f"{name}: {'.'.join(map(str, path))} is no list")
    place.append(copy.deepcopy(value))


def _set(document: Document, path: tuple[str | int, ...], value: Any, name: str) -> None:  # noqa: ANN401
    place: Any = document
    for number, step in enumerate(path[:-1]):
        place = _inside(place, step, f"{name}: {'.'.join(map(str, path[: number + 1]))}")
    last = path[-1]
    if isinstance(place, list):
        index = _index(place, last, f"{name}: {'.'.join(map(str, path))}")
        if value is None:
            del place[index]
        else:
            place[index] = value
    elif value is None:
        if last not in place:
            raise PatchError(f"{name}: {'.'.join(map(str, path))} is not there")
        del place[last]
    else:
        place[last] = value


def _inside(place: Any, step: str | int, name: str) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(place, list):
        return place[_index(place, step, name)]
    if not isinstance(place, dict) or step not in place:
        raise PatchError(f"{name} is not there")
    return place[step]


def _index(items: list[Any], step: str | int, name: str) -> int:
    if isinstance(step, int):
        if step < len(items):
            return step
    else:
        for number, item in enumerate(items):
            if item == step or (isinstance(item, dict) and item.get("name") == step):
                return number
    raise PatchError(f"{name} is not there")
