"""upstream.lock: what every part was fetched and rendered to, by digest; TOML, one line an object. Pure."""

import json
import tomllib
from collections.abc import Iterable, Mapping
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from infra.upstream.objects import Identity
from slipway.core.errors import UsageError

FORMAT: Final = 1
FILE: Final = "upstream.lock"
_HEAD: Final = "# Written by `slipway upstream render --update`; not edited by hand.\n"

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class LockedSource(_Model):
    """One source of a part."""

    name: str
    repository: str
    commit: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
    tree: Sha256
    """Digest of the files that the part uses (`trees.tree_digest`)."""


class LockedObject(_Model):
    """One rendered object."""

    api: str
    kind: str
    namespace: str = ""
    name: str
    stage: int
    sha256: Sha256
    """Of its canonical JSON, by which the cache keeps it."""
    size: int
    """Bytes of the canonical JSON."""

    @property
    def identity(self) -> Identity:
        """The object's identity in a cluster."""
        return Identity(self.api, self.kind, self.namespace, self.name)


class LockedImage(_Model):
    """One image that the part's objects name, as they name it."""

    name: str
    digest: str = Field(default="", pattern=r"^(sha256:[0-9a-f]{64})?$")
    """Empty while nobody has asked the registry for it."""
    places: tuple[str, ...] = Field(strict=False)
    """Object and field of each place."""


class LockedPart(_Model):
    """One part."""

    name: str
    version: str
    requires: tuple[str, ...] = Field(default=(), strict=False)
    render: tuple[str, ...] = Field(strict=False)
    """The steps that rendered it."""
    tools: dict[str, str] = Field(default_factory=dict)
    """Version of each program that did; of Kubernetes, if a chart was told it."""
    sources: tuple[LockedSource, ...] = Field(default=(), strict=False)
    objects: tuple[LockedObject, ...] = Field(strict=False)
    images: tuple[LockedImage, ...] = Field(default=(), strict=False)


class Lock(_Model):
    """The whole file; parts are in order of their names."""

    format: int = FORMAT
    part: tuple[LockedPart, ...] = Field(default=(), strict=False)

    def find(self, name: str) -> LockedPart | None:
        """Return the part with this name, or None."""
        return next((part for part in self.part if part.name == name), None)

    def with_part(self, part: LockedPart) -> "Lock":
        """Return the lock with this part, in place of an earlier version of it."""
        others = [each for each in self.part if each.name != part.name]
        return Lock(part=tuple(sorted([*others, part], key=lambda each: each.name)))


def parse(text: str, name: str) -> Lock:
    """Return the lock in a file's text.

    Args:
        text: The content.
        name: Name of the file in messages.

    Raises:
        UsageError: It is not a lock that this version reads.
    """
    fix = "Restore the file from version control."
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{name} is damaged.", why=f"{error}.", fix=fix) from None
    if document.get("format") != FORMAT:
        raise UsageError(
            f"{name} has format {document.get('format')!r}.",
            why=f"This version of Slipway reads format {FORMAT}.",
            fix="Use the version of Slipway that wrote it.",
        )
    try:
        return Lock.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise UsageError(f"{name} is damaged.", why=f"{place}: {first['msg']}.", fix=fix) from None


def dumps(lock: Lock) -> str:
    """Return the text of a lock, the same for the same lock."""
    blocks = [f"{_HEAD}format = {lock.format}\n"]
    for part in lock.part:
        lines = ["[[part]]", f"name = {_text(part.name)}", f"version = {_text(part.version)}"]
        if part.requires:
            lines.append(f"requires = [{', '.join(map(_text, part.requires))}]")
        lines.append(f"render = [{', '.join(map(_text, part.render))}]")
        if part.tools:
            lines.append(f"tools = {_table(part.tools)}")
        for name, rows in (("sources", part.sources), ("objects", part.objects), ("images", part.images)):
            if rows:
                lines += _array(name, rows)
        blocks.append("\n".join(lines) + "\n")
    return "\n".join(blocks)


def _array(name: str, rows: Iterable[BaseModel]) -> list[str]:
    return [f"{name} = [", *(f"    {_table(row.model_dump(exclude_defaults=True))}," for row in rows), "]"]


def _table(values: Mapping[str, object]) -> str:
    return "{ " + ", ".join(f"{key} = {_text(value)}" for key, value in values.items()) + " }"


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(_text, value))}]"
    # A basic string of TOML is one of JSON.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
