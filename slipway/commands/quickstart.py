"""`slipway quickstart`: the main job, in one command."""

from pathlib import Path
from typing import Annotated

import typer

from slipway import console, render
from slipway.commands.stack import ready
from slipway.quickstart import Journey

app = typer.Typer(rich_markup_mode=None)


@app.command()
def quickstart(
    context: typer.Context,
    stack: Annotated[str, typer.Argument(help="Stack.")] = "local",
    data: Annotated[Path | None, typer.Option(help="CSV file with a `target` column.")] = None,
    threshold: Annotated[float, typer.Option(help="Held-out accuracy that a model needs.")] = 0.85,
) -> None:
    """From a bare machine to a served model: platform, training, gate, promotion, prediction.

    Example:  slipway quickstart local --data churn.csv
    """
    journey = Journey(stack=stack, data=data, threshold=threshold)
    journey.check()
    opened = journey.time("tools", lambda: ready(stack))
    summary = journey.run(journey.platform(opened))
    if context.obj["json"]:
        console.show_model(summary)
    else:
        render.journey(summary)
