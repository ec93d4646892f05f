"""The way back: models into a stack that is up, settings and state into a checkout that has none.

Models are restored with each tenant's promoter's key, so it takes no administrator.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from infra.contract import PlatformOutputs
from infra.names import settings_file
from infra.stack.stack import Stack
from serving import access
from slipway.core import atomic_files
from slipway.core.errors import FailedError, UsageError
from slipway.core.report import Report, silent
from slipway.operations import workspace
from slipway.operations.backup import Snapshot, Where, find
from storage.backup.index import SETTINGS, STATE
from storage.backup.restore import Restored, TenantRestore, conflict_error


class StackFileOutcome(BaseModel):
    """What became of one of the stack's files."""

    model_config = ConfigDict(frozen=True)

    name: str
    outcome: str


@dataclass(frozen=True)
class RestoredModels:
    """What became of each model and alias of a snapshot."""

    snapshot: str
    outcomes: list[Restored]

    @property
    def refused(self) -> bool:
        """Whether something was left as it was, as it names another version."""
        return any(each.outcome == "refused" for each in self.outcomes)


@dataclass(frozen=True)
class RestoredFiles:
    """What became of the files of a stack, and how many resources its state has again."""

    snapshot: str
    stack: str
    files: list[StackFileOutcome]
    resources: int | None
    """None where the state was not asked for."""


def find_and_restore_models(
    stack: str,
    where: Where,
    snapshot: str | None,
    *,
    of: str | None = None,
    unsigned: bool = False,
    tenant: str | None = None,
    replace: bool = False,
    report: Report = silent,
) -> RestoredModels:
    """Restore models of a snapshot into a stack that is up.

    `of` is the stack whose backup it is, if another's; raises as `backup.find` and `restore_models`.
    """
    outputs = workspace.outputs(stack)
    found = find(of or stack, where, snapshot, unsigned=unsigned, report=report)
    outcomes = restore_models(outputs, found, tenant=tenant, replace=replace, report=report)
    return RestoredModels(found.id, outcomes)


def find_and_restore_files(
    stack: str,
    where: Where,
    snapshot: str | None,
    *,
    unsigned: bool = False,
    state: bool = False,
    report: Report = silent,
) -> RestoredFiles:
    """Put back a stack's files that are missing, and with `state` its state.

    Raises as `backup.find` and `restore_state`.
    """
    found = find(stack, where, snapshot, unsigned=unsigned, report=report)
    name = found.index.stack
    files = restore_files(found, workspace.project())
    resources = restore_state(found, workspace.open_stack(name, report)) if state else None
    return RestoredFiles(found.id, name, files, resources)


def restore_models(
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
        raise conflict_error(conflicts)
    return [outcome for each in restores for outcome in each.run()]


def restore_files(snapshot: Snapshot, project: Path) -> list[StackFileOutcome]:
    """Put the stack's settings and its tenants' files back where they are missing; replace none."""
    places = {SETTINGS: settings_file(snapshot.index.stack)}
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
            atomic_files.replace(path, content)
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
