"""Takes a consistent snapshot of a tenant's models while promotions run.

Promotion writes a version, then its log entry, then moves the alias, and deletes nothing. So each model
is read in the reverse order: aliases, log, versions. The entry and the version of every alias are then in
what is read later. Only garbage collection may remove a version after its alias was read and has moved;
therefore each alias's version and entry must be in the copy, or the model is read again.

All content is hashed and compared with the version's manifest. A damaged version is omitted and reported,
unless the pool has its content from an earlier backup; everything else is kept.
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
class _ModelContents:
    """The contents of one model, as read."""

    objects: list[ModelObject] = field(default_factory=list)
    damaged: list[Damage] = field(default_factory=list)
    aliases: list[Alias] = field(default_factory=list)
    entries: set[int] = field(default_factory=set)
    versions: set[str] = field(default_factory=set)

    def dangling(self) -> list[Alias]:
        """Return aliases whose version or log entry was neither read nor found damaged."""
        known = self.versions | {each.what for each in self.damaged}
        return [
            each
            for each in self.aliases
            if each.digest not in known
            or (each.history not in self.entries and f"history {each.history}" not in known)
        ]


class TenantBackup:
    """Backs up the models of one tenant, with a key that may read them."""

    def __init__(
        self, client: "S3Client", bucket: str, tenant: str, pool: Pool, report: Report = silent
    ) -> None:
        """Create a backup without reading anything yet."""
        self._client = client
        self._bucket = bucket
        self._tenant = tenant
        self._pool = pool
        self._report = report
        self._registry = Registry(client, bucket, tenant)
        self._copied: dict[tuple[str, str], tuple[list[ModelObject], list[Damage]]] = {}
        """Copied versions by model and digest; they are immutable, so a second reading skips them."""

    def take(self) -> tuple[list[ModelObject], list[Damage]]:
        """Copy every model.

        Raises:
            FailedError: The stack's store or the backup store failed; no snapshot was created.
        """
        objects: list[ModelObject] = []
        damaged: list[Damage] = []
        for model in self._registry.list_models():
            try:
                checked_name("model", model)
            except UsageError:
                self._report(f"{self._tenant}/{model[:80]!r} is not a model; it is skipped")
                continue
            contents = self._model(model)
            objects += contents.objects
            damaged += contents.damaged
        return objects, damaged

    def _model(self, model: str) -> _ModelContents:
        for _ in range(ATTEMPTS):
            contents = self._model_once(model)
            if not (dangling := contents.dangling()):
                return contents
            self._report(f"{self._tenant}/{model}: it changed meanwhile, reading it again")
        for alias in dangling:
            why = f"Its version {alias.digest[:12]} or log entry {alias.history} is not in the store."
            contents.damaged.append(self._damage(model, f"@{alias.alias}", why))
        return contents

    def _model_once(self, model: str) -> _ModelContents:
        contents = _ModelContents()
        self._report(f"{self._tenant}/{model}: aliases")
        for record in self._records(model, aliases_prefix(self._tenant, model), Alias, contents):
            contents.aliases.append(record)
        self._report(f"{self._tenant}/{model}: log")
        for entry in self._records(model, history_prefix(self._tenant, model), HistoryEntry, contents):
            contents.entries.add(entry.number)
        self._report(f"{self._tenant}/{model}: versions")
        below = model_prefix(self._tenant, model) + "versions/"
        sizes = listing(self._client, self._bucket, below)
        digests = [key.removesuffix(f"/{MANIFEST}") for key in sizes if key.endswith(f"/{MANIFEST}")]
        published = sorted(digest for digest in digests if "/" not in digest)
        read = in_parallel(lambda digest: self._version(model, digest, sizes), published)
        for digest, (objects, damage) in zip(published, read, strict=True):
            contents.objects += objects
            contents.damaged += damage
            if objects:
                contents.versions.add(digest)
        size = sum(each.size for each in contents.objects)
        self._report(f"{self._tenant}/{model}: {len(contents.versions)} versions, {size / 2**20:.1f} MiB")
        return contents

    # Records

    def _records(self, model: str, below: str, kind: type[Record], contents: _ModelContents) -> list[Record]:
        names = [name for name in listing(self._client, self._bucket, below) if name.endswith(".json")]
        records = []
        for outcome in in_parallel(lambda name: self._record(model, below + name, kind), names):
            if isinstance(outcome, Damage):
                contents.damaged.append(outcome)
            elif outcome is not None:
                records.append(outcome[0])
                contents.objects.append(outcome[1])
        return records

    def _record(self, model: str, key: str, kind: type[Record]) -> tuple[Record, ModelObject] | Damage | None:
        """Copy an alias or a log entry, which must match its key."""
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
                stored = self._object(own, file)
                record = kind.model_validate_json(body.read())
                require_bound(record, stored)
            except (ValidationError, SlipwayError) as error:
                return self._damage(model, what, _first_line(error))
            self._pool.keep(body, stored)
        return record, stored

    # Versions

    def _version(
        self, model: str, digest: str, sizes: Mapping[str, int]
    ) -> tuple[list[ModelObject], list[Damage]]:
        """Copy a version; returns nothing if it was garbage collected meanwhile."""
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
        copied = ([*objects, manifest] if objects else []), damage
        self._copied[model, digest] = copied
        return copied

    def _files(self, version: ModelVersion, sizes: Mapping[str, int]) -> tuple[list[ModelObject], list[str]]:
        """Copy a version's files; return objects and faults. No objects if any content is unavailable."""
        listed = {
            key.removeprefix(f"{version.digest}/files/")
            for key in sizes
            if key.startswith(f"{version.digest}/files/")
        }
        unexpected = sorted(listed - {file.path for file in version.files})
        faults = [f"{path} is not in the manifest." for path in unexpected]
        below = version_prefix(self._tenant, version.model, version.digest) + "files/"
        outcomes = in_parallel(lambda file: self._file(below, file), version.files)
        faults += [fault for _, fault in outcomes if fault]
        objects = [each for each, _ in outcomes if each is not None]
        return (objects if len(objects) == len(version.files) else []), faults

    def _file(self, below: str, file: File) -> tuple[ModelObject | None, str]:
        key = below + file.path
        stored = self._object(key.removeprefix(tenant_prefix(self._tenant)), file)
        with spooled() as body:
            try:
                found = download(self._client, self._bucket, key, file.path, body.write)
            except SlipwayError as error:
                if is_store_failure(error):
                    raise
                fault = error.what
            else:
                if found == file:
                    self._pool.keep(body, stored)
                    return stored, ""
                fault = f"{file.path} was altered."
        return (stored if self._pool.is_intact(stored) else None), fault

    def _manifest(self, model: str, digest: str) -> ModelObject | None:
        key = manifest_key(self._tenant, model, digest)
        own = key.removeprefix(tenant_prefix(self._tenant))
        with spooled() as body:
            file = unless_gone(lambda: download(self._client, self._bucket, key, own, body.write))
            if file is None:
                return None
            stored = self._object(own, file)
            self._pool.keep(body, stored)
        return stored

    def _object(self, own: str, file: File) -> ModelObject:
        stored = ModelObject(tenant=self._tenant, key=own, size=file.size, sha256=file.sha256)
        _ = stored.place
        return stored

    def _damage(self, model: str, what: str, why: str, *, kept: bool = False) -> Damage:
        return Damage(tenant=self._tenant, model=model, what=what, why=why, kept=kept)


def _first_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return f"It is not a valid record: {error.errors(include_input=False, include_url=False)[0]['msg']}."
    return str(error).splitlines()[0]
