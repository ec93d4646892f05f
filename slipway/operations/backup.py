"""Backups of a whole stack: its models, its settings and its state.

Models are read with each tenant's editor key, so no administrator is needed. No secret is backed up in
plain text: the state and the settings contain their secrets as Pulumi encrypted them, and what decrypts
them (a passphrase, a key of a cloud) is never part of a backup.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from pydantic import SecretStr

from infra.contract import PlatformOutputs
from infra.settings.config import load_file
from infra.stack.stack import Stack
from infra.stack.state import plain_secrets
from serving import access
from slipway.core.errors import FailedError, UsageError
from slipway.core.report import Report, silent
from slipway.operations import workspace
from slipway.operations.backup_key import signing_key
from storage.backup.check import Fault, check
from storage.backup.finish import Taken, finish
from storage.backup.index import SETTINGS, STATE, Damage, Index, ModelObject, StackFile
from storage.backup.place import BackupPlace
from storage.backup.pool import Pool
from storage.backup.prune import PrunePlan, carry_out, plan
from storage.backup.retention import Retention
from storage.backup.snapshot import TenantBackup
from storage.client import StoreAccess, open_store
from storage.keys import StoreKey, backup_key

ACCESS_KEY: Final = "SLIPWAY_BACKUP_ACCESS_KEY_ID"
SECRET_KEY: Final = "SLIPWAY_BACKUP_SECRET_ACCESS_KEY"


@dataclass(frozen=True)
class Where:
    """The address of backups, as the user gives it; the key comes from the environment."""

    uri: str
    endpoint: str | None = None
    region: str = "us-east-1"
    ca: Path | None = None


@dataclass(frozen=True)
class Snapshot:
    """A snapshot, and the place that holds it."""

    place: BackupPlace
    id: str
    index: Index


def open_place(where: Where, environment: Mapping[str, str] | None = None) -> BackupPlace:
    """Open the store of backups.

    Raises:
        UsageError: There is no key in the environment, or the address is invalid.
    """
    variables = os.environ if environment is None else environment
    key, secret = variables.get(ACCESS_KEY), variables.get(SECRET_KEY)
    if bool(key) != bool(secret) or (where.endpoint and not key):
        raise UsageError(
            "There is no key for the backups' store.",
            why=f"{ACCESS_KEY if not key else SECRET_KEY} is not set.",
            fix=f"Set {ACCESS_KEY} and {SECRET_KEY}; a key is never a command-line argument.",
        )
    if where.endpoint and (urlsplit(where.endpoint).scheme not in ("http", "https") or "@" in where.endpoint):
        raise UsageError("--endpoint is not a URL.", fix="Give one such as https://s3.example.com:9000.")
    try:
        ca = where.ca.read_text() if where.ca else None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{where.ca} can't be read.", why=type(error).__name__) from error
    store_key = StoreKey(access_key=key, secret_key=SecretStr(secret)) if key and secret else None
    store_access = StoreAccess(
        endpoint=where.endpoint,
        region=where.region,
        key=store_key,
        ca=ca,
        path_style=where.endpoint is not None,
    )
    return BackupPlace.at(open_store(store_access), where.uri)


def find(
    stack: str,
    where: Where,
    snapshot: str | None = None,
    *,
    unsigned: bool = False,
    report: Report = silent,
) -> Snapshot:
    """Read the index of a stack's snapshot.

    Args:
        stack: Name of the stack.
        where: Address of its backups.
        snapshot: Id of the snapshot; the newest by default.
        unsigned: Whether to skip the check of its signature.
        report: Takes lines of progress.

    Raises:
        UsageError: There is no such snapshot.
        FailedError: It was changed, or is not signed with the stack's secret.
    """
    place = open_place(where)
    identity = snapshot or place.newest(stack)
    key = None if unsigned else signing_key(stack, place, identity, report)
    return Snapshot(place, identity, place.index(stack, identity, key))


def snapshots(where: Where, stack: str | None = None) -> list[Snapshot]:
    """Return the snapshots, oldest first."""
    place = open_place(where)
    return [Snapshot(place, each, place.index(name, each)) for name, each in place.snapshots(stack)]


@dataclass(frozen=True)
class Verified:
    """A snapshot that was read back, and its faults."""

    snapshot: str
    faults: list[Fault]


def verify(
    stack: str,
    where: Where,
    snapshot: str | None = None,
    *,
    unsigned: bool = False,
    report: Report = silent,
) -> Verified:
    """Read every byte of a snapshot back; raises as `find`."""
    verified = find(stack, where, snapshot, unsigned=unsigned, report=report)
    return Verified(verified.id, check(verified.place, verified.index, report))


@dataclass(frozen=True)
class Pruned:
    """What a prune removed, or would remove."""

    plan: PrunePlan
    blobs: dict[str, int]
    """Sizes, by digest."""


def prune(
    stack: str,
    where: Where,
    retention: Retention,
    *,
    delete: bool = False,
    unsigned: bool = False,
    report: Report = silent,
) -> Pruned:
    """Remove the stack's old snapshots and the blobs that no snapshot needs; without `delete`, only plan it.

    Raises:
        UsageError: The stack has no snapshot there.
        FailedError: A snapshot can't be read, another prune is running, or the store failed.
    """
    place = open_place(where)
    newest = place.newest(stack)
    key = None if unsigned else signing_key(stack, place, newest, report)
    report("reading every index")
    planned = plan(place, stack, retention, key)
    return Pruned(planned, carry_out(place, planned, report) if delete else planned.blobs)


def create(stack: str, where: Where, *, recheck: bool = False, report: Report = silent) -> Taken:
    """Take a snapshot of the stack.

    Args:
        stack: Name of the stack.
        where: Address of its backups.
        recheck: Whether to read back what earlier backups wrote, and write again what was changed.
        report: Takes lines of progress.

    Raises:
        UsageError: The stack is not up, or the address is the stack's own store.
        FailedError: A store failed; there is no new snapshot, and a rerun continues.
    """
    opened = workspace.open_stack(stack, report)
    outputs = opened.outputs()
    _require_elsewhere(outputs, where)
    key = backup_key(opened.stack_settings.secret().get_secret_value())
    pool = Pool(open_place(where), recheck=recheck)
    files = _stack_files(opened)
    objects: list[ModelObject] = []
    damaged: list[Damage] = []
    for tenant in sorted(outputs.tenants):
        client = access.open_store(outputs, tenant, "editor")
        taken, faults = TenantBackup(client, outputs.store.models_bucket, tenant, pool, report).take()
        objects += taken
        damaged += faults
    return finish(
        pool,
        key,
        stack=stack,
        versions=(metadata.version("slipway"), outputs.contract_version),
        tenants=outputs.tenants,
        objects=objects,
        damaged=damaged,
        files=files,
    )


def _require_elsewhere(outputs: PlatformOutputs, where: Where) -> None:
    own = {urlsplit(each).netloc for each in (outputs.store.endpoint, outputs.store.internal_endpoint)}
    # AWS has the same address for all buckets; there, another bucket counts as another store.
    if outputs.store.kind != "s3" and where.endpoint and urlsplit(where.endpoint).netloc in own:
        raise UsageError(
            f"{where.endpoint} is the store of stack {outputs.stack} itself.",
            why="A backup in it would be lost together with the store.",
            fix="Give the --endpoint of another store.",
        )


def _stack_files(opened: Stack) -> dict[str, bytes]:
    """State, settings and tenants, by their names in a snapshot; refused with a secret in plain text."""
    load_file(opened.settings)
    exported = opened.export()
    if plain := plain_secrets(exported):
        raise FailedError(
            "The stack's state holds a secret that is not encrypted; it was not backed up.", why=plain[0]
        )
    files = {SETTINGS: opened.settings.read_bytes(), STATE: json.dumps(exported).encode()}
    for path in sorted((opened.project / "tenants").glob("*.yaml")):
        files[f"tenants/{path.name}"] = path.read_bytes()
        StackFile(name=f"tenants/{path.name}", size=0, sha256="0" * 64)
    return files


__all__ = [
    "Damage",
    "Fault",
    "Pruned",
    "Snapshot",
    "Taken",
    "Verified",
    "Where",
    "create",
    "find",
    "open_place",
    "prune",
    "snapshots",
    "verify",
]
