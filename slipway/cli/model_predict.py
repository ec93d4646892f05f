"""`slipway model predict`: predictions of a served model for the rows of a file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from slipway.cli import console
from slipway.cli.options import Stack, Tenant
from slipway.operations import data_files

if TYPE_CHECKING:
    from slipway.operations.prediction import Answers


app = typer.Typer(rich_markup_mode=None)


@app.command()
def predict(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Model.")],
    data: Annotated[Path, typer.Option(help="CSV or Parquet file with the model's features, in any order.")],
    tenant: Tenant = "team-a",
    stack: Stack = "local",
) -> None:
    """Get the class of each row of a file from a served model.

    Example:  slipway model predict churn --data rows.csv
    """
    data_files.require_table(data)  # refused before anything else is imported
    from slipway.operations import prediction, workspace

    outputs = workspace.outputs(stack)
    with console.phase(f"Ask {name}") as report:
        answers = prediction.ask_rows(outputs, tenant, name, data, report)
    for note in answers.notes:
        console.err.print(note, markup=False)
    _show(answers, as_json=context.obj["json"])


def _show(answers: "Answers", *, as_json: bool) -> None:
    labels = [answers.classes[code] for code in answers.labels.tolist()]
    shares = [round(float(share), 6) for share in answers.probabilities]
    if as_json:
        console.show_json(
            {
                "model": answers.model,
                "version": answers.version,
                "classes": list(answers.classes),
                "labels": labels,
                "probabilities": shares,
                "notes": list(answers.notes),
            }
        )
        return
    from slipway.cli.render import plain

    rows = zip(labels, shares, strict=True)
    console.show_table(
        ("row", "class", "probability"),
        [(row, plain(label), f"{share:.4f}") for row, (label, share) in enumerate(rows, start=1)],
    )
