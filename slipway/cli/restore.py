"""`slipway restore`: restore models, settings or state from a backup into a stack."""

from typing import TYPE_CHECKING, Annotated

import typer

from slipway.cli import console
from slipway.cli.options import CaFile, Endpoint, From, Region, SnapshotId, StackName, Unsigned
from slipway.core.errors import UsageError

if TYPE_CHECKING:
    from slipway.operations.restore import RestoredFiles, RestoredModels

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
    of: Annotated[str | None, typer.Option("--of", help="Stack that the backup was made of.")] = None,
    tenant: Annotated[str | None, typer.Option("--tenant", "-t", help="Only this tenant.")] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Move aliases that name another version; the log records it.")
    ] = False,
    settings: Annotated[
        bool, typer.Option("--settings", help="Restore missing settings and tenant files instead of models.")
    ] = False,
    state: Annotated[
        bool, typer.Option("--state", help="As --settings, and the state of a stack that has no resources.")
    ] = False,
) -> None:
    """Restore models, aliases and promotion logs into a running stack; or its settings and state.

    Example:  slipway restore local --from s3://backups/slipway --endpoint https://s3.example.com:9000
    """
    if (settings or state) and (tenant or replace or of):
        raise UsageError("--settings and --state restore no models.", fix="Restore models in a second run.")
    from slipway.operations import backup
    from slipway.operations import restore as restores

    where = backup.Where(source, endpoint, region, ca_file)
    if settings or state:
        with console.phase("Restore the stack's files") as report:
            files = restores.find_and_restore_files(
                stack, where, snapshot, unsigned=unsigned, state=state, report=report
            )
        _show_files(files, as_json=context.obj["json"])
        return
    with console.phase("Restore") as report:
        models = restores.find_and_restore_models(
            stack, where, snapshot, of=of, unsigned=unsigned, tenant=tenant, replace=replace, report=report
        )
    _show_models(models, as_json=context.obj["json"])
    if models.refused:
        raise typer.Exit(1)


def _show_models(restored: "RestoredModels", *, as_json: bool) -> None:
    if as_json:
        rows = [each.model_dump(mode="json") for each in restored.outcomes]
        console.show_json({"snapshot": restored.snapshot, "restored": rows})
        return
    console.show_table(
        ("tenant", "model", "alias", "digest", "outcome", "every byte", "why"),
        [
            (r.tenant, r.model, r.alias or "-", r.digest[:12], r.outcome,
             "verified" if r.verified else "-", r.why)
            for r in restored.outcomes
        ],
        title=f"Snapshot {restored.snapshot}",
    )  # fmt: skip


def _show_files(restored: "RestoredFiles", *, as_json: bool) -> None:
    if as_json:
        rows = [each.model_dump() for each in restored.files]
        console.show_json({"snapshot": restored.snapshot, "files": rows, "resources": restored.resources})
        return
    console.show_table(("file", "outcome"), [(each.name, each.outcome) for each in restored.files])
    if restored.resources is not None:
        console.out.print(
            f"Stack {restored.stack} has its {restored.resources} resources again.", markup=False
        )
    console.out.print(
        f"Now run `slipway up {restored.stack}`, then `slipway restore {restored.stack}` for the models.",
        markup=False,
    )
