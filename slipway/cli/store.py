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
    """Keep `rotate` a command of a group, though it is the only one."""


@app.command()
def rotate(
    context: typer.Context,
    certificate: Annotated[
        bool, typer.Option("--certificate", help="The certificate and its authority, in place of the key.")
    ] = False,
    stack: Stack = "local",
) -> None:
    """Replace the administrator's key; the store restarts, which takes seconds.

    Example:  slipway store rotate --certificate
    """
    from slipway.operations import store_rotation

    begun = time.monotonic()
    done = store_rotation.rotate(stack, console.phase, certificate=certificate)
    seconds = round(time.monotonic() - begun, 1)
    if context.obj["json"]:
        console.show_json(
            {
                "replaced": "certificate" if certificate else "root_key",
                "generation": done.generation,
                "continued": done.continued,
                "seconds": seconds,
            }
        )
        return
    what = "certificate" if certificate else "administrator's key"
    console.out.print(
        f"The store's {what} is of generation {done.generation}, and the one before is refused. "
        f"It took {seconds:.0f} s.",
        markup=False,
    )
