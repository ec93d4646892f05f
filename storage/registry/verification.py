"""Compares a version with its manifest, byte by byte, as the store returns it now."""

from typing import TYPE_CHECKING

from slipway.core.errors import StoreError
from slipway.core.parallel import in_parallel
from storage.causes import Cause
from storage.layout import version_prefix
from storage.registry.model_files import discard, download, listing
from storage.registry.records import ModelVersion
from storage.registry.version_files import File

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def verify(client: "S3Client", bucket: str, version: ModelVersion) -> None:
    """Read every byte of a version back and hash it.

    Raises:
        FailedError: A file is missing, unexpected, can't be read or differs; names the file.
    """
    prefix = version_prefix(version.tenant, version.model, version.digest) + "files/"
    named = f"version {version.digest[:12]} of {version.model}"
    listed = set(listing(client, bucket, prefix))
    expected = {file.path for file in version.files}
    if listed != expected:
        raise StoreError(
            f"{named.capitalize()} is not what its manifest says.",
            why=f"Missing: {sorted(expected - listed)}; unexpected: {sorted(listed - expected)}.",
            fix="Restore the version from a backup, or train the model again.",
            cause=Cause.DAMAGED,
        )

    def compare(file: File) -> None:
        stored = download(client, bucket, prefix + file.path, file.path, discard)
        if stored != file:
            raise StoreError(
                f"{file.path} of {named} was altered in the store.",
                cause=Cause.DAMAGED,
                why=f"It has {stored.size} bytes of SHA-256 {stored.sha256[:12]}; "
                f"{file.size} of {file.sha256[:12]} were published.",
                fix="Restore the object, or train the model again: its content can't be trusted.",
            )

    in_parallel(compare, version.files)
