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
    tests: Annotated[bool, typer.Option("--tests", help="Include tools that only the tests need.")] = False,
    store: Annotated[
        bool, typer.Option("--store", help="Test a store instead: the stack's own, or one at --endpoint.")
    ] = False,
    cluster: Annotated[
        bool,
        typer.Option("--cluster", help="Test the stack's cluster instead: does it limit token lifetime?"),
    ] = False,
    stack: Annotated[
        str | None,
        typer.Option("--stack", "-s", help="Stack whose store or cluster is tested; local by default."),
    ] = None,
    endpoint: Annotated[
        str | None,
        typer.Option(help="URL of any store; its key is in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."),
    ] = None,
    region: Region = "us-east-1",
    bucket: Annotated[
        str | None, typer.Option(help="Use only this bucket; its settings are neither changed nor tested.")
    ] = None,
    administration: Annotated[
        PolicyMechanism, typer.Option(help="How the store limits a key, to test policies.")
    ] = PolicyMechanism.NONE,
    ca: CaFile = None,
) -> None:
    """Show what this machine has, what would be built, and what is missing and how to fix it.

    With --store: test whether Slipway can use an S3 store, and show what it refuses to do there. The
    test creates its own buckets and removes them. With --cluster: request a token valid for a year
    for a tenant's ServiceAccount, discard it, and report whether the cluster limits token lifetime.

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
            raise UsageError(
                "--bucket, --ca and --administration don't apply to a stack's own store.",
                fix="Name another store with --endpoint.",
            )
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
    examination = machine.examine(tests=tests)
    if context.obj["json"]:
        console.show_model(examination)
    else:
        render.doctor(examination)
    if not examination.ready:
        raise FailedError("Something that the local environment needs is missing on this machine.")


def _cluster(context: typer.Context, stack: str) -> None:
    from slipway.operations import tokens, workspace

    lifetime = tokens.examine(workspace.outputs(stack))
    if context.obj["json"]:
        console.show_model(lifetime)
    else:
        hours = "" if lifetime.seconds is None else f"; it would be valid for {lifetime.seconds / 3600:.0f} h"
        console.show_pairs([("stack", lifetime.stack), ("token for a year", lifetime.detail + hours)])
    if lifetime.bounded:
        return
    if not context.obj["json"]:
        console.err.print(
            f"The lifetime of tenants' tokens is not limited. `slipway up {lifetime.stack}` enforces the"
            " policy; or start the API server with --service-account-max-token-expiration=24h.",
            markup=False,
        )
    raise typer.Exit(1)


def _store(context: typer.Context, under_test: "StoreUnderTest") -> None:
    from slipway.operations import store_test

    with console.phase("Testing the store") as report:
        verdict = store_test.test(under_test, report)
    render.store(verdict, as_json=context.obj["json"])
    if not verdict.report.usable:
        # The report is the message: as JSON it must stay the only document.
        raise typer.Exit(1)
