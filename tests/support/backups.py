"""Backups between two stores, as tests make them: what is published, taken, restored, and looked at."""

import hashlib
import json
from datetime import UTC, datetime

from support.promotions import key_of

from storage.backup.finish import finish
from storage.backup.index import snapshot_id
from storage.backup.pool import Pool
from storage.backup.restore import TenantRestore
from storage.backup.snapshot import TenantBackup
from storage.client import StoreAccess, open_store
from storage.keys import backup_key
from storage.registry.model_files import Staged
from storage.registry.promotion_record import EarlierRecord
from storage.registry.records import Lineage
from storage.registry.version_files import File

LINEAGE = Lineage(
    run_id="run-1",
    pipeline_digest="b" * 64,
    git_commit="c" * 40,
    data_uri="s3://data/team-a/x.csv",
    data_sha256="d" * 64,
    metrics={"accuracy": 0.9},
    frameworks={},
)
SIGNING = backup_key("the secret of the stack in tests of backups")
FILES = {
    "state.json": b'{"deployment": {}}',
    "settings.yaml": b"config: {}",
    "tenants/team-a.yaml": b"name: team-a",
}


def opened(minio, **changes):
    return open_store(StoreAccess(endpoint=minio.url, key=key_of(minio), region="us-east-1"), **changes)


def published(registry, tmp_path, content: bytes, model="iris") -> str:
    folder = tmp_path / hashlib.sha256(content).hexdigest()
    folder.mkdir(parents=True)
    files = {"model.pkl": content, "schema.json": b"{}"}
    for name, each in files.items():
        (folder / name).write_bytes(each)
    listed = tuple(
        File(path=name, sha256=hashlib.sha256(each).hexdigest(), size=len(each))
        for name, each in files.items()
    )
    return registry.publish(model, Staged(folder, listed), LINEAGE).digest


def promoted(registry, tmp_path, content: bytes, model="iris", alias="champion") -> str:
    digest = published(registry, tmp_path, content, model)
    entry = registry.append_history(model, "promoted", digest, EarlierRecord(manifest={"kind": "x"}))
    held = registry.read_alias(model, alias)
    registry.move_alias(model, alias, digest, expected=held, history=entry.number)
    return digest


def backed_up(
    store, bucket, place, *, tenants=("team-a",), report=lambda line: None, recheck=False, key=SIGNING
):
    pool = Pool(place, recheck=recheck)
    objects, damaged = [], []
    for tenant in tenants:
        more, worse = TenantBackup(store, bucket, tenant, pool, report).take()
        objects += more
        damaged += worse
    return finish(
        pool,
        key,
        stack="local",
        versions=("0.1.0", 2),
        tenants=tenants,
        objects=objects,
        damaged=damaged,
        files=FILES,
    )


def restored(store, bucket, place, taken, tenant="team-a", **more):
    index = place.index("local", taken.id)
    return TenantRestore(store, bucket, tenant, place, index, taken.id, **more).run()


def contents(client, bucket, prefix=""):
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    keys = [each["Key"] for page in pages for each in page.get("Contents", ())]
    return {key: client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}


def flipped(backups, place, sha256):
    key = f"{place.prefix}blobs/sha256/{sha256}"
    content = bytearray(backups.get_object(Bucket=place.bucket, Key=key)["Body"].read())
    content[0] ^= 1
    backups.put_object(Bucket=place.bucket, Key=key, Body=bytes(content))


def forged(place, backups, document: dict) -> str:
    """Write an index as somebody would who may write to the backups' store; its name vouches for it."""
    content = json.dumps(document).encode()
    identity = snapshot_id(datetime.fromisoformat(document["taken_at"]).astimezone(UTC), content)
    key = f"{place.prefix}snapshots/local/{identity}/backup.json"
    backups.put_object(Bucket=place.bucket, Key=key, Body=content)
    return identity
