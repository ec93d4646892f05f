"""Restore: models into a running stack, settings and state into a checkout that has none.

Models are restored with each tenant's promoter key, so no administrator is needed.
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
    """The outcome for one of the stack's files."""

    model_config = ConfigDict(frozen=True)

    name: str
    outcome: str


@dataclass(frozen=True)
class RestoredModels:
    """The outcome for each model and alias of a snapshot."""

    snapshot: str
    outcomes: list[Restored]

    @property
    def refused(self) -> bool:
        """Whether an alias was left unchanged because it points to another version."""
        return any(each.outcome == "refused" for each in self.outcomes)


@dataclass(frozen=True)
class RestoredFiles:
    """The outcome for each file of a stack, and the number of resources in its restored state."""

    snapshot: str
    stack: str
    files: list[StackFileOutcome]
    resources: int | None
    """None if the state was not requested."""


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
    """Restore models of a snapshot into a running stack.

    `of` is the stack that the backup was made of, by default the same one.
    Raises as `backup.find` and `restore_models`.
    """
    outputs = workspace.outputs(stack)
    source = find(of or stack, where, snapshot, unsigned=unsigned, report=report)
    outcomes = restore_models(outputs, source, tenant=tenant, replace=replace, report=report)
    return RestoredModels(source.id, outcomes)


def find_and_restore_files(
    stack: str,
    where: Where,
    snapshot: str | None,
    *,
    unsigned: bool = False,
    state: bool = False,
    report: Report = silent,
) -> RestoredFiles:
    """Restore a stack's missing files, and with `state` its state.

    Raises as `backup.find` and `restore_state`.
    """
    source = find(stack, where, snapshot, unsigned=unsigned, report=report)
    name = source.index.stack
    files = restore_files(source, workspace.project())
    resources = restore_state(source, workspace.open_stack(name, report)) if state else None
    return RestoredFiles(source.id, name, files, resources)


def restore_models(
    outputs: PlatformOutputs,
    snapshot: Snapshot,
    *,
    tenant: str | None = None,
    replace: bool = False,
    report: Report = silent,
) -> list[Restored]:
    """Restore models into a running stack.

    Args:
        outputs: Outputs of the stack.
        snapshot: A snapshot of this or another stack.
        tenant: Only this tenant's models; all tenants by default.
        replace: Whether aliases that point to another version are moved.
        report: Takes lines of progress.

    Raises:
        UsageError: An alias points to another version, or a tenant is missing; nothing was changed.
        FailedError: A store failed; a rerun continues.
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
    # Check all tenants before anything is written.
    conflicts = [line for each in restores for line in each.conflicts()]
    if conflicts and not replace:
        raise conflict_error(conflicts)
    return [outcome for each in restores for outcome in each.run()]


def restore_files(snapshot: Snapshot, project: Path) -> list[StackFileOutcome]:
    """Restore the stack's settings and tenant files that are missing; existing ones are not replaced."""
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
    """Import the snapshot's state into a stack without resources; return its number of resources.

    Raises:
        UsageError: The stack has resources, or other settings than the snapshot.
        FailedError: Pulumi refused, for example because the passphrase is wrong.
    """
    index = snapshot.index
    if not stack.settings.is_file() or stack.settings.read_bytes() != snapshot.place.read(
        index.file(SETTINGS)
    ):
        raise UsageError(
            f"{stack.settings.name} is not the one of the snapshot.",
            why="The state's secrets are encrypted together with those of the settings.",
            fix="Move it away and run the command again, which restores the snapshot's.",
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
            fix="Restore the passphrase, which is kept apart from the backup; see docs/backup.md.",
        ) from error
    return len(exported["deployment"].get("resources") or ())
