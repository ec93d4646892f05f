"""Parse an uploaded file into plain data, or refuse it, within a second. Pure.

The YAML events are checked before objects are created: size, depth and number of nodes are limited, and
aliases are refused (the compiler never writes them), so the memory is proportional to the file's size.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import yaml

MAX_BYTES: Final = 32 * 1024 * 1024
"""Upstream's limit for a pipeline file."""
_MAX_NODES: Final = 150_000
"""A compiled step has about 150; checking this many takes 0.6 s on the slowest machine measured."""
_MAX_DEPTH: Final = 60

_COMPRESSED: Final = {b"PK\x03\x04": "zip", b"\x1f\x8b": "gzip"}


class DocumentError(ValueError):
    """The file is not a pipeline; the message says why."""


class TooLargeError(DocumentError):
    """The file is larger than MAX_BYTES."""


@dataclass(frozen=True, slots=True)
class Document:
    """The documents of a compiled file: a PipelineSpec and an optional PlatformSpec."""

    pipeline_spec: dict[str, Any]
    platform_spec: dict[str, Any] | None = None

    def as_api(self) -> dict[str, Any]:
        """The representation in the API."""
        if self.platform_spec is None:
            return self.pipeline_spec
        return {"pipeline_spec": self.pipeline_spec, "platform_spec": self.platform_spec}


def from_bytes(data: bytes) -> Document:
    """Parse an uploaded file."""
    if not data.strip():
        raise DocumentError("the file is empty")
    if len(data) > MAX_BYTES:
        raise TooLargeError(f"the file has {len(data)} bytes; the limit is {MAX_BYTES}")
    for magic, name in _COMPRESSED.items():
        if data.startswith(magic):
            raise DocumentError(
                f"{name} files are not supported: upload the YAML file that the compiler wrote"
            )
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DocumentError(f"the file is not UTF-8 (byte {error.start})") from error
    try:
        _examine(text)
        documents = list(yaml.load_all(text, Loader=_Loader))
    except yaml.YAMLError as error:
        raise DocumentError(f"the file is not valid YAML: {_first_line(error)}") from error
    except (ValueError, RecursionError) as error:
        raise DocumentError(f"the file can't be parsed: {error}") from error
    return _from_documents(documents)


def from_api(value: object) -> Document:
    """Parse the `pipeline_spec` of a request body, with or without a platform spec."""
    if not isinstance(value, dict):
        raise DocumentError("pipeline_spec is not an object")
    if "pipeline_spec" in value:
        inner, platform = value["pipeline_spec"], value.get("platform_spec")
        return _from_documents([inner] if platform is None else [inner, platform])
    return _from_documents([value])


def _from_documents(documents: list[Any]) -> Document:
    documents = [document for document in documents if document is not None]
    if not 1 <= len(documents) <= 2:
        raise DocumentError(f"expected one or two YAML documents, found {len(documents)}")
    if not all(isinstance(document, dict) for document in documents):
        raise DocumentError("expected a compiled pipeline: a YAML mapping")
    return Document(documents[0], documents[1] if len(documents) == 2 else None)


def _examine(text: str) -> None:
    depth = 0
    for number, event in enumerate(_events(text)):
        if number > _MAX_NODES:
            raise DocumentError(f"more than {_MAX_NODES} nodes: this is not a compiled pipeline")
        if isinstance(event, yaml.AliasEvent):
            raise DocumentError("YAML aliases are not accepted: the compiler never writes them")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _MAX_DEPTH:
                raise DocumentError(f"nested deeper than {_MAX_DEPTH}: this is not a compiled pipeline")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _events(text: str) -> Iterator[yaml.Event]:
    yield from yaml.parse(text, Loader=yaml.CSafeLoader)


class _Loader(yaml.CSafeLoader):
    """Refuses duplicate keys, which YAML forbids; PyYAML silently keeps the last one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        mapping = super().construct_mapping(node, deep=deep)
        if len(mapping) != len(node.value):
            seen: set[object] = set()
            for key_node, _ in node.value:
                key = self.construct_object(key_node, deep=True)
                if key in seen:
                    raise DocumentError(f"key {key!r} appears twice (line {key_node.start_mark.line + 1})")
                seen.add(key)
        return mapping


def _first_line(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    return f"{problem} (line {mark.line + 1})" if mark is not None else str(problem)
