"""Blobs that a prune is about to remove, said before it does: so that it and a backup notice each other.

A backup relies on blobs that are there already, and nobody locks anything. Each does two things in order:

    prune:   name the blobs that will go, then read the indexes that are there by now, then remove blobs
    backup:  write its index, then read what is named so, then list the blobs

If the prune read the indexes before the new one was there, the backup finds its blob named, or gone
already, and withdraws its index. Else the prune finds the index, and leaves its blobs.

A prune that is killed leaves its note. It counts for an hour, and a prune stops after half of one.
"""

import json
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

from botocore.exceptions import ClientError

from slipway.core.errors import FailedError
from storage.backup.place import BackupPlace, keeping
from storage.client import is_missing

LIVE: Final = timedelta(hours=1)
"""How long a note counts: a prune's half hour, and a quarter that clocks may differ by."""


def named(place: BackupPlace, now: datetime | None = None) -> dict[str, frozenset[str]]:
    """Return the blobs that each prune under way is about to remove, by the key of its note."""
    since = (now or datetime.now(UTC)) - LIVE
    found = {}
    with keeping("look for a prune that is under way"):
        for page in place.client.get_paginator("list_objects_v2").paginate(
            Bucket=place.bucket, Prefix=_notes(place)
        ):
            for entry in page.get("Contents", ()):
                if entry["LastModified"] >= since and (blobs := _read(place, entry["Key"])) is not None:
                    found[entry["Key"]] = blobs
    return found


def _read(place: BackupPlace, key: str) -> frozenset[str] | None:
    try:
        body = place.client.get_object(Bucket=place.bucket, Key=key)["Body"]
    except ClientError as error:
        if not is_missing(error):
            raise
        # Taken back since it was listed: what it named is gone already, or stays.
        return None
    return frozenset(json.loads(body.read()))


def require_none(place: BackupPlace, own: str = "") -> None:
    """Raise FailedError where a prune other than our `own` is under way."""
    if set(named(place)) - {own}:
        raise FailedError(
            f"A prune of s3://{place.bucket}/{place.prefix} is under way.",
            why="What it removes is not to be relied upon.",
            fix="Run the command again when it has ended; one that was killed counts for an hour.",
        )


def name(place: BackupPlace, blobs: Iterable[str]) -> str:
    """Say which blobs will go; return the key of the note."""
    key = f"{_notes(place)}{uuid.uuid4().hex}.json"
    with keeping("say what will be pruned"):
        place.client.put_object(Bucket=place.bucket, Key=key, Body=json.dumps(sorted(blobs)).encode())
    return key


def unname(place: BackupPlace, key: str) -> None:
    """Take a note back: nothing of it will be removed any more."""
    with keeping("take back what was said of the prune"):
        place.client.delete_object(Bucket=place.bucket, Key=key)


def require_kept(place: BackupPlace, blobs: Iterable[str]) -> None:
    """Raise FailedError where a blob is gone, or about to go. In this order: notes go after the blobs."""
    about_to_go = frozenset().union(*named(place).values())
    there = place.pooled()
    if lost := [sha256 for sha256 in blobs if sha256 in about_to_go or sha256 not in there]:
        raise FailedError(
            f"The snapshot was withdrawn: {len(lost)} of its blobs are gone, or about to go.",
            why=f"A prune took them meanwhile; blob {lost[0][:12]} is the first.",
            fix="Run the command again when the prune has ended.",
        )


def _notes(place: BackupPlace) -> str:
    return f"{place.prefix}pruning/"
