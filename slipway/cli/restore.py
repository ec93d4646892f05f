"""`slipway restore`: from a backup back into a stack."""

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


def _show_models(done: "RestoredModels", *, as_json: bool) -> None:
    if as_json:
        rows = [each.model_dump(mode="json") for each in done.outcomes]
        console.show_json({"snapshot": done.snapshot, "restored": rows})
        return
    console.show_table(
        ("tenant", "model", "alias", "digest", "outcome", "every byte", "why"),
        [
            (r.tenant, r.model, r.alias or "-", r.digest[:12], r.outcome,
             "verified" if r.verified else "-", r.why)
            for r in done.outcomes
        ],
        title=f"Snapshot {done.snapshot}",
    )  # fmt: skip


def _show_files(done: "RestoredFiles", *, as_json: bool) -> None:
    if as_json:
        rows = [each.model_dump() for each in done.files]
        console.show_json({"snapshot": done.snapshot, "files": rows, "resources": done.resources})
        return
    console.show_table(("file", "outcome"), [(each.name, each.outcome) for each in done.files])
    if done.resources is not None:
        console.out.print(f"Stack {done.stack} has its {done.resources} resources again.", markup=False)
    console.out.print(
        f"Now run `slipway up {done.stack}`, then `slipway restore {done.stack}` for the models.",
        markup=False,
    )
