"""`slipway model`: promote what a run proposed, list what is served, ask it; the rest is the registry's."""

from typing import Annotated

import typer

from serving import rollout
from slipway.cli import console, model_predict, model_registry, model_removal, render
from slipway.cli.options import Stack, Tenant
from slipway.operations import workspace

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Models: promote, list, predict; versions, history, verify, gc, delete.\n\n"
    "Example:  slipway model list --tenant team-a",
)


@app.command()
def promote(
    context: typer.Context,
    run: Annotated[str, typer.Option("--run", "-r", help="Run whose candidate to promote.")],
    minimum: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Least accuracy, beyond the run's threshold and the tenant's gates."),
    ] = None,
    replace: Annotated[
        bool,
        typer.Option(
            "--replace",
            help="Replace a champion of other features or classes, or one that can't be compared with.",
        ),
    ] = False,
    tenant: Tenant = "team-a",
    stack: Stack = "local",
) -> None:
    """Promote the candidate of a run, if promotion's own evaluation passes; else the old version serves.

    Example:  slipway model promote --run RUN_ID --tenant team-a
    """
    outputs = workspace.outputs(stack)
    with console.phase("Promote") as report:
        result = rollout.promote(outputs, tenant, run, minimum=minimum, replace=replace, report=report)
    render.promotion(result, as_json=context.obj["json"])


@app.command("list")
def list_command(
    context: typer.Context,
    every: Annotated[
        bool, typer.Option("--all", help="Deleted models too, of which only the log is left.")
    ] = False,
    tenant: Tenant = "team-a",
    stack: Stack = "local",
) -> None:
    """List the tenant's models with their champion.

    Example:  slipway model list --tenant team-a
    """
    outputs = workspace.outputs(stack)
    registry = model_registry.open_registry(outputs, tenant)
    rows = []
    for name in registry.list_models():
        held = registry.read_alias(name, rollout.CHAMPION)
        rows.append(
            {
                "model": name,
                "versions": len(registry.list_versions(name)),
                "champion": held.record.digest if held else None,
                "promotion": held.record.number if held else None,
            }
        )
    rows = [row for row in rows if every or row["versions"] or row["champion"]]
    if context.obj["json"]:
        console.show_json(rows)
    else:
        console.show_table(
            ("model", "versions", "champion", "promotion"),
            [
                (r["model"], r["versions"], str(r["champion"] or "-")[:12], r["promotion"] or "-")
                for r in rows
            ],
        )


for command in (
    model_predict.predict,
    model_registry.show,
    model_registry.versions,
    model_registry.history,
    model_registry.verify,
    model_removal.gc,
    model_removal.delete,
):
    app.command()(command)
