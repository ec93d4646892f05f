"""`slipway model`: promote what a run proposed, list what is served, ask it; the rest is the registry's."""

import csv
from pathlib import Path
from typing import Annotated

import typer

from serving import predict, rollout
from serving.endpoint import class_names
from slipway import console, render, workspace
from slipway.commands import model_registry, model_removal
from slipway.commands.options import Stack, Tenant
from storage.errors import FailedError, UsageError

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


@app.command("predict")
def predict_command(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Model.")],
    data: Annotated[
        Path, typer.Option(help="CSV of rows: the features in the model's order, with a header.")
    ],
    tenant: Tenant = "team-a",
    stack: Stack = "local",
) -> None:
    """Ask a served model for the class of each row of a CSV file.

    Example:  slipway model predict churn --data rows.csv
    """
    rows = _rows(data)
    outputs = workspace.outputs(stack)
    try:
        answers = predict.predict(predict.url_of(outputs, tenant, name), rows)
    except predict.NotAnsweringError as error:
        raise FailedError(
            error.what, why=error.why, fix="See `slipway model list` for what is served."
        ) from error
    names = class_names(model_registry.open_registry(outputs, tenant), name)
    labels = [names[answer] if answer < len(names) else str(answer) for answer in answers]
    if context.obj["json"]:
        console.show_json({"model": name, "classes": answers, "labels": labels})
    else:
        console.show_table(("row", "class"), list(enumerate(labels, start=1)))


def _rows(path: Path) -> list[list[float]]:
    if not path.is_file():
        raise UsageError(f"{path} can't be read.", why="There is no such file.")
    with path.open(newline="", encoding="utf-8-sig") as file:
        lines = [line for line in csv.reader(file) if line]
    if len(lines) < 2:
        raise UsageError(f"{path} holds no rows.", why="It takes a header and at least one row.")
    keep = [index for index, column in enumerate(lines[0]) if column != "target"]
    try:
        return [[float(line[index]) for index in keep] for line in lines[1:]]
    except (ValueError, IndexError) as error:
        raise UsageError(f"{path} is not a table of numbers.", why=str(error)) from error


for command in (
    model_registry.show,
    model_registry.versions,
    model_registry.history,
    model_registry.verify,
    model_removal.gc,
    model_removal.delete,
):
    app.command()(command)
