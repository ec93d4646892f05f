"""`slipway backup`: snapshots of a stack at another store, and tests that they can be restored."""

from typing import TYPE_CHECKING, Annotated

import typer

from slipway.cli import console
from slipway.cli.options import CaFile, Endpoint, From, Region, SnapshotId, StackName, To, Unsigned, YesDelete
from storage.backup.retention import Retention

if TYPE_CHECKING:
    from slipway.operations.backup import Damage, Fault, Snapshot, Taken

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Snapshots of a stack at another store: create, list, verify, drill, prune.\n\n"
    "The store's key is in SLIPWAY_BACKUP_ACCESS_KEY_ID and SLIPWAY_BACKUP_SECRET_ACCESS_KEY.\n\n"
    "Example:  slipway backup list --from s3://backups/slipway --endpoint https://s3.example.com:9000",
)

_DEFAULT = Retention()


@app.command()
def create(
    context: typer.Context,
    stack: StackName,
    to: To,
    endpoint: Endpoint = None,
    region: Region = "us-east-1",
    ca_file: CaFile = None,
    recheck: Annotated[
        bool, typer.Option("--recheck", help="Read back what is there, and send again what was changed.")
    ] = False,
) -> None:
    """Back up models, aliases, promotion logs, state, settings and tenants of a stack.

    Example:  slipway backup create local --to s3://backups/slipway --endpoint https://s3.example.com:9000
    """
    from slipway.operations import backup

    where = backup.Where(to, endpoint, region, ca_file)
    with console.phase("Back up") as report:
        taken = backup.create(stack, where, recheck=recheck, report=report)
    _show_taken(taken, as_json=context.obj["json"])
    if taken.index.damaged:
        raise typer.Exit(1)


@app.command("list")
def list_command(
    context: typer.Context,
    source: From,
    endpoint: Endpoint = None,
    region: Region = "us-east-1",
    ca_file: CaFile = None,
    stack: Annotated[str | None, typer.Option("--stack", "-s", help="Only this stack.")] = None,
) -> None:
    """List the snapshots, oldest first.

    Example:  slipway backup list --from s3://backups/slipway --endpoint https://s3.example.com:9000
    """
    from slipway.operations import backup

    snapshots = backup.snapshots(backup.Where(source, endpoint, region, ca_file), stack)
    if context.obj["json"]:
        console.show_json([_row(each) for each in snapshots])
        return
    console.show_table(
        ("stack", "snapshot", "complete", "tenants", "objects", "size"),
        [
            (
                each.index.stack,
                each.id,
                "yes" if each.index.complete else "NO",
                len(each.index.tenants),
                len(each.index.objects),
                f"{each.index.size / 2**20:.1f} MiB",
            )
            for each in snapshots
        ],
    )


@app.command()
def verify(
    context: typer.Context,
    stack: StackName,
    source: From,
    endpoint: Endpoint = None,
    region: Region = "us-east-1",
    ca_file: CaFile = None,
    snapshot: SnapshotId = None,
    unsigned: Unsigned = False,
) -> None:
    """Check a snapshot's signature, read every byte of it back, and compare it with its digests.

    Example:  slipway backup verify local --from s3://backups/slipway --endpoint https://s3.example.com:9000
    """
    from slipway.operations import backup

    where = backup.Where(source, endpoint, region, ca_file)
    with console.phase("Verify the backup") as report:
        verification = backup.verify(stack, where, snapshot, unsigned=unsigned, report=report)
    if context.obj["json"]:
        faults = [each.model_dump() for each in verification.faults]
        console.show_json({"snapshot": verification.snapshot, "faults": faults})
    elif verification.faults:
        _show_faults(verification.faults)
    else:
        console.out.print(f"Snapshot {verification.snapshot} is whole.", markup=False)
    if verification.faults:
        raise typer.Exit(1)


@app.command("drill")
def drill_command(
    context: typer.Context,
    stack: StackName,
    source: From,
    endpoint: Endpoint = None,
    region: Region = "us-east-1",
    ca_file: CaFile = None,
    snapshot: SnapshotId = None,
    unsigned: Unsigned = False,
    into: Annotated[
        str | None, typer.Option(help="An existing scratch stack; with `local`, one is created and deleted.")
    ] = None,
) -> None:
    """Restore a snapshot into a scratch stack, verify every alias's digest, and query every champion.

    Example:  slipway backup drill local --from s3://backups/slipway --endpoint https://s3.example.com:9000
    """
    from slipway.operations import backup, restore_drill

    where = backup.Where(source, endpoint, region, ca_file)
    with console.phase("Restore drill") as report:
        drill = restore_drill.find_and_drill(
            stack, where, snapshot, into=into, unsigned=unsigned, report=report
        )
    if context.obj["json"]:
        console.show_json(drill.model_dump(mode="json") | {"passed": drill.passed})
    else:
        console.show_table(
            ("", "what", "found", "seconds"),
            [("ok" if f.ok else "FAILED", f.what, f.detail, f"{f.seconds:.1f}") for f in drill.findings],
            title=f"Snapshot {drill.snapshot}",
        )
    if not drill.passed:
        # The table is the message: as JSON it must stay the only document.
        raise typer.Exit(1)


@app.command()
def prune(
    context: typer.Context,
    stack: StackName,
    source: From,
    endpoint: Endpoint = None,
    region: Region = "us-east-1",
    ca_file: CaFile = None,
    keep: Annotated[
        int, typer.Option(min=1, help="Number of newest snapshots, and of newest complete ones, to keep.")
    ] = _DEFAULT.newest,
    keep_days: Annotated[
        int, typer.Option(min=0, help="Keep snapshots up to this age, in days.")
    ] = _DEFAULT.days,
    grace_days: Annotated[
        int, typer.Option(min=1, help="Keep blobs up to this age, in days, needed or not.")
    ] = _DEFAULT.grace_days,
    unsigned: Unsigned = False,
    yes: YesDelete = False,
) -> None:
    """Remove a stack's old snapshots and the blobs that no snapshot needs; a dry run by default.

    Example:  slipway backup prune local --from s3://backups/slipway --endpoint https://s3.example.com:9000
    """
    from slipway.operations import backup

    retention = Retention(keep, keep_days, grace_days)
    where = backup.Where(source, endpoint, region, ca_file)
    with console.phase("Prune" if yes else "Find what nothing needs") as report:
        pruning = backup.prune(stack, where, retention, delete=yes, unsigned=unsigned, report=report)
    decisions, size = pruning.plan.decisions, sum(pruning.blobs.values())
    if context.obj["json"]:
        rows = [
            {"snapshot": v.snapshot.id, "action": "keep" if v.reasons else "remove", "reasons": v.reasons}
            for v in decisions
        ]
        console.show_json({"removed": yes, "snapshots": rows, "blobs": len(pruning.blobs), "bytes": size})
        return
    console.show_table(
        ("snapshot", "complete", "action", "why"),
        [
            (
                v.snapshot.id,
                "yes" if v.snapshot.complete else "NO",
                "keep" if v.reasons else "remove",
                "; ".join(v.reasons) or "old",
            )
            for v in decisions
        ],
    )
    removed, blobs = len(pruning.plan.to_remove), len(pruning.blobs)
    total = f"{removed} of {len(decisions)} snapshots, {blobs} blobs, {size} bytes"
    console.show_pairs([("removed" if yes else "would remove", total)])


def _row(snapshot: "Snapshot") -> dict[str, object]:
    index = snapshot.index
    return {
        "stack": index.stack,
        "snapshot": snapshot.id,
        "taken_at": index.taken_at,
        "complete": index.complete,
        "tenants": len(index.tenants),
        "objects": len(index.objects),
        "bytes": index.size,
    }


def _show_taken(taken: "Taken", *, as_json: bool) -> None:
    index = taken.index
    if as_json:
        console.show_json(
            {
                "snapshot": taken.id,
                "complete": index.complete,
                "objects": len(index.objects),
                "bytes": index.size,
                "uploaded": taken.uploaded,
                "uploaded_bytes": taken.uploaded_bytes,
                "damaged": [each.model_dump() for each in index.damaged],
            }
        )
        return
    console.show_pairs(
        [
            ("snapshot", taken.id),
            ("complete", "yes" if index.complete else "NO"),
            ("tenants", ", ".join(index.tenants) or "none"),
            ("objects", len(index.objects)),
            ("size", f"{index.size / 2**20:.1f} MiB"),
            ("sent", f"{taken.uploaded} blobs, {taken.uploaded_bytes / 2**20:.1f} MiB"),
        ]
    )
    if index.damaged:
        console.show_table(
            ("tenant", "model", "damaged in the stack's store", "why", "in the backup"),
            [_damage_row(each) for each in index.damaged],
        )


def _damage_row(each: "Damage") -> tuple[str, ...]:
    kept = "yes, from an earlier one" if each.kept else "NO"
    return (each.tenant, each.model, each.what, each.why, kept)


def _show_faults(faults: "list[Fault]") -> None:
    console.show_table(("can't be restored", "why"), [(each.what, each.why) for each in faults])
