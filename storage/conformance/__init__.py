"""Tests whether an S3 endpoint meets Slipway's requirements.

It needs only boto3, minio and pydantic, so that a Job in a cluster can run it.
"""

from storage.conformance.administration import (
    Administration,
    BucketPolicyAdministration,
    MinioAdministration,
    NoAdministration,
)
from storage.conformance.requirements import requirements
from storage.conformance.result import (
    Capability,
    CapabilityResult,
    CheckOutcome,
    CheckResult,
    Need,
    Refusal,
    StoreReport,
)
from storage.conformance.runner import check_endpoint, run

__all__ = [
    "Administration",
    "BucketPolicyAdministration",
    "Capability",
    "CapabilityResult",
    "CheckOutcome",
    "CheckResult",
    "MinioAdministration",
    "Need",
    "NoAdministration",
    "Refusal",
    "StoreReport",
    "check_endpoint",
    "requirements",
    "run",
]
