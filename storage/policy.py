"""What each of a tenant's keys may do in the store, as S3 policies. Pure.

              run prefix            models prefix            data prefix
    runner    read, write, delete   read                     read
    server    -                     read                     -
    editor    read                  read                     read, write, delete
    promoter  read                  read, write              read
    collector -                     read, delete versions    -
                                    and aliases

Promotion reads the data to evaluate a model for itself. Deleting data or an alias hides it under a
marker, as replacing it does: nobody of a tenant deletes an old version of it. That is denied, as MinIO
takes leave to delete an object for leave to delete its versions.

Whoever promotes, or checks what is served, may also read the lifecycle of the models bucket, and the
collector whether it keeps old versions. Nothing but the tenant's own prefixes is named. A prefix ends
in a slash before the wildcard, so `team-a/*` never matches `team-ab/…`. What every key is denied is in
storage.denials.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from storage import denials
from storage.keys import StoreRole
from storage.layout import Buckets, checked_name, runs_prefix, tenant_prefix

MADE_BY_US: Final = "slipway-"
"""Every policy that Slipway puts into a store starts with this."""

_READ: Final = ("s3:GetObject",)
_WRITE: Final = ("s3:AbortMultipartUpload", "s3:ListMultipartUploadParts", "s3:PutObject")
_DELETE: Final = ("s3:DeleteObject",)
_VERSIONS_OF_OBJECTS: Final = ("s3:DeleteObjectVersion",)
_DELETE_FOR_GOOD: Final = ("s3:DeleteObject", "s3:DeleteObjectVersion", "s3:GetObjectVersion")
_WHAT_EXPIRES: Final = ("s3:GetLifecycleConfiguration",)
_VERSIONS: Final = "*/versions/"
"""Below a tenant's prefix: the versions of any model."""
_ALIASES: Final = "*/aliases/"
"""Below a tenant's prefix: the aliases of any model. Nobody deletes its log."""


@dataclass(frozen=True)
class _Grant:
    bucket: str
    prefix: str
    actions: tuple[str, ...]
    listing: tuple[str, ...] = ("s3:ListBucket",)
    about: tuple[str, ...] = ()
    """Actions on the bucket as a whole; they tell how it is set up and no key in it."""
    denied: tuple[str, ...] = ()


def policy_name(tenant: str, role: StoreRole) -> str:
    """Return the name of the policy in the store; two tenants never share one."""
    return f"{MADE_BY_US}{role}-{checked_name('tenant', tenant)}"


def minio_policy(tenant: str, role: StoreRole, buckets: Buckets) -> dict[str, Any]:
    """Return the policy document of a tenant's key in a MinIO: what it is granted, and what it is denied."""
    granted = policy(tenant, role, buckets)
    return granted | {"Statement": [*granted["Statement"], *denials.in_minio()]}


def policy(tenant: str, role: StoreRole, buckets: Buckets) -> dict[str, Any]:
    """Return what a tenant's key is granted, as an S3 policy document.

    Listing is allowed below the granted prefixes only, because KServe's storage initializer lists
    what it downloads, and a listing of the whole bucket would name every tenant.
    """
    statements: list[dict[str, Any]] = []
    for grant in _grants(tenant, role, buckets):
        # Two grants in one bucket share a statement: a store keeps it once.
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
            # KServe's storage initializer asks for the bucket itself before it lists its prefix.
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
                _Grant(buckets.models, own, _READ, about=_WHAT_EXPIRES),
                _Grant(buckets.data, own, _READ + _WRITE + _DELETE, denied=_VERSIONS_OF_OBJECTS),
            )
        case StoreRole.PROMOTER:
            return (
                _Grant(buckets.artifacts, runs, _READ),
                _Grant(buckets.models, own, _READ + _WRITE, about=_WHAT_EXPIRES),
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
                _Grant(buckets.models, own + _VERSIONS, _DELETE_FOR_GOOD),
                _Grant(buckets.models, own + _ALIASES, _DELETE, denied=_VERSIONS_OF_OBJECTS),
            )
