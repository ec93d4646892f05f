"""`slipway data`: check, upload, download, list and delete the data of a tenant's pipelines."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from slipway.cli import console, render
from slipway.cli.options import Drop, Missing, Seed, Stack, Target, Tenant, TestSplit, YesDelete
from slipway.core.report import Report
from slipway.operations import data_files
from slipway.operations.training_job import read_options, split_options
from tabular.schema import TARGET

if TYPE_CHECKING:
    from slipway.operations.tenant_data import Progress

MIB = 1 << 20
LINES = 10
"""Lines of progress without a terminal."""

Prefix = Annotated[str, typer.Option(help="Folder in the tenant's data; all of it by default.")]

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="A tenant's data: check, upload, download, list, delete.\n\nExample:  slipway data check churn.csv",
)


@app.command()
def check(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="CSV or Parquet file.")],
    target: Target = TARGET,
    drop: Drop = None,
    missing: Missing = None,
    test_split: TestSplit = 0.2,
    seed: Seed = 42,
) -> None:
    """Show how a pipeline would read a file, or why it can't; needs no platform.

    Example:  slipway data check churn.csv --target churned --drop customer
    """
    options, split = read_options(target, drop or [], missing), split_options(test_split, seed)
    summary = data_files.inspect(file, options, split)
    if context.obj["json"]:
        console.show_model(summary)
    else:
        render.data(summary)


@app.command()
def upload(
    context: typer.Context,
    source: Annotated[Path, typer.Argument(help="File, or folder with its content.")],
    prefix: Prefix = "",
    tenant: Tenant = "team-a",
    stack: Stack = "local",
) -> None:
    """Upload a file or a folder to the tenant's data; existing files are replaced.

    Example:  slipway data upload measurements --tenant team-a --prefix 2026
    """
    from slipway.operations import tenant_data, workspace

    outputs = workspace.outputs(stack)
    with console.phase("Upload") as report:
        files, size = tenant_data.upload(outputs, tenant, source, prefix, _progress(report))
    _show(files, size, as_json=context.obj["json"])


@app.command()
def download(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="Folder to write to; created if missing.")],
    prefix: Prefix = "",
    tenant: Tenant = "team-a",
    stack: Stack = "local",
) -> None:
    """Download a folder of the tenant's data; existing files are replaced.

    Example:  slipway data download here --tenant team-a --prefix 2026
    """
    from slipway.operations import tenant_data, workspace

    outputs = workspace.outputs(stack)
    with console.phase("Download") as report:
        files, size = tenant_data.download(outputs, tenant, folder, prefix, _progress(report))
    _show(files, size, as_json=context.obj["json"])


@app.command("list")
def list_command(
    context: typer.Context, prefix: Prefix = "", tenant: Tenant = "team-a", stack: Stack = "local"
) -> None:
    """List the files in the tenant's data.

    Example:  slipway data list --tenant team-a
    """
    from slipway.operations import tenant_data, workspace

    rows = sorted(tenant_data.list_files(workspace.outputs(stack), tenant, prefix).items())
    if context.obj["json"]:
        console.show_json([{"path": path, "bytes": size} for path, size in rows])
    else:
        console.show_table(("path", "bytes"), rows)


@app.command()
def delete(
    context: typer.Context,
    path: Annotated[str, typer.Argument(help="File or folder in the tenant's data.")],
    yes: YesDelete = False,
    tenant: Tenant = "team-a",
    stack: Stack = "local",
) -> None:
    """Delete data from which no model version and no candidate of a run was made.

    The store keeps deleted and replaced data for 30 days, as old versions of the objects.

    Example:  slipway data delete 2025 --tenant team-a --yes
    """
    from slipway.operations import tenant_data, workspace

    outputs = workspace.outputs(stack)
    with console.phase("Delete" if yes else "Find what needs it") as report:
        files = tenant_data.delete(outputs, tenant, path, delete=yes, report=report)
    if context.obj["json"]:
        console.show_json({"deleted": yes, "files": files})
        return
    console.show_table(("path", "bytes"), sorted(files.items()))
    console.show_pairs([("deleted" if yes else "would delete", f"{len(files)} files")])


def _progress(report: Report) -> "Progress":
    """Report progress: at each percent on a terminal, ten times elsewhere."""
    steps = 100 if console.err.is_terminal else LINES
    last = 0

    def progress(done: int, total: int) -> None:
        nonlocal last
        step = steps * done // total if total else steps
        if step > last:
            last = step
            report(f"{done / MIB:.1f} of {total / MIB:.1f} MiB")

    return progress


def _show(files: int, size: int, *, as_json: bool) -> None:
    if as_json:
        console.show_json({"files": files, "bytes": size})
    else:
        console.show_pairs([("files", files), ("bytes", size)])
