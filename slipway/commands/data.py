"""`slipway data`: what a tenant's pipelines read, up and down."""

from pathlib import Path
from typing import Annotated

import typer

from serving import access
from slipway import console, workspace
from slipway.commands.options import Stack, Tenant
from storage.report import Report
from storage.tenant_data import TenantData
from storage.transfer.pool import Progress

MIB = 1 << 20
LINES = 10
"""Lines of progress where there is no terminal."""

Prefix = Annotated[str, typer.Option(help="Folder in the tenant's data; all of it if not given.")]

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="A tenant's data: upload, download, list.\n\nExample:  slipway data list --tenant team-a",
)


@app.command()
def upload(
    context: typer.Context,
    source: Annotated[Path, typer.Argument(help="File, or folder with all that is in it.")],
    prefix: Prefix = "",
    tenant: Tenant = "team-a",
    stack: Stack = "local",
) -> None:
    """Upload a file or a folder to the tenant's data; files of the same names are replaced.

    Example:  slipway data upload measurements --tenant team-a --prefix 2026
    """
    data = _data(stack, tenant)
    with console.phase("Upload") as report:
        files, size = data.upload(source, prefix, _progress(report))
    _show(files, size, as_json=context.obj["json"])


@app.command()
def download(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="Folder to write to; it is made.")],
    prefix: Prefix = "",
    tenant: Tenant = "team-a",
    stack: Stack = "local",
) -> None:
    """Download a folder of the tenant's data; files of the same names are replaced.

    Example:  slipway data download here --tenant team-a --prefix 2026
    """
    data = _data(stack, tenant)
    with console.phase("Download") as report:
        files, size = data.download(folder, prefix, _progress(report))
    _show(files, size, as_json=context.obj["json"])


@app.command("list")
def list_command(
    context: typer.Context, prefix: Prefix = "", tenant: Tenant = "team-a", stack: Stack = "local"
) -> None:
    """List the files in the tenant's data.

    Example:  slipway data list --tenant team-a
    """
    rows = sorted(_data(stack, tenant).list_files(prefix).items())
    if context.obj["json"]:
        console.show_json([{"path": path, "bytes": size} for path, size in rows])
    else:
        console.show_table(("path", "bytes"), rows)


def _data(stack: str, tenant: str) -> TenantData:
    outputs = workspace.outputs(stack)
    return TenantData(access.store_access(outputs, tenant, "editor"), outputs.store.data_bucket, tenant)


def _progress(report: Report) -> Progress:
    """Say how far it is: at each percent on a terminal, ten times elsewhere."""
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
