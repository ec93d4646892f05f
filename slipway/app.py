"""The command line: parse, call one service, print. `slipway --help` is the map.

Exit codes: 0 done, 1 failed (a rerun converges), 2 the caller's mistake (nothing changed), 130 interrupted.
"""

import sys
from typing import Annotated, Any

import click
import typer

from slipway import console
from slipway.commands import local, model, pipeline, stack
from storage.errors import SlipwayError

app = typer.Typer(
    name="slipway",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="A machine-learning platform on Kubernetes as one Pulumi program.\n\n"
    "From a bare machine to a served model:  slipway quickstart local",
)
stack.register(app)
app.add_typer(local.app, name="local", help="The embedded Kubernetes of the local environment.")
app.add_typer(pipeline.app, name="pipeline", help="Training pipelines: compile, upload, run.")
app.add_typer(model.app, name="model", help="Models: promote, list, predict.")


@app.callback()
def _root(
    context: typer.Context,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print results as JSON; goes before the command.")
    ] = False,
) -> None:
    """Keep what every command needs to know of how it was called."""
    context.obj = {"json": as_json}


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return the process's exit code. Errors become one message."""
    arguments = sys.argv[1:] if arguments is None else arguments
    # `--json` is read wherever it stands: scripts put it last, people put it anywhere.
    as_json = "--json" in arguments
    ordered = ["--json"] * as_json + [word for word in arguments if word != "--json"]
    command: Any = typer.main.get_command(app)
    try:
        result = command.main(ordered, prog_name="slipway", standalone_mode=False)
    except SlipwayError as error:
        console.show_error(error, as_json=as_json)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        console.err.print("Interrupted. Run the same command again: it goes on from here.")
        return 130
    except click.ClickException as error:
        error.show()
        return 2
    return result if isinstance(result, int) else 0


def entry() -> None:
    """The console script."""
    sys.exit(main())
