"""A tenant's input data in the store: uploads, downloads and deletion of files and folders."""

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
"""Number of a file's uses that a message names."""


class TenantData:
    """The data of one tenant, accessed with its editor's key."""

    def __init__(self, access: StoreAccess, bucket: str, tenant: str) -> None:
        self._access = access
        self._bucket = bucket
        self._tenant = tenant

    def list_files(self, prefix: str = "") -> dict[str, int]:
        """Return the size of each file in a folder, by its relative path; raises StoreError."""
        client = open_store(self._access)
        try:
            return listing(client, self._bucket, data_prefix(self._tenant, prefix))
        finally:
            client.close()

    def upload(self, source: Path, prefix: str = "", progress: Progress = unwatched) -> tuple[int, int]:
        """Upload a file or a folder; return the number of files and their bytes.

        Raises:
            UsageError: There is nothing to upload, or a name is invalid; nothing was uploaded.
            FailedError: A file can't be read, or the store did not accept it.
        """
        files = uploads(source, data_prefix(self._tenant, prefix))
        return len(files), Transfers(self._access).upload(self._bucket, files, progress)

    def download(self, folder: Path, prefix: str = "", progress: Progress = unwatched) -> tuple[int, int]:
        """Download a folder of the data; return the number of files and their bytes.

        Raises:
            UsageError: There is nothing to download, or a name is invalid; nothing was downloaded.
            FailedError: A file can't be written, or the store did not return it.
        """
        files = downloads(self.list_files(prefix), data_prefix(self._tenant, prefix), folder)
        return len(files), Transfers(self._access).download(self._bucket, files, progress)

    def delete(
        self, path: str, needed: Callable[["S3Client"], Mapping[str, Sequence[str]]], *, delete: bool
    ) -> dict[str, int]:
        """Delete a file or a folder, or only list what would be deleted.

        Args:
            path: Path in the tenant's data.
            needed: Returns the uses of each file by its URI; raises if they can't be determined.
            delete: Whether to delete; otherwise nothing is changed.

        Returns:
            Size of each file by its path.

        Raises:
            UsageError: There is nothing to delete, or a file is in use; nothing was deleted.
            FailedError: The store failed.
        """
        own = tenant_prefix(self._tenant)
        folder = data_prefix(self._tenant, path)
        if folder == own:
            raise UsageError("Name a file or a folder of the data.", fix="See `slipway data list`.")
        client = open_store(self._access)
        try:
            listed = listing(client, self._bucket, own)
            name = folder.removeprefix(own).rstrip("/")
            selected = {
                each: size for each, size in listed.items() if each == name or each.startswith(f"{name}/")
            }
            if not selected:
                raise UsageError(f"There is no data {path!r}.", fix="See `slipway data list`.")
            _require_unused([f"s3://{self._bucket}/{own}{each}" for each in selected], needed(client))
            if delete:
                in_parallel(lambda each: self._delete(client, own + each), list(selected))
            return selected
        finally:
            client.close()

    def _delete(self, client: "S3Client", key: str) -> None:
        with translated_errors(f"delete {key}"):
            client.delete_object(Bucket=self._bucket, Key=key)


def _require_unused(uris: Sequence[str], needed: Mapping[str, Sequence[str]]) -> None:
    for uri in uris:
        if reasons := needed.get(uri):
            more = f" and {len(reasons) - NAMED} more" if len(reasons) > NAMED else ""
            raise UsageError(
                f"{uri} is in use; nothing was deleted.",
                why=f"It is the data of {', '.join(reasons[:NAMED])}{more}.",
                fix="Delete the model first with `slipway model delete`; candidates expire with their runs.",
            )


def data_prefix(tenant: str, prefix: str) -> str:
    """Return the key prefix of a tenant's folder, with a slash; raises UsageError for an invalid name."""
    own = tenant_prefix(tenant)
    folder = prefix.removesuffix("/")
    return own + _checked([folder], own)[0] + "/" if folder else own


def uploads(source: Path, prefix: str) -> list[Upload]:
    """Return the uploads for a file or folder; raises UsageError for links and invalid names."""
    if source.is_dir():
        paths = {str(path.relative_to(source)): path for path in sorted(source.rglob("*"))}
        paths = {name: path for name, path in paths.items() if path.is_symlink() or not path.is_dir()}
    else:
        paths = {source.name: source}
    for path in paths.values():
        try:
            mode = path.lstat().st_mode
        except OSError as error:
            raise UsageError(f"{path} can't be read.", why=f"{error.strerror}.") from error
        if not stat.S_ISREG(mode):
            raise UsageError(f"{path} can't be uploaded.", why="It is a link or not a regular file.")
    if not paths:
        raise UsageError(f"{source} contains no files.")
    _checked(list(paths), prefix)
    return [Upload(path, prefix + name) for name, path in paths.items()]


def downloads(sizes: dict[str, int], prefix: str, folder: Path) -> list[Download]:
    """Return the downloads for a listing; raises UsageError for an empty listing or an invalid name."""
    # S3 browsers create an empty object for a folder.
    names = [name for name in sizes if name and not name.endswith("/")]
    if not names:
        raise UsageError(f"There is no data under {prefix}.", fix="List the data with `slipway data list`.")
    _checked(names, prefix)
    return [Download(prefix + name, folder / name, sizes[name]) for name in names]


def _checked(names: Sequence[str], below: str) -> Sequence[str]:
    for name in names:
        try:
            checked_path(name, below=below, colons=True)
        except UsageError as error:
            raise UsageError(f"{name[:80]!r} can't name data.", why=error.why) from error
    duplicate = _duplicate(names)
    if duplicate:
        raise UsageError(f"{duplicate[:80]!r} occurs twice.", why="The names differ only in Unicode form.")
    return names


def _duplicate(names: Iterable[str]) -> str:
    seen: set[str] = set()
    for name in names:
        folded = unicodedata.normalize("NFKC", name)
        if folded in seen:
            return name
        seen.add(folded)
    return ""
