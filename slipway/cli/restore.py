"""`slipway restore`: from a backup back into a stack."""

from typing import Annotated

import typer

from slipway.cli import console
from slipway.cli.options import CaFile, Endpoint, From, Region, SnapshotId, StackName, Unsigned
from slipway.core.errors import UsageError
from slipway.operations import backup, workspace
from slipway.operations.backup import Snapshot, Where
from slipway.operations.restore import restore_files, restore_models, restore_state

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.command()
def restore(
    context: typer.Context,
    stack: StackName,
    source: From,
    endpoint: Endpoint = None,
    region: Region = "us-east-1",
    ca_file: CaFile = None,
    snapshot: SnapshotId = None,
    unsigned: Unsigned = False,
    of: Annotated[str | None, typer.Option("--of", help="Whose backup, if another stack's.")] = None,
    tenant: Annotated[str | None, typer.Option("--tenant", "-t", help="Of this tenant only.")] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Move aliases that name another version; the log keeps that.")
    ] = False,
    settings: Annotated[
        bool, typer.Option("--settings", help="No models: settings and tenants' files that are missing.")
    ] = False,
    state: Annotated[
        bool, typer.Option("--state", help="As --settings, and the state of a stack without resources.")
    ] = False,
) -> None:
    """Restore models, aliases and promotion logs into a stack that is up, or what makes it one.

    Example:  slipway restore local --from s3://backups/slipway --endpoint https://s3.example.com:9000
    """
    if (settings or state) and (tenant or replace or of):
        raise UsageError("--settings and --state restore no models.", fix="Restore models in a second run.")
    where = Where(source, endpoint, region, ca_file)
    if settings or state:
        _files(context, backup.find(stack, where, snapshot, unsigned=unsigned), state=state)
        return
    outputs = workspace.outputs(stack)
    with console.phase("Restore") as report:
        found = backup.find(of or stack, where, snapshot, unsigned=unsigned, report=report)
        outcomes = restore_models(outputs, found, tenant=tenant, replace=replace, report=report)
    if context.obj["json"]:
        rows = [each.model_dump(mode="json") for each in outcomes]
        console.show_json({"snapshot": found.id, "restored": rows})
    else:
        console.show_table(
            ("tenant", "model", "alias", "digest", "outcome", "every byte", "why"),
            [
                (r.tenant, r.model, r.alias or "-", r.digest[:12], r.outcome,
                 "verified" if r.verified else "-", r.why)
                for r in outcomes
            ],
            title=f"Snapshot {found.id}",
        )  # fmt: skip
    if any(each.outcome == "refused" for each in outcomes):
        raise typer.Exit(1)


def _files(context: typer.Context, found: Snapshot, *, state: bool) -> None:
    name = found.index.stack
    with console.phase("Restore the stack's files") as report:
        outcomes = restore_files(found, workspace.project())
        resources = restore_state(found, workspace.open_stack(name, report)) if state else None
    if context.obj["json"]:
        rows = [each.model_dump() for each in outcomes]
        console.show_json({"snapshot": found.id, "files": rows, "resources": resources})
        return
    console.show_table(("file", "outcome"), [(each.name, each.outcome) for each in outcomes])
    if resources is not None:
        console.out.print(f"Stack {name} has its {resources} resources again.", markup=False)
    console.out.print(
        f"Now run `slipway up {name}`, then `slipway restore {name}` for the models.", markup=False
    )
