"""A tenant's input data in the store: folders of files, up and down, under names that can't escape."""

import stat
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from slipway.core.errors import UsageError
from slipway.core.parallel import in_parallel
from storage.client import StoreAccess, open_store, translated_errors
from storage.layout import tenant_prefix
from storage.registry.model_files import listing
from storage.registry.version_files import checked_path
from storage.transfer.running import Progress
from storage.transfer.transfers import Download, Transfers, Upload, unwatched

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

NAMED: Final = 3
"""How many needs of a file a message names."""


class TenantData:
    """The data of one tenant, for whoever holds its editor's key."""

    def __init__(self, access: StoreAccess, bucket: str, tenant: str) -> None:
        self._access = access
        self._bucket = bucket
        self._tenant = tenant

    def list_files(self, prefix: str = "") -> dict[str, int]:
        """Bytes of each file below a folder, by its path relative to that; raises StoreError."""
        client = open_store(self._access)
        try:
            return listing(client, self._bucket, data_prefix(self._tenant, prefix))
        finally:
            client.close()

    def upload(self, source: Path, prefix: str = "", progress: Progress = unwatched) -> tuple[int, int]:
        """Upload a file, or a folder with all that is in it; return the files and their bytes.

        Raises:
            UsageError: There is nothing to upload, or a name could escape; nothing was uploaded.
            FailedError: A file can't be read, or the store did not take it.
        """
        files = uploads(source, data_prefix(self._tenant, prefix))
        return len(files), Transfers(self._access).upload(self._bucket, files, progress)

    def download(self, folder: Path, prefix: str = "", progress: Progress = unwatched) -> tuple[int, int]:
        """Download all that is below a folder of the data; return the files and their bytes.

        Raises:
            UsageError: There is nothing to download, or a name could escape; nothing was downloaded.
            FailedError: A file can't be written, or the store did not give it.
        """
        files = downloads(self.list_files(prefix), data_prefix(self._tenant, prefix), folder)
        return len(files), Transfers(self._access).download(self._bucket, files, progress)

    def delete(
        self, path: str, needed: Callable[["S3Client"], Mapping[str, Sequence[str]]], *, delete: bool
    ) -> dict[str, int]:
        """Delete a file, or a folder with all that is in it, or only say what would go.

        Args:
            path: In the tenant's data.
            needed: Says what needs which file, by its URI; raises where nobody can say.
            delete: Else nothing is changed.

        Returns:
            Bytes of each file, by its path.

        Raises:
            UsageError: There is nothing, or something needs one of the files; nothing was deleted.
            FailedError: The store failed.
        """
        own = tenant_prefix(self._tenant)
        folder = data_prefix(self._tenant, path)
        if folder == own:
            raise UsageError("A file or a folder of the data must be named.", fix="See `slipway data list`.")
        client = open_store(self._access)
        try:
            listed = listing(client, self._bucket, own)
            name = folder.removeprefix(own).rstrip("/")
            chosen = {
                each: size for each, size in listed.items() if each == name or each.startswith(f"{name}/")
            }
            if not chosen:
                raise UsageError(f"There is no data {path!r}.", fix="See `slipway data list`.")
            _require_free([f"s3://{self._bucket}/{own}{each}" for each in chosen], needed(client))
            if delete:
                in_parallel(lambda each: self._delete(client, own + each), list(chosen))
            return chosen
        finally:
            client.close()

    def _delete(self, client: "S3Client", key: str) -> None:
        with translated_errors(f"delete {key}"):
            client.delete_object(Bucket=self._bucket, Key=key)


def _require_free(uris: Sequence[str], needed: Mapping[str, Sequence[str]]) -> None:
    for uri in uris:
        if reasons := needed.get(uri):
            more = f" and {len(reasons) - NAMED} more" if len(reasons) > NAMED else ""
            raise UsageError(
                f"{uri} is needed, so nothing was deleted.",
                why=f"It is the data of {', '.join(reasons[:NAMED])}{more}.",
                fix="Delete the model first with `slipway model delete`; candidates expire with their runs.",
            )


def data_prefix(tenant: str, prefix: str) -> str:
    """Return the start of the keys of a tenant's folder, with a slash; UsageError if it could escape."""
    own = tenant_prefix(tenant)
    folder = prefix.removesuffix("/")
    return own + _checked([folder], own)[0] + "/" if folder else own


def uploads(source: Path, prefix: str) -> list[Upload]:
    """Return what to upload for a file or folder; UsageError for links and names that could escape."""
    if source.is_dir():
        found = {str(path.relative_to(source)): path for path in sorted(source.rglob("*"))}
        found = {name: path for name, path in found.items() if path.is_symlink() or not path.is_dir()}
    else:
        found = {source.name: source}
    for path in found.values():
        try:
            mode = path.lstat().st_mode
        except OSError as error:
            raise UsageError(f"{path} can't be read.", why=f"{error.strerror}.") from error
        if not stat.S_ISREG(mode):
            raise UsageError(f"{path} is not uploaded.", why="It is a link or no plain file.")
    if not found:
        raise UsageError(f"{source} holds no files.")
    _checked(list(found), prefix)
    return [Upload(path, prefix + name) for name, path in found.items()]


def downloads(sizes: dict[str, int], prefix: str, folder: Path) -> list[Download]:
    """Return what to download for a listing; UsageError if there is nothing, or a name could escape."""
    # A browser of buckets leaves an empty object where somebody made a folder.
    names = [name for name in sizes if name and not name.endswith("/")]
    if not names:
        raise UsageError(
            f"There is no data below {prefix}.", fix="See `slipway data list` for what is there."
        )
    _checked(names, prefix)
    return [Download(prefix + name, folder / name, sizes[name]) for name in names]


def _checked(names: Sequence[str], below: str) -> Sequence[str]:
    for name in names:
        try:
            checked_path(name, below=below, colons=True)
        except UsageError as error:
            raise UsageError(f"{name[:80]!r} can't name data.", why=error.why) from error
    twice = _twins(names)
    if twice:
        raise UsageError(f"{twice[:80]!r} is there twice.", why="The names differ only in Unicode form.")
    return names


def _twins(names: Iterable[str]) -> str:
    seen: set[str] = set()
    for name in names:
        folded = unicodedata.normalize("NFKC", name)
        if folded in seen:
            return name
        seen.add(folded)
    return ""
