"""The command line: parse, call one operation, print. `slipway --help` lists the commands.

Exit codes: 0 done, 1 failed (a rerun converges), 2 usage error (nothing changed), 130 interrupted;
3 of `upstream diff` alone: a change must not be done.
"""

import sys
from dataclasses import dataclass
from importlib import import_module, metadata
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from slipway.cli import console, system_errors
from slipway.core.errors import SlipwayError


@dataclass(frozen=True)
class _Entry:
    module: str
    summary: str
    whole: bool = False
    """The module's commands are a group of their own, with this entry's name."""
    alone: frozenset[str] = frozenset()
    """Commands of the group with a module of their own, so that they start without the others' imports."""


COMMANDS: Final = {
    "quickstart": _Entry("quickstart", "From a bare machine to a served model."),
    "doctor": _Entry("doctor", "Show what this machine has and what is missing."),
    "init": _Entry("stack", "Create a stack: its settings file and its secret."),
    "up": _Entry("stack", "Deploy the platform as the settings describe it."),
    "preview": _Entry("stack", "Show what `up` would change."),
    "destroy": _Entry("stack", "Delete everything that `up` created, including data."),
    "status": _Entry("stack", "Show what runs, its endpoints, which plugins are in use."),
    "outputs": _Entry("stack", "Print the stack's outputs, the contract that CI reads."),
    "open": _Entry("open_ports", "Open ports of this machine to a stack's Services."),
    "env": _Entry("stack", "Print shell exports for pulumi and kubectl."),
    "tenant": _Entry("tenant", "Tenants: list, show, rotate their store keys.", whole=True),
    "store": _Entry("store", "The artifact store: replace its key or certificate.", whole=True),
    "pipeline": _Entry("pipeline", "Training pipelines: compile, upload, run, list, logs.", whole=True),
    "model": _Entry(
        "model",
        "Models: promote, predict, list, verify, delete and more.",
        whole=True,
        alone=frozenset({"predict"}),
    ),
    "data": _Entry("data", "A tenant's data: check, upload, download, list, delete.", whole=True),
    "backup": _Entry("backup", "Snapshots at another store: create, list, verify, drill.", whole=True),
    "restore": _Entry("restore", "Restore models, settings or state from a backup."),
    "upstream": _Entry("upstream", "Upstream's parts: fetch, render, check, images, diff.", whole=True),
    "images": _Entry("images", "Images in a registry: push Slipway's own, mirror, lock, verify.", whole=True),
    "local": _Entry("local", "The embedded Kubernetes: start, stop, status, logs, delete.", whole=True),
}


class _Root(TyperGroup):
    """Imports a command's module only when the command is called: `kfp` alone takes a second to import."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ANN401 - Typer's own context class is private
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ANN401
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        group: Any = typer.main.get_group(import_module(f"slipway.cli.{entry.module}").app)
        return group if entry.whole else group.commands[cmd_name]

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:  # noqa: ANN401
        entry = COMMANDS.get(args[0])
        if entry is None or len(args) < 2 or args[1] not in entry.alone:
            return super().resolve_command(ctx, args)
        module = import_module(f"slipway.cli.{entry.module}_{args[1]}")
        return args[0], typer.main.get_group(module.app), args[1:]

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in COMMANDS.items()])

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            console.err.print("Interrupted. Run the same command again: it continues from here.")
            raise typer.Exit(130) from None


app = typer.Typer(
    cls=_Root,
    name="slipway",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="A machine-learning platform on Kubernetes as one Pulumi program.\n\n"
    "Example:  slipway quickstart local",
)


def _show_version(wanted: bool) -> None:
    if wanted:
        console.out.print("slipway", metadata.version("slipway"))
        raise typer.Exit


@app.callback()
def root(
    context: typer.Context,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print results as JSON; accepted in any position.")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_show_version, help="Print the version.")
    ] = False,
) -> None:
    """Keep the options that apply to every command."""
    context.obj = {"json": as_json}


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return the process's exit code. Errors become one message."""
    arguments = sys.argv[1:] if arguments is None else arguments
    # `--json` is accepted in any position.
    as_json = "--json" in arguments
    ordered = ["--json"] * as_json + [word for word in arguments if word != "--json"]
    try:
        code = _run(ordered)
        # Flush here, so that a full disk is reported as a failure, and not by Python at its exit.
        sys.stdout.flush()
    except SlipwayError as error:
        console.show_error(error, as_json=as_json)
        return error.exit_code
    except BrokenPipeError:
        # The reader of the output closed the pipe, as in `slipway … | head`.
        console.give_up_output()
        return 1
    except OSError as error:
        return _show_system_error(error, as_json=as_json)
    return code


def _show_system_error(error: OSError, *, as_json: bool) -> int:
    failure = system_errors.message(error)
    try:
        console.show_error(failure, as_json=as_json)
        sys.stdout.flush()
    except OSError:
        # Standard output itself can't be written.
        console.give_up_output()
        console.show_error(failure, as_json=False)
    return failure.exit_code


def _run(arguments: list[str]) -> int:
    try:
        typer.main.get_command(app)(arguments, prog_name="slipway")
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    return 0


def entry() -> None:
    """The console script."""
    sys.exit(main())
