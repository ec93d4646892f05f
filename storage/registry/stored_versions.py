"""What is stored below each version's prefix, including old and hidden objects."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from storage.client import translated_errors
from storage.layout import MANIFEST, read_version_key, version_prefix

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True)
class ObjectVersion:
    """One version of one object, or a delete marker."""

    path: str
    version_id: str
    size: int
    written_at: datetime
    latest: bool
    marker: bool


@dataclass(frozen=True)
class Stored:
    """Everything that is stored below one digest."""

    tenant: str
    model: str
    digest: str
    objects: tuple[ObjectVersion, ...]

    @property
    def prefix(self) -> str:
        """Key prefix of the version."""
        return version_prefix(self.tenant, self.model, self.digest)

    @property
    def published(self) -> bool:
        """Whether its manifest is visible."""
        return any(each.path == MANIFEST and each.latest and not each.marker for each in self.objects)

    @property
    def hidden(self) -> bool:
        """Whether there is a manifest, under a delete marker."""
        return not self.published and any(each.path == MANIFEST and not each.marker for each in self.objects)

    @property
    def markers(self) -> tuple[ObjectVersion, ...]:
        """The delete markers on its manifest."""
        return tuple(each for each in self.objects if each.path == MANIFEST and each.marker)

    @property
    def written_at(self) -> datetime | None:
        """When its newest file was written; a delete marker is not a file."""
        return max((each.written_at for each in self.objects if not each.marker), default=None)

    @property
    def size(self) -> int:
        """Bytes of all versions of its objects."""
        return sum(each.size for each in self.objects)


def stored_versions(client: "S3Client", bucket: str, prefix: str) -> list[Stored]:
    """Return what is stored of every version below `prefix`, including incomplete and hidden versions.

    Keys that belong to no version, such as aliases, are left out.
    """
    by_version: dict[tuple[str, str, str], list[ObjectVersion]] = {}
    with translated_errors(f"list the versions below {prefix}"):
        for page in client.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
            read = [_read(entry, marker=False) for entry in page.get("Versions", [])]
            read += [_read(entry, marker=True) for entry in page.get("DeleteMarkers", [])]
            for place, each in filter(None, read):
                by_version.setdefault(place, []).append(each)
    return [Stored(*place, tuple(objects)) for place, objects in sorted(by_version.items())]


def _read(entry: Mapping[str, Any], *, marker: bool) -> tuple[tuple[str, str, str], ObjectVersion] | None:
    key = read_version_key(entry["Key"])
    if key is None:
        return None
    read = ObjectVersion(
        key.path, entry["VersionId"], entry.get("Size", 0), entry["LastModified"], entry["IsLatest"], marker
    )
    return (key.tenant, key.model, key.digest), read
