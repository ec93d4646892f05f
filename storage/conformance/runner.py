"""Runs the checks against a store and builds the report."""

from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from slipway.core.errors import UsageError
from slipway.core.report import Report, silent
from storage.client import StoreAccess, open_store, translated_errors
from storage.conformance import bucket_settings, conditional, identity, listing, transfer
from storage.conformance.administration import Administration, NoAdministration
from storage.conformance.checking import Check
from storage.conformance.cleanup import clean
from storage.conformance.context import Context, Opens
from storage.conformance.requirements import capabilities
from storage.conformance.result import CheckResult, StoreReport

CHECKS: Final[tuple[Check, ...]] = (
    *conditional.CHECKS,
    *transfer.CHECKS,
    *listing.CHECKS,
    *identity.CHECKS,
    *bucket_settings.CHECKS,
)


def run(
    access: StoreAccess,
    *,
    bucket: str | None = None,
    administration: Administration | None = None,
    report: Report = silent,
    opens: Opens = open_store,
    checks: Sequence[Check] = CHECKS,
) -> StoreReport:
    """Test a store in temporary buckets or under a temporary prefix, and clean up.

    Args:
        access: The store, and a key that may create buckets, or has all permissions under the prefix.
        bucket: An existing bucket to test in; its settings are not changed, so some checks can't run.
        administration: Limits a key to a prefix; without it, policies are not tested.
        report: Receives the name of each check before it runs.
        opens: Opens clients.
        checks: The checks to run.

    Raises:
        UsageError: The endpoint is not a valid URL, or contains a key.
        FailedError: The store doesn't answer, or rejects the key.
    """
    check_endpoint(access.endpoint)
    context = Context.make(access, opens, administration or NoAdministration(), bucket)
    if bucket is None:
        with translated_errors(f"create bucket {context.bucket} for the test"):
            context.make_bucket(context.bucket)
    results: list[CheckResult] = []
    try:
        with translated_errors(f"write to bucket {context.bucket}"):
            context.put("begin")
        for check in checks:
            report(f"{check.capability}: {check.holds}")
            results.append(check.run(context))
    finally:
        left = clean(context)
        for what in left:
            report(f"left behind: {what}")
        context.client.close()
    checked = tuple(results)
    return StoreReport(
        endpoint=access.endpoint,
        region=access.region,
        administration=context.administration.name,
        checks=checked,
        left_behind=left,
        capabilities=capabilities(checked),
    )


def check_endpoint(endpoint: str | None) -> None:
    """Check the URL of an endpoint; None means AWS.

    Raises:
        UsageError: It is not scheme, host and port of a store, or contains a key.
    """
    if endpoint is None:
        return
    try:
        parts = urlsplit(endpoint)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        valid = False
    if not valid:
        raise UsageError("The endpoint is not a valid URL.", fix="Use a URL such as https://host:9000.")
    if parts.username or parts.password:
        raise UsageError(
            "The endpoint's URL contains a key.",
            why="It would be shown with the endpoint.",
            fix="Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY instead.",
        )
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise UsageError(
            "The endpoint's URL contains more than scheme, host and port.",
            fix="Set the bucket with --bucket.",
        )
