"""Announces the blobs that a prune is about to remove, so that a prune and a backup notice each other.

A backup relies on blobs that exist already, and there are no locks. Both follow a fixed order:

    prune:   announce the blobs to remove, then read the indexes that exist by then, then remove blobs
    backup:  write its index, then read announcements, then list the blobs

If the prune read the indexes before the new one existed, the backup finds its blob announced or already
removed, and withdraws its index. Otherwise the prune finds the index, and keeps its blobs.

A killed prune leaves its announcement. It is valid for an hour, and a prune stops after half an hour.
"""

import json
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

from botocore.exceptions import ClientError

from slipway.core.errors import FailedError
from storage.backup.place import BackupPlace, translated_backup_errors
from storage.client import is_missing

LIVE: Final = timedelta(hours=1)
"""Validity of an announcement: a prune's half hour, plus tolerance for clock differences."""


def announced(place: BackupPlace, now: datetime | None = None) -> dict[str, frozenset[str]]:
    """Return the blobs that each running prune is about to remove, by the key of its announcement."""
    since = (now or datetime.now(UTC)) - LIVE
    announcements = {}
    with translated_backup_errors("look for a running prune"):
        for page in place.client.get_paginator("list_objects_v2").paginate(
            Bucket=place.bucket, Prefix=_announcements(place)
        ):
            for entry in page.get("Contents", ()):
                if entry["LastModified"] >= since and (blobs := _read(place, entry["Key"])) is not None:
                    announcements[entry["Key"]] = blobs
    return announcements


def _read(place: BackupPlace, key: str) -> frozenset[str] | None:
    try:
        body = place.client.get_object(Bucket=place.bucket, Key=key)["Body"]
    except ClientError as error:
        if not is_missing(error):
            raise
        # Withdrawn since it was listed: its blobs are already removed, or are kept.
        return None
    return frozenset(json.loads(body.read()))


def require_no_prune(place: BackupPlace, own: str = "") -> None:
    """Raise FailedError if a prune other than `own` is running."""
    if set(announced(place)) - {own}:
        raise FailedError(
            f"A prune of s3://{place.bucket}/{place.prefix} is running.",
            why="The blobs that it removes can't be used.",
            fix="Run the command again when it has ended; a killed prune blocks for an hour.",
        )


def announce(place: BackupPlace, blobs: Iterable[str]) -> str:
    """Announce the blobs to be removed; return the key of the announcement."""
    key = f"{_announcements(place)}{uuid.uuid4().hex}.json"
    with translated_backup_errors("announce the prune"):
        place.client.put_object(Bucket=place.bucket, Key=key, Body=json.dumps(sorted(blobs)).encode())
    return key


def withdraw(place: BackupPlace, key: str) -> None:
    """Remove an announcement: no more of its blobs will be removed."""
    with translated_backup_errors("remove the announcement of the prune"):
        place.client.delete_object(Bucket=place.bucket, Key=key)


def require_present(place: BackupPlace, blobs: Iterable[str]) -> None:
    """Raise FailedError if a blob was removed or is about to be."""
    # In this order: a prune withdraws its announcement after it has removed the blobs.
    pending = frozenset().union(*announced(place).values())
    present = place.pooled()
    if lost := [sha256 for sha256 in blobs if sha256 in pending or sha256 not in present]:
        raise FailedError(
            f"The snapshot was withdrawn: {len(lost)} of its blobs were removed or are about to be.",
            why=f"A prune ran at the same time; the first blob is {lost[0][:12]}.",
            fix="Run the command again when the prune has ended.",
        )


def _announcements(place: BackupPlace) -> str:
    return f"{place.prefix}pruning/"
