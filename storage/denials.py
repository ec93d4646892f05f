"""What every key that Slipway makes is denied, whatever it is granted, as statements of policies. Pure.

A MinIO user may by default give itself another secret, make access keys of its own, and read its own
entry in the admin API; only an explicit denial takes that away. Its STS API gives a token to every user
and asks no policy, so the token is denied everything instead. A role on AWS may by itself do none of
these; the denial holds also where somebody attaches another policy to the role.
"""

import copy
from typing import Any, Final

Statement = dict[str, Any]

_DERIVED: Final = "AssumedRole"
"""How MinIO calls who holds a token or an access key that a user made, and AWS who holds a token."""

_MINIO: Final[tuple[Statement, ...]] = (
    # MinIO takes a statement of admin, KMS or STS actions alone, and its policy language has no `sts:*`.
    {"Effect": "Deny", "Action": ["admin:*"]},
    {"Effect": "Deny", "Action": ["kms:*"]},
    {"Effect": "Deny", "Action": ["sts:AssumeRoleWithWebIdentity"]},
    {
        "Effect": "Deny",
        "Action": ["s3:*"],
        "Resource": ["arn:aws:s3:::*"],
        "Condition": {"StringEquals": {"aws:principaltype": [_DERIVED]}},
    },
    # MinIO reads a condition's key from a header of that name if the request has one, but a variable
    # from what it knows itself: where both differ, the request claims to be somebody else.
    {
        "Effect": "Deny",
        "Action": ["s3:*"],
        "Resource": ["arn:aws:s3:::*"],
        "Condition": {"StringNotEquals": {"aws:principaltype": ["${aws:principaltype}"]}},
    },
    # The account information and the list of buckets ask for the empty prefix. The first would tell the
    # size of every bucket and, of what is at its top, which are the tenants.
    {
        "Effect": "Deny",
        "Action": ["s3:*"],
        "Resource": ["arn:aws:s3:::*"],
        "Condition": {"StringEquals": {"s3:prefix": [""]}},
    },
)

_IAM: Final[tuple[Statement, ...]] = ({"Effect": "Deny", "Action": ["iam:*", "sts:*"], "Resource": ["*"]},)


def in_minio() -> list[Statement]:
    """Return the statements that end each policy in a MinIO."""
    return copy.deepcopy([*_MINIO])


def in_iam() -> list[Statement]:
    """Return the statements that end each role's policy on AWS.

    They don't concern how a workload takes its role: that is said by the role's trust policy, and the
    call is made without any credentials of AWS, or by the agent of EKS Pod Identity.
    """
    return copy.deepcopy([*_IAM])
