"""Allowed values and defaults of command-line options. Pure.

The command line needs them for parsing; operations are imported only when a command is called.
"""

from enum import StrEnum
from typing import Final, Literal

AccountRole = Literal["editor", "viewer"]
"""Roles of a tenant that have a ServiceAccount for people and CI."""

RUN_SECONDS: Final = 1800.0
"""How long a rotation waits for runs that started with the old key, in seconds."""


class PolicyMechanism(StrEnum):
    """How the test of a store limits a key to a prefix."""

    NONE = "none"
    MINIO = "minio"
    BUCKET_POLICY = "bucket-policy"
