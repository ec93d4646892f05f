"""Changes one value of a YAML file in place: comments, order and quoting are kept.

A layout that can't be edited line by line (such as a mapping in braces) is rejected, not rewritten.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from infra.settings import strict_yaml
from slipway.core import atomic_files
from slipway.core.errors import FailedError, UsageError

Scalar = int | str


def edited(text: str, path: Sequence[str], value: Scalar | None, name: str) -> str:
    """Return `text` with the value at `path` set to `value`, or removed if `value` is None.

    Args:
        text: Text of the file; one mapping.
        path: Keys from the outermost to the one to set; missing keys are added.
        value: An integer or a text of one line.
        name: Name of the file in messages.

    Raises:
        UsageError: The file's layout does not allow editing a single line.
    """
    before = strict_yaml.parse(text.encode(), name)
    target = _changed(before, path, value)
    if target == before:
        return text
    try:
        after = _edit(text, path, value)
        done = strict_yaml.parse(after.encode(), name) == target
    except (UsageError, _UnsuitedError):
        done = False
    if not done:
        to = "Remove" if value is None else f"Set to {value}"
        raise UsageError(
            f"{name}: {'.'.join(path)} can't be edited automatically.",
            why="Each key must be on a line of its own, without braces.",
            fix=f"{to}: {'.'.join(path)}. Then run the command again.",
        )
    return after


def write(path: Path, expected: str, text: str) -> None:
    """Put `text` in the place of the file in one step, if the file still holds `expected`.

    Raises:
        FailedError: Somebody changed the file meanwhile.
    """
    if text == expected:
        return
    if read(path) != expected:
        raise FailedError(f"{path.name} was changed meanwhile.", fix="Run the command again.")
    atomic_files.replace(path, text, mode=path.stat().st_mode & 0o777)


def read(path: Path) -> str:
    """Return the file's text, its line ends as they are."""
    with path.open(encoding="utf-8", newline="") as file:
        return file.read()


class _UnsuitedError(Exception):
    """The layout has no single line to edit."""


def _changed(document: dict[str, Any], path: Sequence[str], value: Scalar | None) -> dict[str, Any]:
    key, *deeper = path
    inner = document.get(key)
    if deeper:
        return {**document, key: _changed(inner if isinstance(inner, dict) else {}, deeper, value)}
    rest = {name: current for name, current in document.items() if name != key}
    return rest if value is None else {**rest, key: value}


def _edit(text: str, path: Sequence[str], value: Scalar | None) -> str:
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    for depth, key in enumerate(path):
        if not isinstance(node, yaml.MappingNode) or node.flow_style or not node.value:
            raise _UnsuitedError
        pair = next((pair for pair in node.value if pair[0].value == key), None)
        if pair is None:
            return _inserted(text, node, path[depth:], value)
        if depth == len(path) - 1:
            return _replaced(text, pair, value)
        node = pair[1]
    raise _UnsuitedError


def _replaced(text: str, pair: tuple[yaml.Node, yaml.Node], value: Scalar | None) -> str:
    key, current = pair
    if not isinstance(current, yaml.ScalarNode) or key.start_mark.line != current.end_mark.line:
        raise _UnsuitedError
    if value is not None:
        return f"{text[: current.start_mark.index]}{_written(value)}{text[current.end_mark.index :]}"
    begin = key.start_mark.index - key.start_mark.column
    return text[:begin] + text[_line_end(text, current.end_mark.index) :]


def _inserted(text: str, mapping: yaml.MappingNode, path: Sequence[str], value: Scalar | None) -> str:
    """Add the keys as lines below the mapping's last plain value, or above its first key."""
    column = mapping.value[0][0].start_mark.column
    newline = "\r\n" if "\r\n" in text else "\n"
    lines = [f"{' ' * (column + 2 * depth)}{key}:" for depth, key in enumerate(path)]
    if value is not None:
        lines[-1] += f" {_written(value)}"
    plain = [node for _, node in mapping.value if isinstance(node, yaml.ScalarNode)]
    first = mapping.value[0][0].start_mark
    at = _line_end(text, plain[-1].end_mark.index) if plain else first.index - first.column
    before = text[:at]
    if before and not before.endswith("\n"):
        before += newline
    return before + newline.join(lines) + newline + text[at:]


def _written(value: Scalar) -> str:
    """Return a value as YAML: quoted where the plain text would be read as something else."""
    text = str(value)
    try:
        plain = strict_yaml.parse(f"key: {text}".encode(), "value") == {"key": value}
    except UsageError:
        plain = False
    return text if plain else json.dumps(value)


def _line_end(text: str, index: int) -> int:
    """Return the index at which the line after `index` begins."""
    end = text.find("\n", index)
    return len(text) if end < 0 else end + 1
