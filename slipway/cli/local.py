"""`slipway local`: the embedded Kubernetes of this checkout."""

from typing import TYPE_CHECKING, Annotated

import typer

from slipway.cli import console
from slipway.cli.options import Yes

if TYPE_CHECKING:
    from slipway.operations.local_cluster import ClusterStatus

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="The embedded Kubernetes: start, stop, status, logs, delete.\n\nExample:  slipway local status",
)


@app.command()
def start(context: typer.Context) -> None:
    """Start the cluster with its existing data.

    Example:  slipway local start
    """
    from slipway.operations import local_cluster

    with console.phase("Starting Kubernetes") as report:
        current = local_cluster.start(report)
    _show(current, as_json=context.obj["json"])


@app.command()
def stop() -> None:
    """Stop the cluster; its data stays for the next start.

    Example:  slipway local stop
    """
    from slipway.operations import local_cluster

    with console.phase("Stopping Kubernetes") as report:
        local_cluster.stop(report)


@app.command()
def status(context: typer.Context) -> None:
    """Show the cluster's processes, memory and addresses.

    Example:  slipway local status --json
    """
    from slipway.operations import local_cluster

    _show(local_cluster.status(), as_json=context.obj["json"])


def _show(current: "ClusterStatus", *, as_json: bool) -> None:
    if as_json:
        console.show_model(current)
        return
    console.show_pairs(
        [
            ("instance", current.name),
            ("state", current.state),
            (
                "memory",
                f"{current.memory / 2**20:.0f} MiB, of it {current.pods_memory / 2**20:.0f} MiB in pods",
            ),
        ]
    )
    if current.processes:
        console.show_table(
            ("process", "pid", "up for", "restarts", "memory"),
            [
                (p.name, p.pid or "-", f"{p.uptime:.0f} s", p.restarts, f"{p.rss / 2**20:.0f} MiB")
                for p in current.processes
            ],
        )


@app.command()
def logs(
    process: Annotated[str, typer.Argument(help="Process, for example kubelet.")],
    lines: Annotated[int, typer.Option("--lines", "-n", help="Number of lines.")] = 100,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Follow the log.")] = False,
) -> None:
    """Print the last lines of the log of one of the cluster's processes.

    Example:  slipway local logs kube-apiserver -n 50
    """
    from slipway.operations import local_cluster

    for line in local_cluster.log(process, lines=lines, follow=follow):
        console.out.print(line, markup=False)


@app.command()
def delete(
    yes: Yes = False,
) -> None:
    """Delete the cluster, its data and the local stack's state.

    Example:  slipway local delete --yes
    """
    from slipway.operations import local_cluster

    if not yes:
        typer.confirm(f"Delete {local_cluster.name()} with all its data?", abort=True)
    with console.phase("Deleting the local platform") as report:
        cache = local_cluster.delete(report)
    console.err.print(f"Left in place: the tool cache {cache}", markup=False)
