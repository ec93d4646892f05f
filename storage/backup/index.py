"""What a snapshot's index says, and the only names that a restore will ever write. Pure.

An index names every object of a snapshot by where it belongs and by the digest of its bytes. Keys stand
below the tenant's own prefix and are taken apart here: one that is not spelled as `storage.layout` would
spell it is refused, so no index can make a restore write elsewhere, or under another tenant.
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

from pydantic import AwareDatetime, Field, model_validator

from slipway.core.errors import UsageError
from storage import layout
from storage.checksums import encoded_sha256
from storage.layout import alias_key, checked_name, history_key, manifest_key, tenant_prefix, version_prefix
from storage.registry.records import Entry
from storage.registry.version_files import Digest, checked_path

STATE: Final = "state.json"
SETTINGS: Final = "settings.yaml"
_STACK: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
_TENANT_FILE: Final = re.compile(r"tenants/[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}\.yaml")
_ID: Final = re.compile(r"[0-9]{8}T[0-9]{9}Z-[0-9a-f]{16}")

Kind = Literal["manifest", "file", "history", "alias"]


def checked_stack(name: str) -> str:
    """Return a stack's name if it can name a folder; raise UsageError otherwise."""
    if not _STACK.fullmatch(name):
        raise UsageError(f"{name[:100]!r} can't name a stack.")
    return name


def checked_id(snapshot: str) -> str:
    """Return a snapshot's name if it is one; raise UsageError otherwise."""
    if not _ID.fullmatch(snapshot):
        raise UsageError(
            f"{snapshot[:80]!r} is not a snapshot.", fix="`slipway backup list` names those that there are."
        )
    return snapshot


@dataclass(frozen=True)
class Place:
    """What an object of a tenant's models is."""

    model: str
    kind: Kind
    name: str
    """Digest of the version, name of the alias, or number of the log entry."""

    path: str = ""
    """Of a version's file."""


def place_of(tenant: str, key: str) -> Place:
    """Take a key below the tenant's prefix apart.

    Raises:
        UsageError: It is no key of the layout.
    """
    match key.split("/"):
        case [model, "versions", digest, layout.MANIFEST]:
            made, place = (
                manifest_key(tenant, model, digest),
                Place(model, "manifest", digest),
            )
        case [model, "versions", digest, "files", *parts]:
            below = version_prefix(tenant, model, digest) + "files/"
            path = checked_path("/".join(parts), below=below)
            made, place = below + path, Place(model, "file", digest, path)
        case [model, "aliases", record]:
            alias = record.removesuffix(".json")
            made, place = alias_key(tenant, model, alias), Place(model, "alias", alias)
        case [model, "history", record] if re.fullmatch(r"[0-9]{1,15}\.json", record):
            number = int(record.removesuffix(".json"))
            made, place = history_key(tenant, model, number), Place(model, "history", str(number))
        case _:
            raise UsageError(f"{key[:80]!r} is no key of a tenant's models.")
    if made != tenant_prefix(tenant) + key:
        raise UsageError(f"{key[:80]!r} is not spelled as Slipway spells keys.")
    return place


class Blob(Entry):
    """Bytes in the pool."""

    size: int = Field(ge=0)
    sha256: Digest

    @property
    def checksum(self) -> str:
        """Its digest as S3 takes it: in base64."""
        return encoded_sha256(self.sha256)


class ModelObject(Blob):
    """An object of a tenant's models."""

    tenant: str
    key: str = Field(description="Below the tenant's prefix of the models bucket.")

    @property
    def place(self) -> Place:
        """What it is; raises UsageError for a key that is none of the layout's."""
        return place_of(self.tenant, self.key)

    @property
    def full_key(self) -> str:
        """Its key in the models bucket."""
        return tenant_prefix(self.tenant) + self.key


class StackFile(Blob):
    """The stack's state, its settings, or the declaration of a tenant."""

    name: str

    @model_validator(mode="after")
    def _known(self) -> "StackFile":
        if self.name not in (STATE, SETTINGS) and not _TENANT_FILE.fullmatch(self.name):
            raise ValueError(f"{self.name[:80]!r} is no file of a stack")
        return self


class Damage(Entry):
    """Something of the source that is not what its own record says."""

    tenant: str
    model: str
    what: str
    why: str
    kept: bool = Field(description="Whether the snapshot has it nevertheless, from an earlier backup.")


class Index(Entry):
    """What makes a snapshot; written last, once."""

    schema_version: Literal[1] = 1
    stack: str
    slipway: str
    contract_version: int
    taken_at: AwareDatetime
    complete: bool = Field(description="Whether all that the stack had is in it.")
    tenants: tuple[str, ...]
    objects: tuple[ModelObject, ...]
    files: tuple[StackFile, ...]
    damaged: tuple[Damage, ...] = ()

    @model_validator(mode="after")
    def _closed(self) -> "Index":
        try:
            checked_stack(self.stack)
            for tenant in self.tenants:
                checked_name("tenant", tenant)
            for each in self.objects:
                _ = each.place
        except UsageError as error:
            raise ValueError(str(error)) from None
        named = [each.full_key for each in self.objects] + [each.name for each in self.files]
        if len(set(named)) != len(named):
            raise ValueError("an object is named twice")
        if foreign := {each.tenant for each in self.objects} - set(self.tenants):
            raise ValueError(f"objects of tenants that it does not name: {sorted(foreign)}")
        return self

    def encode(self) -> bytes:
        """The bytes that are written."""
        return self.model_dump_json(indent=1).encode()

    def blobs(self) -> dict[str, int]:
        """Sizes of the blobs that it needs, by digest."""
        return {each.sha256: each.size for each in (*self.objects, *self.files)}

    @property
    def size(self) -> int:
        """Bytes of all that it needs; what several objects share counts once."""
        return sum(self.blobs().values())

    def names_of(self, sha256: str) -> list[str]:
        """Where a blob belongs, for a person."""
        objects = [each.full_key for each in self.objects if each.sha256 == sha256]
        return objects + [each.name for each in self.files if each.sha256 == sha256]

    def file(self, name: str) -> StackFile:
        """A file of the stack; UsageError if the snapshot lacks it."""
        for each in self.files:
            if each.name == name:
                return each
        raise UsageError(f"The snapshot has no {name}.")

    def models(self, tenant: str) -> dict[str, "ModelCopy"]:
        """What it holds of a tenant, by model."""
        return grouped(each for each in self.objects if each.tenant == tenant)


@dataclass
class ModelCopy:
    """What a snapshot has of one model."""

    manifests: dict[str, ModelObject] = field(default_factory=dict)
    files: dict[str, dict[str, ModelObject]] = field(default_factory=lambda: defaultdict(dict))
    """By the version's digest, then by path."""

    history: dict[int, ModelObject] = field(default_factory=dict)
    aliases: dict[str, ModelObject] = field(default_factory=dict)


def grouped(objects: Iterable[ModelObject]) -> dict[str, ModelCopy]:
    """Sort the objects of one tenant by what they are."""
    found: dict[str, ModelCopy] = defaultdict(ModelCopy)
    for each in objects:
        place = each.place
        copy = found[place.model]
        match place.kind:
            case "manifest":
                copy.manifests[place.name] = each
            case "file":
                copy.files[place.name][place.path] = each
            case "history":
                copy.history[int(place.name)] = each
            case "alias":
                copy.aliases[place.name] = each
    return dict(sorted(found.items()))


def snapshot_id(taken_at: datetime, index: bytes) -> str:
    """Name of a snapshot: when it was taken and, so that its index vouches for itself, its digest.

    To the millisecond: the newest is the last by name, also of two that were taken in one second.
    """
    milliseconds = taken_at.microsecond // 1000
    return f"{taken_at:%Y%m%dT%H%M%S}{milliseconds:03d}Z-{hashlib.sha256(index).hexdigest()[:16]}"
