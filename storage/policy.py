"""S3 policies of a tenant's keys. Pure.

              run prefix            models prefix            data prefix
    runner    read, write, delete   read                     read
    server    -                     read                     -
    editor    read                  read                     read, write, delete
    promoter  read                  read, write              read
    collector -                     read, delete versions    -
                                    and aliases

Promotion reads the data to evaluate a model itself. Deleting or replacing data or an alias keeps the old
version: no tenant's key may delete old versions of them. That is denied explicitly, because MinIO lets a
key that may delete an object also delete its versions.

Promoters and editors may also read the lifecycle rules of the models bucket, and the collector may read
its versioning. Policies name only the tenant's own prefixes. A prefix ends in a slash before the wildcard,
so `team-a/*` never matches `team-ab/…`. Denials for every key are in storage.denials.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from storage import denials
from storage.keys import StoreRole
from storage.layout import Buckets, checked_name, runs_prefix, tenant_prefix

POLICY_PREFIX: Final = "slipway-"
"""Prefix of the name of every policy that Slipway creates in a store."""

_READ: Final = ("s3:GetObject",)
_WRITE: Final = ("s3:AbortMultipartUpload", "s3:ListMultipartUploadParts", "s3:PutObject")
_DELETE: Final = ("s3:DeleteObject",)
_OBJECT_VERSIONS: Final = ("s3:DeleteObjectVersion",)
_DELETE_PERMANENTLY: Final = ("s3:DeleteObject", "s3:DeleteObjectVersion", "s3:GetObjectVersion")
_LIFECYCLE: Final = ("s3:GetLifecycleConfiguration",)
_VERSIONS: Final = "*/versions/"
"""Under a tenant's prefix: the versions of every model."""
_ALIASES: Final = "*/aliases/"
"""Under a tenant's prefix: the aliases of every model. No key may delete its log."""


@dataclass(frozen=True)
class _Grant:
    bucket: str
    prefix: str
    actions: tuple[str, ...]
    listing: tuple[str, ...] = ("s3:ListBucket",)
    about: tuple[str, ...] = ()
    """Actions on the bucket itself; they read its settings, not its keys."""
    denied: tuple[str, ...] = ()


def policy_name(tenant: str, role: StoreRole) -> str:
    """Return the name of the policy in the store; unique per tenant and role."""
    return f"{POLICY_PREFIX}{role}-{checked_name('tenant', tenant)}"


def minio_policy(tenant: str, role: StoreRole, buckets: Buckets) -> dict[str, Any]:
    """Return the MinIO policy document of a tenant's key: grants and denials."""
    granted = policy(tenant, role, buckets)
    return granted | {"Statement": [*granted["Statement"], *denials.in_minio()]}


def policy(tenant: str, role: StoreRole, buckets: Buckets) -> dict[str, Any]:
    """Return the grants of a tenant's key as an S3 policy document.

    Listing is allowed under the granted prefixes, because KServe's storage initializer lists what it
    downloads, but not for the whole bucket, which would reveal every tenant's name.
    """
    statements: list[dict[str, Any]] = []
    for grant in _grants(tenant, role, buckets):
        # Grants in the same bucket can contain the same statement; stores keep it once.
        statements += [each for each in _statements(grant) if each not in statements]
    return {"Version": "2012-10-17", "Statement": statements}


def _statements(grant: _Grant) -> list[dict[str, Any]]:
    bucket = f"arn:aws:s3:::{grant.bucket}"
    objects = [f"{bucket}/{grant.prefix}*"]
    denied = [{"Effect": "Deny", "Action": [*grant.denied], "Resource": objects}] if grant.denied else []
    return [
        {
            "Effect": "Allow",
            "Action": sorted(grant.actions),
            "Resource": objects,
        },
        {
            "Effect": "Allow",
            "Action": [*grant.listing],
            "Resource": [bucket],
            "Condition": {"StringLike": {"s3:prefix": [f"{grant.prefix}*"]}},
        },
        {
            "Effect": "Allow",
            # KServe's storage initializer sends HeadBucket before it lists its prefix.
            "Action": ["s3:GetBucketLocation", "s3:HeadBucket", *grant.about],
            "Resource": [bucket],
        },
        *denied,
    ]


def _grants(tenant: str, role: StoreRole, buckets: Buckets) -> Sequence[_Grant]:
    runs, own = runs_prefix(tenant), tenant_prefix(tenant)
    match role:
        case StoreRole.RUNNER:
            return (
                _Grant(buckets.artifacts, runs, _READ + _WRITE + _DELETE),
                _Grant(buckets.models, own, _READ),
                _Grant(buckets.data, own, _READ),
            )
        case StoreRole.SERVER:
            return (_Grant(buckets.models, own, _READ),)
        case StoreRole.EDITOR:
            return (
                _Grant(buckets.artifacts, runs, _READ),
                _Grant(buckets.models, own, _READ, about=_LIFECYCLE),
                _Grant(buckets.data, own, _READ + _WRITE + _DELETE, denied=_OBJECT_VERSIONS),
            )
        case StoreRole.PROMOTER:
            return (
                _Grant(buckets.artifacts, runs, _READ),
                _Grant(buckets.models, own, _READ + _WRITE, about=_LIFECYCLE),
                _Grant(buckets.data, own, _READ),
            )
        case StoreRole.COLLECTOR:
            return (
                _Grant(
                    buckets.models,
                    own,
                    _READ,
                    listing=("s3:ListBucket", "s3:ListBucketVersions"),
                    about=("s3:GetBucketVersioning",),
                ),
                _Grant(buckets.models, own + _VERSIONS, _DELETE_PERMANENTLY),
                _Grant(buckets.models, own + _ALIASES, _DELETE, denied=_OBJECT_VERSIONS),
            )
