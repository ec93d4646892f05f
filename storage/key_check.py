"""Checks that a store enforces the permissions of tenants' keys: grants work, all else is denied.

No object is written: a write with If-Match and an ETag that no object has is denied if the key may not
write, and otherwise fails its precondition.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from botocore.exceptions import BotoCoreError, ClientError

from storage.causes import Cause, cause_of, explain
from storage.client import StoreAccess, error_code, open_store
from storage.keys import StoreKey, StoreRole
from storage.layout import Buckets, runs_prefix, tenant_prefix
from storage.policy import policy
from storage.self_service import Answer, attempts

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_UNKNOWN_TENANT: Final = "slipway-nobody"
"""A tenant that can't exist: names that begin with `slipway-` are reserved."""

_PROBE: Final = "slipway-key-check"
_NEVER: Final = '"00000000000000000000000000000000"'
_DENIED: Final = frozenset({"AccessDenied", "403"})
_ALLOWED: Final = frozenset({"", "PreconditionFailed", "412", "NoSuchKey", "404"})


def permission_errors(
    access: StoreAccess,
    buckets: Buckets,
    tenants: Sequence[str],
    keys: Mapping[tuple[str, StoreRole], StoreKey],
) -> Iterator[str]:
    """Yield a sentence for each request of a tenant's key that is allowed but must not be, or vice versa."""
    for tenant in tenants:
        for role in StoreRole:
            own = replace(access, key=keys[tenant, role])
            client = open_store(own)
            try:
                for what, may, request in _requests(client, buckets, tenants, tenant, role):
                    code = _code(request)
                    if code not in (_ALLOWED if may else _DENIED):
                        expected = "must be allowed" if may else "must be denied"
                        yield f"{tenant}.{role}: {what} {expected}, but is {_result(code)}."
            finally:
                client.close()
            for each in attempts(own, _any_permitted_request(tenant, role, buckets)):
                if each.answer in (Answer.GRANTED, Answer.UNCLEAR):
                    code = f" with {each.code}" if each.code else ""
                    yield f"{tenant}.{role}: the key {each.what}, which must be denied: {each.answer}{code}."


def _any_permitted_request(tenant: str, role: StoreRole, buckets: Buckets) -> Callable[["S3Client"], object]:
    """Return a request that the role is permitted to make."""
    bucket = min(_prefixes(tenant, role, buckets, "s3:GetObject"))
    prefix = _own_prefix(tenant, bucket, buckets)
    return lambda client: _listing(client, bucket, prefix)()


def _own_prefix(tenant: str, bucket: str, buckets: Buckets) -> str:
    return runs_prefix(tenant) if bucket == buckets.artifacts else tenant_prefix(tenant)


_Request = tuple[str, bool, Callable[[], object]]


def _requests(
    client: "S3Client", buckets: Buckets, tenants: Sequence[str], tenant: str, role: StoreRole
) -> Iterator[_Request]:
    others = [tenant_prefix(each) for each in tenants if each != tenant] or [f"{_UNKNOWN_TENANT}/"]
    writes = _prefixes(tenant, role, buckets, "s3:PutObject")
    reads = _prefixes(tenant, role, buckets, "s3:GetObject")
    for bucket in (buckets.artifacts, buckets.models, buckets.data):
        own = _own_prefix(tenant, bucket, buckets)
        for prefix in (own, *others, ""):
            mine, where = prefix == own, f"{bucket}/{prefix}"
            may_read, may_write = mine and bucket in reads, mine and bucket in writes
            yield f"to list {where}", may_read, _listing(client, bucket, prefix)
            if prefix:
                key = f"{prefix}{_PROBE}"
                yield f"to read in {where}", may_read, _reading(client, bucket, key)
                yield f"to write in {where}", may_write, _writing(client, bucket, key)


def _prefixes(tenant: str, role: StoreRole, buckets: Buckets, action: str) -> set[str]:
    """Return the buckets in which the role may perform the action on its tenant's objects."""
    granted = [each for each in policy(tenant, role, buckets)["Statement"] if action in each["Action"]]
    return {arn.partition(":::")[2].partition("/")[0] for each in granted for arn in each["Resource"]}


def _listing(client: "S3Client", bucket: str, prefix: str) -> Callable[[], object]:
    return lambda: client.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1)


def _reading(client: "S3Client", bucket: str, key: str) -> Callable[[], object]:
    return lambda: client.get_object(Bucket=bucket, Key=key)


def _writing(client: "S3Client", bucket: str, key: str) -> Callable[[], object]:
    return lambda: client.put_object(Bucket=bucket, Key=key, Body=b"", IfMatch=_NEVER)


def _code(request: Callable[[], object]) -> str:
    try:
        request()
    except ClientError as error:
        return error_code(error)
    except BotoCoreError as error:
        return type(error).__name__
    return ""


def _result(code: str) -> str:
    if code in _ALLOWED:
        return "allowed"
    if code in _DENIED:
        return "denied"
    cause = cause_of(code)
    return f"answered with {code}" + (f": {explain(cause).summary}" if cause is not Cause.OTHER else "")
