"""`slipway store`: the artifact store's own key and certificate."""

import time
from typing import Annotated

import typer

from slipway.cli import console
from slipway.cli.options import Stack

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="The artifact store: replace its administrator's key or its certificate.\n\n"
    "Example:  slipway store rotate --stack local",
)


@app.callback()
def group() -> None:
    """Make Typer treat `rotate` as a subcommand, although it is the only one."""


@app.command()
def rotate(
    context: typer.Context,
    certificate: Annotated[
        bool, typer.Option("--certificate", help="Replace the certificate and its CA instead of the key.")
    ] = False,
    stack: Stack = "local",
) -> None:
    """Replace the administrator's key; the store restarts, which takes seconds.

    Example:  slipway store rotate --certificate
    """
    from slipway.operations import store_rotation

    started = time.monotonic()
    rotation = store_rotation.rotate(stack, console.phase, certificate=certificate)
    seconds = round(time.monotonic() - started, 1)
    if context.obj["json"]:
        console.show_json(
            {
                "replaced": "certificate" if certificate else "root_key",
                "generation": rotation.generation,
                "continued": rotation.continued,
                "seconds": seconds,
            }
        )
        return
    replaced = "certificate" if certificate else "administrator's key"
    console.out.print(
        f"The store's {replaced} is of generation {rotation.generation}, and the previous one is refused. "
        f"It took {seconds:.0f} s.",
        markup=False,
    )
