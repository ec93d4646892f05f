"""The commands that work on a whole stack, from `init` to `env`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from slipway.cli import console, render
from slipway.cli.images import CaFile, PasswordStdin, Username, connection
from slipway.cli.options import StackName, Yes

if TYPE_CHECKING:
    from slipway.operations.stack import Summary

Refresh = Annotated[
    bool,
    typer.Option("--refresh", help="Read every object first, and restore those deleted or changed by hand."),
]


app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


def _show_changes(context: typer.Context, summary: "Summary") -> None:
    if context.obj["json"]:
        console.show_json({"changes": dict(summary.changes), "seconds": round(summary.seconds, 1)})
        return
    changes = ", ".join(f"{count} {operation}" for operation, count in sorted(summary.changes.items()))
    console.out.print(f"{changes or 'nothing'} in {summary.seconds:.1f} s", markup=False)


@app.command()
def init(
    context: typer.Context,
    stack: StackName,
    environment: Annotated[
        str | None, typer.Option(help="Kind of environment; the stack's own name by default.")
    ] = None,
    cluster: Annotated[
        str | None, typer.Option("--context", help="Context of the cluster in the kubeconfig.")
    ] = None,
    kubeconfig: Annotated[
        Path | None, typer.Option(help="Kubeconfig; kubectl's default if not given.")
    ] = None,
    storage_class: Annotated[
        str | None, typer.Option(help="StorageClass of the volumes; the cluster's default if not given.")
    ] = None,
    registry: Annotated[
        str | None,
        typer.Option(help="Registry with a path, to which `slipway images push` pushed the images."),
    ] = None,
    username: Username = None,
    password_stdin: PasswordStdin = False,
    ca_file: CaFile = None,
) -> None:
    """Create a stack: its settings file from a template in stacks/, and its secret.

    With --context and --registry, everything that they say is written into the settings: the StorageClass,
    the images by digest, free ports for the endpoints; and the login for nodes as a secret. Both can be
    given again later, for example after the images were pushed once more.

    Example:  slipway init dev --context team --registry registry.example.org/slipway
    """
    from oci.references import parse_place
    from slipway.operations import stack as stacks

    answers = stacks.Answers(
        context=cluster,
        kubeconfig=kubeconfig,
        storage_class=storage_class,
        registry=parse_place(registry) if registry else None,
        connection=connection(username, password_stdin, ca_file),
    )
    done = stacks.init(stack, environment, answers, console.phase)
    if context.obj["json"]:
        console.show_json({"file": done.file, "settings": dict(done.found), "missing": list(done.left)})
        return
    console.out.print(f"{done.file} holds the settings of stack {stack}.", markup=False)
    for name, value in done.found.items():
        console.out.print(f"  {name}: {value}", markup=False)
    if done.left:
        console.out.print(f"Still to fill in: {', '.join(done.left)}.", markup=False)


@app.command()
def up(context: typer.Context, stack: StackName, refresh: Refresh = False) -> None:
    """Deploy the platform as the settings describe it; the same as `pulumi up -s STACK`.

    Example:  slipway up local --refresh
    """
    from slipway.operations import stack as stacks

    _show_changes(context, stacks.up(stack, console.phase, refresh=refresh))


@app.command()
def preview(context: typer.Context, stack: StackName, refresh: Refresh = False) -> None:
    """Show what `up` would change. Nothing is changed, and nothing is built.

    Example:  slipway preview local
    """
    from slipway.operations import stack as stacks

    _show_changes(context, stacks.preview(stack, console.phase, refresh=refresh))


@app.command()
def destroy(context: typer.Context, stack: StackName, yes: Yes = False) -> None:
    """Delete everything that `up` created, including data.

    Example:  slipway destroy local --yes
    """
    if not yes:
        typer.confirm(f"Destroy stack {stack} with all its data?", abort=True)
    from slipway.operations import stack as stacks

    _show_changes(context, stacks.destroy(stack))


@app.command()
def status(context: typer.Context, stack: Annotated[str, typer.Argument()] = "local") -> None:
    """Show what runs, its endpoints, and which plugins are in use.

    Example:  slipway status
    """
    from slipway.operations import status as statuses

    render.status(statuses.read(stack), as_json=context.obj["json"])


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
    from slipway.operations import stack as stacks

    value = stacks.output(stack, name)
    if isinstance(value, str) and not context.obj["json"]:
        console.out.print(value, markup=False)
    else:
        console.show_json(value)


@app.command()
def env(stack: Annotated[str, typer.Argument()] = "local") -> None:
    """Print shell exports, so that `pulumi`, `kubectl` and `slipway` work on the stack.

    Example:  eval "$(slipway env)" && pulumi up -s local
    """
    from slipway.operations import stack as stacks

    typer.echo(stacks.shell_exports(stack, console.phase))
