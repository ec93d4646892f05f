"""The index of a snapshot, and validation of the keys that a restore may write. Pure.

An index lists every object of a snapshot with its key and the digest of its content. Keys are relative to the
tenant's prefix and are parsed here: a key that differs from what `storage.layout` would build is rejected,
so that no index can make a restore write elsewhere or under another tenant.
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
    """Return a stack's name if it is a valid folder name; raise UsageError otherwise."""
    if not _STACK.fullmatch(name):
        raise UsageError(f"{name[:100]!r} can't name a stack.")
    return name


def checked_id(snapshot: str) -> str:
    """Return a snapshot's id if it is valid; raise UsageError otherwise."""
    if not _ID.fullmatch(snapshot):
        raise UsageError(
            f"{snapshot[:80]!r} is not a snapshot id.", fix="List the snapshots with `slipway backup list`."
        )
    return snapshot


@dataclass(frozen=True)
class Place:
    """The kind and name of an object of a tenant's models."""

    model: str
    kind: Kind
    name: str
    """Digest of the version, name of the alias, or number of the log entry."""

    path: str = ""
    """Path of a version's file."""


def place_of(tenant: str, key: str) -> Place:
    """Parse a key relative to the tenant's prefix.

    Raises:
        UsageError: It is not a key of the layout.
    """
    match key.split("/"):
        case [model, "versions", digest, layout.MANIFEST]:
            canonical, place = (
                manifest_key(tenant, model, digest),
                Place(model, "manifest", digest),
            )
        case [model, "versions", digest, "files", *parts]:
            below = version_prefix(tenant, model, digest) + "files/"
            path = checked_path("/".join(parts), below=below)
            canonical, place = below + path, Place(model, "file", digest, path)
        case [model, "aliases", record]:
            alias = record.removesuffix(".json")
            canonical, place = alias_key(tenant, model, alias), Place(model, "alias", alias)
        case [model, "history", record] if re.fullmatch(r"[0-9]{1,15}\.json", record):
            number = int(record.removesuffix(".json"))
            canonical, place = history_key(tenant, model, number), Place(model, "history", str(number))
        case _:
            raise UsageError(f"{key[:80]!r} is not a key of a tenant's models.")
    if canonical != tenant_prefix(tenant) + key:
        raise UsageError(f"{key[:80]!r} is not a canonical key.")
    return place


class Blob(Entry):
    """A blob in the pool."""

    size: int = Field(ge=0)
    sha256: Digest

    @property
    def checksum(self) -> str:
        """The digest in base64, as S3 requires."""
        return encoded_sha256(self.sha256)


class ModelObject(Blob):
    """An object of a tenant's models."""

    tenant: str
    key: str = Field(description="Relative to the tenant's prefix of the models bucket.")

    @property
    def place(self) -> Place:
        """The parsed key; raises UsageError for a key that is not part of the layout."""
        return place_of(self.tenant, self.key)

    @property
    def full_key(self) -> str:
        """The key in the models bucket."""
        return tenant_prefix(self.tenant) + self.key


class StackFile(Blob):
    """The stack's state, its settings, or the declaration of a tenant."""

    name: str

    @model_validator(mode="after")
    def _known(self) -> "StackFile":
        if self.name not in (STATE, SETTINGS) and not _TENANT_FILE.fullmatch(self.name):
            raise ValueError(f"{self.name[:80]!r} is not a file of a stack")
        return self


class Damage(Entry):
    """Something in the source store that does not match its record."""

    tenant: str
    model: str
    what: str
    why: str
    kept: bool = Field(description="Whether the snapshot contains it nevertheless, from an earlier backup.")


class Index(Entry):
    """The index of a snapshot; written last and once."""

    schema_version: Literal[1] = 1
    stack: str
    slipway: str
    contract_version: int
    taken_at: AwareDatetime
    complete: bool = Field(description="Whether the snapshot contains everything of the stack.")
    tenants: tuple[str, ...]
    objects: tuple[ModelObject, ...]
    files: tuple[StackFile, ...]
    damaged: tuple[Damage, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> "Index":
        try:
            checked_stack(self.stack)
            for tenant in self.tenants:
                checked_name("tenant", tenant)
            for each in self.objects:
                _ = each.place
        except UsageError as error:
            raise ValueError(str(error)) from None
        names = [each.full_key for each in self.objects] + [each.name for each in self.files]
        if len(set(names)) != len(names):
            raise ValueError("an object is listed twice")
        if unlisted := {each.tenant for each in self.objects} - set(self.tenants):
            raise ValueError(f"objects of unlisted tenants: {sorted(unlisted)}")
        return self

    def encode(self) -> bytes:
        """Return the index as JSON."""
        return self.model_dump_json(indent=1).encode()

    def blobs(self) -> dict[str, int]:
        """Return the sizes of the required blobs by digest."""
        return {each.sha256: each.size for each in (*self.objects, *self.files)}

    @property
    def size(self) -> int:
        """Total size of the required blobs in bytes; shared blobs count once."""
        return sum(self.blobs().values())

    def names_of(self, sha256: str) -> list[str]:
        """Return the keys and file names of a blob."""
        objects = [each.full_key for each in self.objects if each.sha256 == sha256]
        return objects + [each.name for each in self.files if each.sha256 == sha256]

    def file(self, name: str) -> StackFile:
        """Return a file of the stack; raises UsageError if the snapshot does not contain it."""
        for each in self.files:
            if each.name == name:
                return each
        raise UsageError(f"The snapshot has no {name}.")

    def models(self, tenant: str) -> dict[str, "ModelCopy"]:
        """Return the objects of a tenant by model."""
        return grouped(each for each in self.objects if each.tenant == tenant)


@dataclass
class ModelCopy:
    """The objects of one model in a snapshot."""

    manifests: dict[str, ModelObject] = field(default_factory=dict)
    files: dict[str, dict[str, ModelObject]] = field(default_factory=lambda: defaultdict(dict))
    """Version's digest -> path -> object."""

    history: dict[int, ModelObject] = field(default_factory=dict)
    aliases: dict[str, ModelObject] = field(default_factory=dict)


def grouped(objects: Iterable[ModelObject]) -> dict[str, ModelCopy]:
    """Group the objects of one tenant by model and kind."""
    copies: dict[str, ModelCopy] = defaultdict(ModelCopy)
    for each in objects:
        place = each.place
        copy = copies[place.model]
        match place.kind:
            case "manifest":
                copy.manifests[place.name] = each
            case "file":
                copy.files[place.name][place.path] = each
            case "history":
                copy.history[int(place.name)] = each
            case "alias":
                copy.aliases[place.name] = each
    return dict(sorted(copies.items()))


def snapshot_id(taken_at: datetime, index: bytes) -> str:
    """Return the id of a snapshot: its time and the digest of its index, which detects alterations.

    The time has milliseconds, so that ids sort by time even within one second.
    """
    milliseconds = taken_at.microsecond // 1000
    return f"{taken_at:%Y%m%dT%H%M%S}{milliseconds:03d}Z-{hashlib.sha256(index).hexdigest()[:16]}"
