"""`slipway doctor`: whether this machine is fit for a platform, and a store for Slipway."""

from typing import Annotated

import typer

from embedded import toolchain
from slipway import console, render, store_test, workspace
from slipway.commands.options import CaFile, Region
from slipway.store_test import Means
from storage.conformance import requirements
from storage.errors import FailedError, UsageError

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
    store: Annotated[
        bool, typer.Option("--store", help="Test a store instead: the stack's own, or any by --endpoint.")
    ] = False,
    stack: Annotated[str | None, typer.Option("--stack", "-s", help="Whose store; local by default.")] = None,
    endpoint: Annotated[
        str | None,
        typer.Option(help="URL of any store; its key is in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."),
    ] = None,
    region: Region = "us-east-1",
    bucket: Annotated[
        str | None, typer.Option(help="Stay in this bucket; its settings are not changed nor tested.")
    ] = None,
    administration: Annotated[
        Means, typer.Option(help="How a key is limited there, to test policies.")
    ] = Means.NONE,
    ca: CaFile = None,
) -> None:
    """Say what this machine has, what would be built, and what is missing with the way to mend it.

    With --store: test whether Slipway can use an S3 store, and say what it refuses to do there. The
    test works in buckets of its own and removes them.

    Example:  slipway doctor --store --endpoint https://s3.example.com:9000 --region us-east-1
    """
    elsewhere = (endpoint, bucket, ca)
    if not store:
        if stack or any(elsewhere) or administration is not Means.NONE:
            raise UsageError("There is no store to test.", fix="Add --store.")
        _machine(context, mend=mend, tests=tests)
        return
    if mend or tests:
        raise UsageError("--store tests a store, --mend and --tests are about this machine.")
    if endpoint is None:
        if any(elsewhere) or administration is not Means.NONE:
            raise UsageError("A stack's own store needs no more words.", fix="Name another by --endpoint.")
        under_test = store_test.of_stack(workspace.outputs(stack or "local"))
    else:
        if stack:
            raise UsageError("A store is a stack's own or at an endpoint, not both.")
        under_test = store_test.at(endpoint, region=region, bucket=bucket, means=administration, ca=ca)
    _store(context, under_test)


def _machine(context: typer.Context, *, mend: bool, tests: bool) -> None:
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


def _store(context: typer.Context, under_test: store_test.StoreUnderTest) -> None:
    with console.phase("Testing the store") as report:
        found = under_test.run(report)
    render.store(found, requirements(found), as_json=context.obj["json"])
    if not found.usable:
        # The report is the message: as JSON it must stay the only document.
        raise typer.Exit(1)
