"""Taking a snapshot of tenants' models while promotions go on.

Promotion writes a version, then its log entry, then moves the alias, and deletes nothing. So each
model is read the other way round: aliases first, then the log, then the versions. Whatever an alias named
when it was read has its entry and its version in what is read after it. What remains is collection of old
versions, which may take one away after an alias that named it was read and moved on; so at the end each
alias's version and entry must be in the copy, and a model where they aren't is read again.

Every byte is hashed on the way and held against the version's manifest. A damaged version is left out and
named, unless the pool has its bytes from an earlier backup; whatever else there is, is kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeVar

from pydantic import ValidationError

from slipway.core.errors import SlipwayError, UsageError
from slipway.core.parallel import in_parallel
from slipway.core.report import Report, silent
from storage.backup.check import require_bound
from storage.backup.index import Damage, ModelObject
from storage.backup.pool import Pool, is_store_failure, spooled, unless_gone
from storage.layout import (
    MANIFEST,
    aliases_prefix,
    checked_name,
    history_prefix,
    manifest_key,
    model_prefix,
    tenant_prefix,
    version_prefix,
)
from storage.registry.model_files import download, listing
from storage.registry.records import Alias, HistoryEntry, ModelVersion
from storage.registry.registry import Registry
from storage.registry.version_files import File

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ATTEMPTS: Final = 3

Record = TypeVar("Record", Alias, HistoryEntry)


@dataclass
class _Found:
    """What was read of one model."""

    objects: list[ModelObject] = field(default_factory=list)
    damaged: list[Damage] = field(default_factory=list)
    aliases: list[Alias] = field(default_factory=list)
    entries: set[int] = field(default_factory=set)
    versions: set[str] = field(default_factory=set)

    def dangling(self) -> list[Alias]:
        """Aliases whose version or log entry is not here and not known damaged."""
        known = self.versions | {each.what for each in self.damaged}
        return [
            each
            for each in self.aliases
            if each.digest not in known
            or (each.history not in self.entries and f"history {each.history}" not in known)
        ]


class TenantBackup:
    """Reads the models of one tenant, with a key that may read them."""

    def __init__(
        self, client: "S3Client", bucket: str, tenant: str, pool: Pool, report: Report = silent
    ) -> None:
        """Read nothing yet."""
        self._client = client
        self._bucket = bucket
        self._tenant = tenant
        self._pool = pool
        self._report = report
        self._registry = Registry(client, bucket, tenant)
        self._copied: dict[tuple[str, str], tuple[list[ModelObject], list[Damage]]] = {}
        """Versions by model and digest; they don't change, so a second reading of a model skips them."""

    def take(self) -> tuple[list[ModelObject], list[Damage]]:
        """Copy every model.

        Raises:
            FailedError: The stack's store or the backups' failed; no snapshot was made.
        """
        objects: list[ModelObject] = []
        damaged: list[Damage] = []
        for model in self._registry.list_models():
            try:
                checked_name("model", model)
            except UsageError:
                self._report(f"{self._tenant}/{model[:80]!r} is no model; it is left out")
                continue
            found = self._model(model)
            objects += found.objects
            damaged += found.damaged
        return objects, damaged

    def _model(self, model: str) -> _Found:
        for _ in range(ATTEMPTS):
            found = self._model_once(model)
            if not (dangling := found.dangling()):
                return found
            self._report(f"{self._tenant}/{model}: it changed meanwhile, reading it again")
        for alias in dangling:
            why = f"Its version {alias.digest[:12]} or log entry {alias.history} is not in the store."
            found.damaged.append(self._damage(model, f"@{alias.alias}", why))
        return found

    def _model_once(self, model: str) -> _Found:
        found = _Found()
        self._report(f"{self._tenant}/{model}: aliases")
        for record in self._records(model, aliases_prefix(self._tenant, model), Alias, found):
            found.aliases.append(record)
        self._report(f"{self._tenant}/{model}: log")
        for entry in self._records(model, history_prefix(self._tenant, model), HistoryEntry, found):
            found.entries.add(entry.number)
        self._report(f"{self._tenant}/{model}: versions")
        below = model_prefix(self._tenant, model) + "versions/"
        sizes = listing(self._client, self._bucket, below)
        digests = [key.removesuffix(f"/{MANIFEST}") for key in sizes if key.endswith(f"/{MANIFEST}")]
        published = sorted(digest for digest in digests if "/" not in digest)
        read = in_parallel(lambda digest: self._version(model, digest, sizes), published)
        for digest, (objects, damage) in zip(published, read, strict=True):
            found.objects += objects
            found.damaged += damage
            if objects:
                found.versions.add(digest)
        size = sum(each.size for each in found.objects)
        self._report(f"{self._tenant}/{model}: {len(found.versions)} versions, {size / 2**20:.1f} MiB")
        return found

    # Records

    def _records(self, model: str, below: str, kind: type[Record], found: _Found) -> list[Record]:
        names = [name for name in listing(self._client, self._bucket, below) if name.endswith(".json")]
        records = []
        for outcome in in_parallel(lambda name: self._record(model, below + name, kind), names):
            if isinstance(outcome, Damage):
                found.damaged.append(outcome)
            elif outcome is not None:
                records.append(outcome[0])
                found.objects.append(outcome[1])
        return records

    def _record(self, model: str, key: str, kind: type[Record]) -> tuple[Record, ModelObject] | Damage | None:
        """Copy an alias or a log entry, which must be of the place that it is at."""
        own = key.removeprefix(tenant_prefix(self._tenant))
        name = own.rpartition("/")[2].removesuffix(".json")
        what = f"@{name}" if kind is Alias else f"history {int(name) if name.isdecimal() else name}"
        with spooled() as body:
            try:
                file = unless_gone(lambda: download(self._client, self._bucket, key, own, body.write))
            except SlipwayError as error:
                if is_store_failure(error):
                    raise
                return self._damage(model, what, error.what)
            if file is None:
                return None
            body.seek(0)
            try:
                held = self._object(own, file)
                record = kind.model_validate_json(body.read())
                require_bound(record, held)
            except (ValidationError, SlipwayError) as error:
                return self._damage(model, what, _first_line(error))
            self._pool.keep(body, held)
        return record, held

    # Versions

    def _version(
        self, model: str, digest: str, sizes: Mapping[str, int]
    ) -> tuple[list[ModelObject], list[Damage]]:
        """Copy a version; nothing and no damage where it was collected meanwhile."""
        if (known := self._copied.get((model, digest))) is not None:
            return known
        try:
            version = self._registry.show(model, digest)
        except SlipwayError as error:
            if is_store_failure(error):
                raise
            prefix = f"{model_prefix(self._tenant, model)}versions/{digest}/"
            if MANIFEST not in listing(self._client, self._bucket, prefix):
                return [], []
            return [], [self._damage(model, digest, _first_line(error))]
        objects, faults = self._files(version, sizes)
        manifest = self._manifest(model, digest)
        if manifest is None:
            return [], []
        damage = [self._damage(model, digest, " ".join(faults), kept=bool(objects))] if faults else []
        made = ([*objects, manifest] if objects else []), damage
        self._copied[model, digest] = made
        return made

    def _files(self, version: ModelVersion, sizes: Mapping[str, int]) -> tuple[list[ModelObject], list[str]]:
        """Copy a version's files; what is wrong with them. No objects where the pool can't help either."""
        listed = {
            key.removeprefix(f"{version.digest}/files/")
            for key in sizes
            if key.startswith(f"{version.digest}/files/")
        }
        foreign = sorted(listed - {file.path for file in version.files})
        faults = [f"{path} is foreign." for path in foreign]
        below = version_prefix(self._tenant, version.model, version.digest) + "files/"
        outcomes = in_parallel(lambda file: self._file(below, file), version.files)
        faults += [fault for _, fault in outcomes if fault]
        objects = [each for each, _ in outcomes if each is not None]
        return (objects if len(objects) == len(version.files) else []), faults

    def _file(self, below: str, file: File) -> tuple[ModelObject | None, str]:
        key = below + file.path
        held = self._object(key.removeprefix(tenant_prefix(self._tenant)), file)
        with spooled() as body:
            try:
                found = download(self._client, self._bucket, key, file.path, body.write)
            except SlipwayError as error:
                if is_store_failure(error):
                    raise
                fault = error.what
            else:
                if found == file:
                    self._pool.keep(body, held)
                    return held, ""
                fault = f"{file.path} was altered."
        return (held if self._pool.is_sound(held) else None), fault

    def _manifest(self, model: str, digest: str) -> ModelObject | None:
        key = manifest_key(self._tenant, model, digest)
        own = key.removeprefix(tenant_prefix(self._tenant))
        with spooled() as body:
            file = unless_gone(lambda: download(self._client, self._bucket, key, own, body.write))
            if file is None:
                return None
            held = self._object(own, file)
            self._pool.keep(body, held)
        return held

    def _object(self, own: str, file: File) -> ModelObject:
        made = ModelObject(tenant=self._tenant, key=own, size=file.size, sha256=file.sha256)
        _ = made.place
        return made

    def _damage(self, model: str, what: str, why: str, *, kept: bool = False) -> Damage:
        return Damage(tenant=self._tenant, model=model, what=what, why=why, kept=kept)


def _first_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return f"It is not a valid record: {error.errors(include_input=False, include_url=False)[0]['msg']}."
    return str(error).splitlines()[0]
