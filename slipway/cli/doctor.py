"""`slipway doctor`: whether a machine, a store or a cluster is fit for Slipway."""

from typing import TYPE_CHECKING, Annotated

import typer

from slipway.cli import console, render
from slipway.cli.options import CaFile, Region
from slipway.core.errors import FailedError, UsageError
from slipway.operations.choices import PolicyMechanism

if TYPE_CHECKING:
    from slipway.operations.store_test import StoreUnderTest

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.command()
def doctor(
    context: typer.Context,
    fix: Annotated[
        bool, typer.Option("--fix", help="First install the packages and build the tools that are missing.")
    ] = False,
    tests: Annotated[
        bool, typer.Option("--tests", help="Speak also of the tools that only the tests need.")
    ] = False,
    store: Annotated[
        bool, typer.Option("--store", help="Test a store instead: the stack's own, or any by --endpoint.")
    ] = False,
    cluster: Annotated[
        bool, typer.Option("--cluster", help="Test the stack's cluster instead: how long tokens live there.")
    ] = False,
    stack: Annotated[
        str | None, typer.Option("--stack", "-s", help="Whose store or cluster; local by default.")
    ] = None,
    endpoint: Annotated[
        str | None,
        typer.Option(help="URL of any store; its key is in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."),
    ] = None,
    region: Region = "us-east-1",
    bucket: Annotated[
        str | None, typer.Option(help="Stay in this bucket; its settings are not changed nor tested.")
    ] = None,
    administration: Annotated[
        PolicyMechanism, typer.Option(help="How a key is limited there, to test policies.")
    ] = PolicyMechanism.NONE,
    ca: CaFile = None,
) -> None:
    """Say what this machine has, what would be built, and what is missing and how to fix it.

    With --store: test whether Slipway can use an S3 store, and say what it refuses to do there. The
    test works in buckets of its own and removes them. With --cluster: ask for a token of a year for
    a tenant's account, throw it away, and say whether the cluster bounds how long such tokens live.

    Example:  slipway doctor --store --endpoint https://s3.example.com:9000 --region us-east-1
    """
    elsewhere = (endpoint, bucket, ca)
    if cluster:
        if store or fix or tests or any(elsewhere) or administration is not PolicyMechanism.NONE:
            raise UsageError("--cluster tests the cluster of a stack, and takes --stack alone.")
        _cluster(context, stack or "local")
        return
    if not store:
        if stack or any(elsewhere) or administration is not PolicyMechanism.NONE:
            raise UsageError("There is no store to test.", fix="Add --store.")
        _machine(context, fix=fix, tests=tests)
        return
    if fix or tests:
        raise UsageError("--store tests a store, --fix and --tests are about this machine.")
    from slipway.operations import store_test, workspace

    if endpoint is None:
        if any(elsewhere) or administration is not PolicyMechanism.NONE:
            raise UsageError("A stack's own store needs no more words.", fix="Name another by --endpoint.")
        under_test = store_test.of_stack(workspace.outputs(stack or "local"))
    else:
        if stack:
            raise UsageError("A store is a stack's own or at an endpoint, not both.")
        under_test = store_test.at(endpoint, region=region, bucket=bucket, mechanism=administration, ca=ca)
    _store(context, under_test)


def _machine(context: typer.Context, *, fix: bool, tests: bool) -> None:
    from slipway.operations import machine

    if fix:
        with console.phase("Preparing the tools") as report:
            machine.prepare(report, tests=tests)
    found = machine.examine(tests=tests)
    if context.obj["json"]:
        console.show_model(found)
    else:
        render.doctor(found)
    if not found.ready:
        raise FailedError("This machine lacks something that the local environment needs.")


def _cluster(context: typer.Context, stack: str) -> None:
    from slipway.operations import tokens, workspace

    found = tokens.examine(workspace.outputs(stack))
    if context.obj["json"]:
        console.show_model(found)
    else:
        lives = "" if found.seconds is None else f"; it would live {found.seconds / 3600:.0f} h"
        console.show_pairs([("stack", found.stack), ("a token of a year", found.detail + lives)])
    if found.bounded:
        return
    if not context.obj["json"]:
        console.err.print(
            f"Tokens of the tenants are not bounded. `slipway up {found.stack}` puts the policy in force; or"
            " start the API server with --service-account-max-token-expiration=24h.",
            markup=False,
        )
    raise typer.Exit(1)


def _store(context: typer.Context, under_test: "StoreUnderTest") -> None:
    from slipway.operations import store_test

    with console.phase("Testing the store") as report:
        found = store_test.test(under_test, report)
    render.store(found, as_json=context.obj["json"])
    if not found.report.usable:
        # The report is the message: as JSON it must stay the only document.
        raise typer.Exit(1)
