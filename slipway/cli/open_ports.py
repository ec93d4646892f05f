"""The command `open`."""

import signal
import threading
from types import FrameType

import typer

from slipway.cli import console
from slipway.cli.options import StackName

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def _group() -> None:
    """Keep `open` a command of its own: a single command would be the whole application."""


@app.command("open")
def open_ports(stack: StackName) -> None:
    """Open ports of 127.0.0.1 to the stack's Services, as its endpoints say, until interrupted.

    Example:  slipway open dev
    """
    from slipway.operations import open_ports as ports

    ended = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        ended.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)

    def report(line: str) -> None:
        console.err.print(line, markup=False)

    with ports.opened(stack, report) as forwards:
        for each in forwards:
            console.out.print(
                f"127.0.0.1:{each.port} is {each.name}: Service {each.namespace}/{each.service}", markup=False
            )
        console.err.print("Ctrl-C ends it.")
        ended.wait()
