"""Backups of a whole stack: its models, its settings and its state, and the way back.

Models are read with each tenant's own reading key and restored with its promoter's, so neither takes an
administrator. Nothing secret leaves in clear: the state and the settings carry their secrets as Pulumi
encrypted them, and what opens them (a passphrase, a key of a cloud) is never part of a backup.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, SecretStr

from infra.config import load_file
from infra.contract import PlatformOutputs
from infra.stack import Stack
from infra.stack_state import plain_secrets
from serving import access
from slipway import workspace
from storage.backup.check import Fault, check
from storage.backup.finish import Taken, finish
from storage.backup.index import SETTINGS, STATE, Damage, Index, ModelObject, StackFile
from storage.backup.place import BackupPlace
from storage.backup.pool import Pool
from storage.backup.restore import Restored, TenantRestore, refusal
from storage.backup.snapshot import TenantBackup
from storage.client import StoreAccess, open_store
from storage.errors import FailedError, UsageError
from storage.keys import StoreKey
from storage.report import Report, silent

ACCESS_KEY: Final = "SLIPWAY_BACKUP_ACCESS_KEY_ID"
SECRET_KEY: Final = "SLIPWAY_BACKUP_SECRET_ACCESS_KEY"


@dataclass(frozen=True)
class Where:
    """The address of backups, as a person gives it; the key comes from the environment."""

    uri: str
    endpoint: str | None = None
    region: str = "us-east-1"
    ca: Path | None = None


@dataclass(frozen=True)
class Snapshot:
    """A snapshot that was found, and where."""

    place: BackupPlace
    id: str
    index: Index


class StackFileOutcome(BaseModel):
    """What became of one of the stack's files."""

    model_config = ConfigDict(frozen=True)

    name: str
    outcome: str


def open_place(where: Where, environment: Mapping[str, str] | None = None) -> BackupPlace:
    """Open the store of backups.

    Raises:
        UsageError: No key is in the environment, or the address is none.
    """
    surroundings = os.environ if environment is None else environment
    key, secret = surroundings.get(ACCESS_KEY), surroundings.get(SECRET_KEY)
    if bool(key) != bool(secret) or (where.endpoint and not key):
        raise UsageError(
            "There is no key for the backups' store.",
            why=f"{ACCESS_KEY if not key else SECRET_KEY} is not set.",
            fix=f"Set {ACCESS_KEY} and {SECRET_KEY}; a command line is no place for a key.",
        )
    if where.endpoint and (urlsplit(where.endpoint).scheme not in ("http", "https") or "@" in where.endpoint):
        raise UsageError("--endpoint is not an address.", fix="Give one such as https://s3.example.com:9000.")
    try:
        ca = where.ca.read_text() if where.ca else None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{where.ca} can't be read.", why=type(error).__name__) from error
    given = StoreKey(access_key=key, secret_key=SecretStr(secret)) if key and secret else None
    reached = StoreAccess(
        endpoint=where.endpoint,
        region=where.region,
        key=given,
        ca=ca,
        path_style=where.endpoint is not None,
    )
    return BackupPlace.at(open_store(reached), where.uri)


def find(stack: str, where: Where, snapshot: str | None = None) -> Snapshot:
    """Read the index of a stack's snapshot, the newest by default."""
    place = open_place(where)
    identity = snapshot or place.newest(stack)
    return Snapshot(place, identity, place.index(stack, identity))


def snapshots(where: Where, stack: str | None = None) -> list[Snapshot]:
    """Return what backups there are, oldest first."""
    place = open_place(where)
    return [Snapshot(place, each, place.index(name, each)) for name, each in place.snapshots(stack)]


def verify(stack: str, where: Where, snapshot: str | None, report: Report) -> tuple[str, list[Fault]]:
    """Read a snapshot back; return its id and what is wrong with it."""
    found = find(stack, where, snapshot)
    return found.id, check(found.place, found.index, report)


# --- there -----------------------------------------------------------------------------------------------


def create(stack: str, where: Where, *, recheck: bool = False, report: Report = silent) -> Taken:
    """Take a snapshot of the stack.

    Args:
        stack: which.
        where: its backups are kept.
        recheck: read what is there from earlier backups, and write anew what was altered.
        report: takes progress.

    Raises:
        UsageError: The stack is not up, or the address is the stack's own store.
        FailedError: A store failed; there is no new snapshot, and the next try goes on from there.
    """
    opened = workspace.open_stack(stack, report)
    outputs = opened.outputs()
    _require_elsewhere(outputs, where)
    pool = Pool(open_place(where), recheck=recheck)
    files = _stack_files(opened)
    objects: list[ModelObject] = []
    damaged: list[Damage] = []
    for tenant in sorted(outputs.tenants):
        client = access.open_store(outputs, tenant, "editor")
        found, faults = TenantBackup(client, outputs.store.models_bucket, tenant, pool, report).take()
        objects += found
        damaged += faults
    return finish(
        pool,
        stack=stack,
        versions=(metadata.version("slipway"), outputs.contract_version),
        tenants=outputs.tenants,
        objects=objects,
        damaged=damaged,
        files=files,
    )


def _require_elsewhere(outputs: PlatformOutputs, where: Where) -> None:
    own = {urlsplit(each).netloc for each in (outputs.store.endpoint, outputs.store.internal_endpoint)}
    # All of AWS has a few addresses; there another bucket, of another account at best, is elsewhere.
    if outputs.store.kind != "s3" and where.endpoint and urlsplit(where.endpoint).netloc in own:
        raise UsageError(
            f"{where.endpoint} is the store of stack {outputs.stack} itself.",
            why="A backup that is in it is lost with it.",
            fix="Give the --endpoint of another store.",
        )


def _stack_files(opened: Stack) -> dict[str, bytes]:
    """State, settings and tenants, by their names in a snapshot; refused if a secret in them is in clear."""
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


# --- back ------------------------------------------------------------------------------------------------


def restore(
    outputs: PlatformOutputs,
    snapshot: Snapshot,
    *,
    tenant: str | None = None,
    replace: bool = False,
    report: Report = silent,
) -> list[Restored]:
    """Restore models into a stack that is up.

    Args:
        outputs: of the stack.
        snapshot: of this or another stack.
        tenant: whose models; of all tenants by default.
        replace: whether aliases that name another version are moved.
        report: takes progress.

    Raises:
        UsageError: The stack has something else, or lacks a tenant; nothing was changed.
        FailedError: A store failed; running it again goes on from there.
    """
    if tenant is not None and tenant not in snapshot.index.tenants:
        known = ", ".join(snapshot.index.tenants) or "no tenant"
        raise UsageError(f"The snapshot has nothing of {tenant!r}.", why=f"It has {known}.")
    names = [tenant] if tenant is not None else list(snapshot.index.tenants)
    for name in names:
        outputs.tenant(name)
    restores = [
        TenantRestore(
            access.open_store(outputs, name, "promoter"),
            outputs.store.models_bucket,
            name,
            snapshot.place,
            snapshot.index,
            snapshot.id,
            replace=replace,
            report=report,
        )
        for name in names
    ]
    # Of all tenants, before the first is written.
    conflicts = [line for each in restores for line in each.conflicts()]
    if conflicts and not replace:
        raise refusal(conflicts)
    return [outcome for each in restores for outcome in each.run()]


def restore_files(snapshot: Snapshot, project: Path) -> list[StackFileOutcome]:
    """Put the stack's settings and its tenants' files back where they are missing; replace none."""
    places = {SETTINGS: f"Pulumi.{snapshot.index.stack}.yaml"}
    contents = {
        places.get(each.name, each.name): snapshot.place.read(each)
        for each in snapshot.index.files
        if each.name != STATE
    }
    outcomes = []
    for name, content in contents.items():
        path = project / name
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            draft = path.with_name(f".{path.name}.{os.getpid()}")
            draft.write_bytes(content)
            draft.replace(path)
            outcomes.append(StackFileOutcome(name=name, outcome="restored"))
        else:
            same = path.read_bytes() == content
            outcomes.append(StackFileOutcome(name=name, outcome="unchanged" if same else "kept, differs"))
    return outcomes


def restore_state(snapshot: Snapshot, stack: Stack) -> int:
    """Give a stack without resources the state of the snapshot; return how many resources that has.

    Raises:
        UsageError: The stack has resources, or other settings than the snapshot.
        FailedError: Pulumi refused; the passphrase is another, for one.
    """
    index = snapshot.index
    if not stack.settings.is_file() or stack.settings.read_bytes() != snapshot.place.read(
        index.file(SETTINGS)
    ):
        raise UsageError(
            f"{stack.settings.name} is not the one of the snapshot.",
            why="The state's secrets are encrypted together with those of the settings.",
            fix="Move it away and run the command again, which puts the snapshot's there.",
        )
    exported = json.loads(snapshot.place.read(index.file(STATE)))
    try:
        stack.adopt(exported)
    except FailedError as error:
        if "passphrase" not in error.why:
            raise
        raise FailedError(
            "The state's secrets can't be read here.",
            why=error.why,
            fix="Put the passphrase back that was kept apart from the backup; see docs/backup.md.",
        ) from error
    return len(exported["deployment"].get("resources") or ())
