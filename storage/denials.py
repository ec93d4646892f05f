"""Denials in the policy of every key that Slipway creates. Pure.

By default a MinIO user may change its own secret, create access keys, and read its own entry in the admin
API; only an explicit denial prevents that. MinIO's STS API issues a token to every user regardless of
policies, so tokens are denied everything instead. A role on AWS has none of these permissions; the denial
also applies if another policy is attached to the role.
"""

import copy
from typing import Any, Final

Statement = dict[str, Any]

_DERIVED: Final = "AssumedRole"
"""Principal type of a token (MinIO and AWS) or of an access key that a user created (MinIO)."""

_MINIO: Final[tuple[Statement, ...]] = (
    # MinIO requires separate statements for admin, KMS and STS actions, and does not support `sts:*`.
    {"Effect": "Deny", "Action": ["admin:*"]},
    {"Effect": "Deny", "Action": ["kms:*"]},
    {"Effect": "Deny", "Action": ["sts:AssumeRoleWithWebIdentity"]},
    {
        "Effect": "Deny",
        "Action": ["s3:*"],
        "Resource": ["arn:aws:s3:::*"],
        "Condition": {"StringEquals": {"aws:principaltype": [_DERIVED]}},
    },
    # MinIO reads a condition key from a request header of that name, but a variable from its own data:
    # if they differ, the request claims another principal type.
    {
        "Effect": "Deny",
        "Action": ["s3:*"],
        "Resource": ["arn:aws:s3:::*"],
        "Condition": {"StringNotEquals": {"aws:principaltype": ["${aws:principaltype}"]}},
    },
    # Account information and the list of buckets use the empty prefix. The former would reveal the size
    # of every bucket and, by its top-level prefixes, the tenants.
    {
        "Effect": "Deny",
        "Action": ["s3:*"],
        "Resource": ["arn:aws:s3:::*"],
        "Condition": {"StringEquals": {"s3:prefix": [""]}},
    },
)

_IAM: Final[tuple[Statement, ...]] = ({"Effect": "Deny", "Action": ["iam:*", "sts:*"], "Resource": ["*"]},)


def in_minio() -> list[Statement]:
    """Return the statements at the end of each MinIO policy."""
    return copy.deepcopy([*_MINIO])


def in_iam() -> list[Statement]:
    """Return the statements at the end of each role's policy on AWS.

    They don't affect how a workload assumes its role: the trust policy governs that, and the call is made
    without AWS credentials or by the EKS Pod Identity Agent.
    """
    return copy.deepcopy([*_IAM])
