"""`slipway model`: promote a run's candidate and list models; adds the commands of the other modules."""

from dataclasses import asdict
from typing import Annotated

import typer

from slipway.cli import console, model_predict, model_removal, model_versions, render
from slipway.cli.options import Stack, Tenant
from storage.registry.version_files import SHORT_DIGEST

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
        typer.Option(min=0, max=1, help="Minimum accuracy, beyond the run's threshold and the gates."),
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
    """Promote the candidate of a run if it passes promotion's own evaluation; else the old version serves.

    Exits with 1 if the gate is closed; the decision is printed, also with --json.

    Example:  slipway model promote --run RUN_ID --tenant team-a
    """
    from slipway.operations import promotion, workspace

    outputs = workspace.outputs(stack)
    with console.phase("Promote") as report:
        result = promotion.promote(outputs, tenant, run, minimum=minimum, replace=replace, report=report)
    render.promotion(result, as_json=context.obj["json"])
    if not result.promoted:
        # The decision is the message: as JSON it must stay the only document.
        raise typer.Exit(1)


@app.command("list")
def list_command(
    context: typer.Context,
    every: Annotated[
        bool, typer.Option("--all", help="Include deleted models, of which only the log is left.")
    ] = False,
    tenant: Tenant = "team-a",
    stack: Stack = "local",
) -> None:
    """List the tenant's models with their champion.

    Example:  slipway model list --tenant team-a
    """
    from slipway.operations import model_registry, workspace

    models = model_registry.models(workspace.outputs(stack), tenant, deleted=every)
    if context.obj["json"]:
        console.show_json([asdict(each) for each in models])
    else:
        console.show_table(
            ("model", "versions", "champion", "promotion"),
            [
                (each.model, each.versions, (each.champion or "-")[:SHORT_DIGEST], each.promotion or "-")
                for each in models
            ],
        )


for command in (
    model_predict.predict,
    model_versions.show,
    model_versions.versions,
    model_versions.history,
    model_versions.verify,
    model_removal.gc,
    model_removal.delete,
):
    app.command()(command)
