"""Variants of an object: every field that its schema knows set to something else, one at a time."""

import copy
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

Schema = dict[str, Any]
Path = tuple[str, ...]


class Variant(NamedTuple):
    """A changed object, and the field that is changed."""

    path: str
    kind: str
    """`other` value, `added` field, `absent` field, or a `deep` field below an added one."""
    body: dict[str, Any]


def variants(base: dict[str, Any], schema: Schema, under: Path) -> Iterator[Variant]:
    """Yield every variant of `base` that differs in one field below `under`, each valid by the schema."""
    at, held = schema, base
    for name in under:
        at, held = at["properties"][name], held[name]
    for path, kind, value in _changes(held, at, ()):
        body = copy.deepcopy(base)
        parent = body
        for name in (*under, *path[:-1]):
            parent = parent[name]
        if kind == "absent":
            del parent[path[-1]]
        else:
            parent[path[-1]] = value
        yield Variant(".".join((*under, *path)), kind, body)


def _changes(held: dict[str, Any], schema: Schema, at: Path) -> Iterator[tuple[Path, str, Any]]:
    """Yield (path, kind, value) for what may be different in a held object."""
    required = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        path = (*at, name)
        if name not in held:
            yield path, "added", example(field)
            for value, deep in _deeper(field, ()):
                yield path, f"deep {'.'.join(deep)}", value
            continue
        if name not in required:
            yield path, "absent", None
        if isinstance(held[name], dict):
            yield from _changes(held[name], field, path)
        else:
            yield path, "other", example(field, other_than=held[name])
    if "additionalProperties" in schema:
        for name, value in held.items():
            yield (*at, name), "other", example(schema["additionalProperties"], other_than=value)
            yield (*at, name), "absent", None
        yield (*at, "another"), "added", example(schema["additionalProperties"])


def _deeper(schema: Schema, at: Path) -> Iterator[tuple[Any, Path]]:
    """Yield examples of a field that is absent from the base, each with one more field inside it set."""
    if schema.get("type") == "array":
        for value, path in _deeper(schema["items"], at):
            yield [value], path
        return
    for name, field in schema.get("properties", {}).items():
        outer = example(schema)
        yield {**outer, name: example(field)}, (*at, name)
        for value, path in _deeper(field, (*at, name)):
            yield {**outer, name: value}, path


def example(schema: Schema, other_than: Any = None) -> Any:
    """Return a value that the schema allows and that is not `other_than`."""
    for value in _candidates(schema):
        if value != other_than:
            return value
    raise AssertionError(f"{schema} allows nothing but {other_than!r}")


def _candidates(schema: Schema) -> Sequence[Any]:
    if "enum" in schema:
        return list(schema["enum"])
    if schema.get("x-kubernetes-int-or-string"):
        return [7, "7"]
    if schema.get("type") in ("array", "object"):
        return _collections(schema)
    least = schema.get("minimum", 7)
    texts = ["2026-01-01T00:00:00Z"] if schema.get("format") == "date-time" else ["7", "8", "/7", "x", "y"]
    texts = [text for text in texts if re.search(schema.get("pattern", ""), text)]
    scalars: dict[str, list[Any]] = {"string": texts, "boolean": [True, False]}
    return scalars.get(schema.get("type", ""), [least, least + 1])


def _collections(schema: Schema) -> Sequence[Any]:
    if schema["type"] == "array":
        return [[example(schema["items"])], []]
    if "properties" in schema:
        return [{name: example(schema["properties"][name]) for name in schema.get("required", ())}]
    if "additionalProperties" in schema:
        return [{"x": example(schema["additionalProperties"])}]
    return [{}]
