"""`slipway doctor`: whether this machine is fit for a platform."""

from typing import Annotated

import typer

from embedded import toolchain
from slipway import console, render
from storage.errors import FailedError

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.command()
def doctor(
    context: typer.Context,
    mend: Annotated[
        bool, typer.Option("--mend", help="First install the packages and build the tools that lack.")
    ] = False,
    tests: Annotated[
        bool, typer.Option("--tests", help="Speak also of the tools that only the tests need.")
    ] = False,
) -> None:
    """Say what this machine has, what would be built, and what is missing with the way to mend it.

    Example:  slipway doctor --mend
    """
    if mend:
        with console.phase("Preparing the tools") as report:
            toolchain.ensure(report=report, tests=tests)
            toolchain.kserve_manifests(report)
    found = toolchain.examine(tests=tests)
    if context.obj["json"]:
        console.show_model(found)
    else:
        render.doctor(found)
    if not found.ready:
        raise FailedError("This machine lacks something that the local environment needs.")
