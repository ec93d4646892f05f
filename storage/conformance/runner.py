"""Runs every check against one store and brings the answer together."""

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
    """Test a store, in buckets made for that or below a prefix made for that, and clean up.

    Args:
        access: The store, and a key that may make buckets, or do all below the prefix.
        bucket: An existing bucket to stay in; its settings are not changed, so some checks can't be made.
        administration: Who limits a key to a prefix; without one, policies are not tested.
        report: Told each check before it is made.
        opens: What opens clients.
        checks: What to check.

    Raises:
        UsageError: The endpoint is no URL, or one that holds a key.
        FailedError: The store doesn't answer, or refuses the key.
    """
    check_endpoint(access.endpoint)
    context = Context.make(access, opens, administration or NoAdministration(), bucket)
    if bucket is None:
        with translated_errors(f"make bucket {context.bucket} for the test"):
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
    found = tuple(results)
    return StoreReport(
        endpoint=access.endpoint,
        region=access.region,
        administration=context.administration.name,
        checks=found,
        left_behind=left,
        capabilities=capabilities(found),
    )


def check_endpoint(endpoint: str | None) -> None:
    """Refuse what is no URL of a store, and one that holds a key; None is AWS itself.

    Raises:
        UsageError: It is one of these.
    """
    if endpoint is None:
        return
    try:
        parts = urlsplit(endpoint)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        good = False
    if not good:
        raise UsageError("The endpoint is no URL of a store.", fix="Give one such as https://host:9000.")
    if parts.username or parts.password:
        raise UsageError(
            "The endpoint's URL holds a key.",
            why="It would be shown wherever the endpoint is.",
            fix="Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY instead.",
        )
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise UsageError(
            "The endpoint's URL holds more than scheme, host and port.", fix="Name a bucket by --bucket."
        )
