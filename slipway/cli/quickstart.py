"""`slipway quickstart`: from a bare machine to a served model, in one command."""

from pathlib import Path
from typing import Annotated

import typer

from slipway.cli import console, render
from slipway.cli.options import Drop, Missing, Seed, Target, TestSplit
from slipway.operations.training_job import Job, model_name, read_options, split_options
from tabular.schema import TARGET

app = typer.Typer(rich_markup_mode=None)


@app.command()
def quickstart(
    context: typer.Context,
    stack: Annotated[str, typer.Argument(help="Stack.")] = "local",
    data: Annotated[Path | None, typer.Option(help="CSV or Parquet file.")] = None,
    target: Target = TARGET,
    drop: Drop = None,
    missing: Missing = None,
    test_split: TestSplit = 0.2,
    seed: Seed = 42,
    threshold: Annotated[float, typer.Option(help="Minimum held-out accuracy.")] = 0.85,
) -> None:
    """From a bare machine to a served model: platform, training, gate, promotion, prediction.

    Exits with 1 if a model was trained and its gate is closed; the platform stays up.

    Example:  slipway quickstart local --data churn.csv
    """
    own = Job(
        tenant="",
        pipeline="training",
        model="wisconsin" if data is None else model_name(data),
        data=data,
        read=read_options(target, drop or [], missing),
        split=split_options(test_split, seed),
        threshold=threshold,
    )
    checked = own.check()
    from slipway.operations import workspace

    workspace.check(stack)  # reports a mistake in a file at once: the next import takes seconds
    from slipway.operations import quickstart as quickstarts

    summary = quickstarts.run(stack, own, checked, console.phase)
    if context.obj["json"]:
        console.show_model(summary)
    else:
        render.quickstart(summary)
    if not summary.promoted:
        raise typer.Exit(1)
