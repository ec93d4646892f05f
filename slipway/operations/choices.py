"""What options of the command line can be, apart from the code that carries them out. Pure.

A command reads these when it is parsed; what it calls is imported when it is called.
"""

from enum import StrEnum
from typing import Final, Literal

AccountRole = Literal["editor", "viewer"]
"""Roles of a tenant that have a ServiceAccount for people and CI."""

RUN_SECONDS: Final = 1800.0
"""How long a rotation waits for runs that began with the old key."""


class PolicyMechanism(StrEnum):
    """How the test of a store limits a key to a prefix."""

    NONE = "none"
    MINIO = "minio"
    BUCKET_POLICY = "bucket-policy"
