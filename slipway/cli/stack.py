"""The commands that work on a whole stack, from `init` to `env`."""

from typing import Annotated

import typer

from embedded import cluster, session
from embedded.plugins import selection
from infra.stack.stack import Stack, Summary
from slipway.cli import console, render
from slipway.core.errors import UsageError
from slipway.operations import deleted_objects, workspace

StackName = Annotated[str, typer.Argument(help="Stack, for example local.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")]
Refresh = Annotated[
    bool,
    typer.Option(
        "--refresh", help="Look at every object first, so that one deleted or changed by hand is put back."
    ),
]


app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


def ready(stack: str) -> Stack:
    """The stack, initialised and with validated settings; the tools are built first where they lack."""
    workspace.check(stack)  # a mistake in a file is named before anything starts
    with console.phase("Preparing the tools") as report:
        opened = workspace.open_stack(stack, report)
    opened.init()
    workspace.settings(stack)
    return opened


def _show_changes(context: typer.Context, summary: Summary) -> None:
    if context.obj["json"]:
        console.show_json({"changes": dict(summary.changes), "seconds": round(summary.seconds, 1)})
        return
    changes = ", ".join(f"{count} {operation}" for operation, count in sorted(summary.changes.items()))
    console.out.print(f"{changes or 'nothing'} in {summary.seconds:.1f} s", markup=False)


@app.command()
def init(
    stack: StackName,
    environment: Annotated[
        str | None, typer.Option(help="Kind of environment; the stack's own name by default.")
    ] = None,
) -> None:
    """Make a stack: its settings file from a template of stacks/, and its secret.

    Example:  slipway init local
    """
    if environment is not None:
        workspace.template(environment)
    made = (workspace.project() / f"Pulumi.{stack}.yaml").is_file()
    with console.phase("Preparing the tools") as report:
        # The file of a stack that is made already says what kind it is.
        opened = workspace.open_stack(stack, report, environment=None if made else environment)
    opened.init(environment)
    console.out.print(f"Pulumi.{stack}.yaml holds the settings of stack {stack}.", markup=False)


@app.command()
def up(context: typer.Context, stack: StackName, refresh: Refresh = False) -> None:
    """Make the platform what the settings say; the same as `pulumi up -s STACK`.

    Example:  slipway up local --refresh
    """
    _show_changes(context, ready(stack).up(refresh=refresh))


@app.command()
def preview(context: typer.Context, stack: StackName, refresh: Refresh = False) -> None:
    """Say what `up` would change. Nothing is changed.

    Example:  slipway preview local
    """
    _show_changes(context, ready(stack).preview(refresh=refresh))


@app.command()
def destroy(context: typer.Context, stack: StackName, yes: Yes = False) -> None:
    """Take away everything that `up` made, with its data.

    Example:  slipway destroy local --yes
    """
    if not yes:
        typer.confirm(f"Destroy stack {stack} with all its data?", abort=True)
    _show_changes(context, workspace.open_stack(stack).destroy())


@app.command()
def status(context: typer.Context, stack: Annotated[str, typer.Argument()] = "local") -> None:
    """Show what runs, where it answers, and which plugins are in use.

    Example:  slipway status
    """
    local = workspace.environment_of(stack) == "local"
    running = cluster.status(workspace.instance()) if local else None
    plugins = selection.plugins(workspace.instance()) if local else ()
    platform, drift = None, None
    if running is None or running.state == "running":
        opened = workspace.open_stack(stack)
        try:
            platform = opened.outputs()
        except UsageError:
            platform = None
        else:
            drift = deleted_objects.find(opened)
    render.status(stack, running, plugins, platform, drift, as_json=context.obj["json"])


@app.command()
def outputs(
    context: typer.Context,
    stack: Annotated[str, typer.Argument()] = "local",
    name: Annotated[
        str, typer.Argument(help="One output by its dotted path, for example kfp.endpoint.")
    ] = "",
) -> None:
    """Print the stack's outputs, the contract that CI reads.

    Example:  slipway outputs local tenants.team-a.pipeline_root
    """
    document = workspace.outputs(stack).model_dump(mode="json")
    if not name:
        console.show_json(document)
        return
    value: object = document
    for part in name.split("."):
        if not isinstance(value, dict) or part not in value:
            known = ", ".join(sorted(value)) if isinstance(value, dict) else "nothing"
            raise UsageError(f"There is no output {name!r}.", why=f"Before {part!r} there is: {known}.")
        value = value[part]
    if isinstance(value, str) and not context.obj["json"]:
        console.out.print(value, markup=False)
    else:
        console.show_json(value)


@app.command()
def env(stack: Annotated[str, typer.Argument()] = "local") -> None:
    """Print shell exports, so that `pulumi`, `kubectl` and `slipway` work on the stack.

    Example:  eval "$(slipway env)" && pulumi up -s local
    """
    opened = ready(stack)
    typer.echo(session.shell_exports(opened.env))
