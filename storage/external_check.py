"""Refuses an external store that does not have what Slipway needs, before anything relies on it. A Job.

S3_ENDPOINT, S3_REGION, S3_PATH_STYLE         where the store answers, and how
MINIO_ROOT_USER, MINIO_ROOT_PASSWORD          an administrator's key; fewer checks are possible without one
/etc/slipway/desired.json                     buckets and tenants (storage.desired_state.DesiredState)
/etc/slipway-keys/keys.json                   each tenant's keys, by tenant and role
/etc/slipway-ca/ca.crt                        the CA certificate of the store, if it has its own CA
"""

import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final, TextIO

from botocore.exceptions import BotoCoreError, ClientError
from pydantic import SecretStr

from slipway.core.errors import FailedError, SlipwayError, UsageError
from slipway.core.report import Report
from storage import conformance
from storage.client import StoreAccess, open_store, translated_errors
from storage.conformance import conditional, listing, transfer
from storage.conformance.checking import Check
from storage.conformance.context import Context
from storage.conformance.requirements import NEEDS
from storage.conformance.result import Capability, CapabilityResult, CheckOutcome, CheckResult, Need
from storage.desired_state import CA, DESIRED, KEYS, DesiredState, read_desired
from storage.key_check import permission_errors
from storage.keys import StoreKey, StoreRole
from storage.layout import Buckets, runs_prefix
from storage.operator_keys import OperatorKeys, read_tenants

_WITH_ADMINISTRATOR: Final = (
    Capability.POLICY,
    Capability.FIXED_KEYS,
    Capability.VERSIONING,
    Capability.LIFECYCLE,
)
"""Elsewhere only partly needed; here each tenant, old data and old runs depend on it."""


def check(
    access: StoreAccess,
    desired: DesiredState,
    keys: OperatorKeys,
    report: Report,
) -> None:
    """Test the store, and then each tenant's keys.

    Args:
        access: The store, with its administrator's key if there is one.
        desired: Buckets and tenants.
        keys: The keys of every tenant.
        report: Receives each check before it runs.

    Raises:
        FailedError: Something is missing, or a key has permissions other than it should.
    """
    buckets = desired.named_buckets()
    tenants = [tenant.name for tenant in desired.tenants]
    missing = [*_missing_by_administrator(access, report)] if access.key else []
    if not access.key and tenants:
        own = replace(access, key=keys.of(tenants[0], StoreRole.RUNNER))
        missing += _missing_by_runner(own, buckets, tenants[0], report)
    if missing:
        raise FailedError(
            f"The store at {access.endpoint} does not have what Slipway needs.",
            why=" ".join(missing),
            fix="Use another store, or fix this one; `slipway doctor --store` tests it alone.",
        )
    report("each tenant's keys: what is granted works, everything else is denied")
    wrong = [*permission_errors(access, buckets, tenants, keys.keys)]
    if wrong:
        raise FailedError(
            f"The store at {access.endpoint} does not limit tenants' keys to their permissions.",
            why=" ".join(wrong),
            fix="Give each key the policy that docs/stores.md describes.",
        )


def _missing_by_administrator(access: StoreAccess, report: Report) -> Iterator[str]:
    administration = conformance.MinioAdministration(access)
    tested = conformance.run(access, administration=administration, report=report)
    for result in tested.capabilities:
        needed = result.need is Need.ALWAYS or result.capability in _WITH_ADMINISTRATOR
        if needed and result.outcome is not CheckOutcome.PASSED:
            yield _sentence(result)


def _missing_by_runner(access: StoreAccess, buckets: Buckets, tenant: str, report: Report) -> Iterator[str]:
    """Test with the key of one tenant's runs, below a prefix of its own among them."""
    context = Context.make(access, open_store, conformance.NoAdministration(), buckets.artifacts)
    context = replace(context, prefix=f"{runs_prefix(tenant)}{context.prefix}")
    try:
        for each in _within_a_prefix():
            report(f"{each.capability}: {each.holds}")
            result = each.run(context)
            if result.outcome is not CheckOutcome.PASSED:
                yield _sentence(result)
    finally:
        _empty(context, report)
        context.client.close()


def _within_a_prefix() -> list[Check]:
    return [
        each
        for each in (*conditional.CHECKS, *transfer.CHECKS, *listing.CHECKS)
        if NEEDS[each.capability].need is Need.ALWAYS
    ]


def _empty(context: Context, report: Report) -> None:
    try:
        pages = context.client.get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=context.bucket, Prefix=context.prefix):
            for entry in page.get("Contents", ()):
                context.client.delete_object(Bucket=context.bucket, Key=entry["Key"])
    except (ClientError, BotoCoreError) as error:
        report(f"left behind: {context.bucket}/{context.prefix} ({type(error).__name__})")


def _sentence(result: CapabilityResult | CheckResult) -> str:
    answer = f"{result.code}: {result.message}" if result.code else result.message
    return f"{result.capability} ({result.outcome}): {NEEDS[result.capability].why} [{answer}]."


def main(
    environ: Mapping[str, str] = os.environ,
    *,
    desired: Path = DESIRED,
    keys: Path = KEYS,
    ca: Path = CA,
    out: TextIO | None = None,
) -> int:
    """Check once and return the exit code."""
    stream = out or sys.stdout

    def report(line: str) -> None:
        stream.write(f"{line}\n")
        stream.flush()

    try:
        wanted = read_desired(desired)
        tenant_keys = read_tenants(_read(keys), keys.name, [tenant.name for tenant in wanted.tenants])
        with translated_errors("test the store"):
            check(_access(environ, ca), wanted, tenant_keys, report)
    except SlipwayError as error:
        report(f"error: {error}")
        return error.exit_code
    report("the store does what Slipway needs")
    return 0


def _access(environ: Mapping[str, str], ca: Path) -> StoreAccess:
    if not environ.get("S3_ENDPOINT"):
        raise UsageError("S3_ENDPOINT is not set.", why="The Job must set it.")
    user, password = environ.get("MINIO_ROOT_USER"), environ.get("MINIO_ROOT_PASSWORD")
    return StoreAccess(
        endpoint=environ["S3_ENDPOINT"],
        region=environ.get("S3_REGION", "us-east-1"),
        key=StoreKey(access_key=user, secret_key=SecretStr(password)) if user and password else None,
        ca=ca.read_text() if ca.is_file() else None,
        path_style=environ.get("S3_PATH_STYLE", "true") == "true",
    )


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError as error:
        raise UsageError(f"There is no {path}.", fix="Mount the Secret of the tenants' keys.") from error


if __name__ == "__main__":
    raise SystemExit(main())
