"""The environment of checks: a temporary bucket or prefix, clients, and optionally an administrator."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from storage.client import StoreAccess
from storage.conformance.administration import Administration
from storage.conformance.exceptions import UntestedError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

Opens = Callable[[StoreAccess], "S3Client"]

NAME: Final = "slipway-conformance"
"""Prefix of the name of every bucket, prefix and user of a test."""


@dataclass
class Context:
    """The environment of a check."""

    access: StoreAccess
    opens: Opens = field(repr=False)
    client: "S3Client"
    """Client with the key of the test."""

    bucket: str
    prefix: str
    """All keys of `bucket` under this prefix belong to the test."""

    whole_bucket: bool
    """Whether the bucket was created for this test, so that its settings may be changed."""

    administration: Administration
    buckets: list[str] = field(default_factory=list)
    """Buckets that the test created."""

    @classmethod
    def make(
        cls, access: StoreAccess, opens: Opens, administration: Administration, bucket: str | None
    ) -> "Context":
        """Return a context for a bucket that is still to be created, or for a prefix of an existing one."""
        token = secrets.token_hex(6)
        return cls(
            access=access,
            opens=opens,
            client=opens(access),
            bucket=bucket or f"{NAME}-{token}",
            prefix=f"{NAME}-{token}/",
            whole_bucket=bucket is None,
            administration=administration,
        )

    def key(self, name: str) -> str:
        """Return a key under the test's prefix."""
        return f"{self.prefix}{name}"

    def put(self, name: str, body: bytes = b"x") -> str:
        """Write an object under the test's prefix and return its ETag."""
        return self.client.put_object(Bucket=self.bucket, Key=self.key(name), Body=body)["ETag"]

    def read(self, name: str) -> bytes:
        """Return the content of an object under the test's prefix."""
        return self.client.get_object(Bucket=self.bucket, Key=self.key(name))["Body"].read()

    def make_bucket(self, name: str) -> str:
        """Create a bucket that the clean-up removes."""
        region = self.access.region
        if self.access.endpoint is None and region != "us-east-1":
            self.client.create_bucket(
                Bucket=name,
                CreateBucketConfiguration={"LocationConstraint": region},  # type: ignore[typeddict-item]
            )
        else:
            self.client.create_bucket(Bucket=name)
        self.buckets.append(name)
        return name

    def foreign_bucket(self) -> str:
        """Return the name of a bucket that a check tries to create; the clean-up removes it."""
        name = f"{NAME}-{secrets.token_hex(6)}"
        self.buckets.append(name)
        return name

    def own_bucket(self, purpose: str) -> str:
        """Create another bucket, for a check that changes a bucket's settings.

        Raises:
            UntestedError: The test runs in an existing bucket, and may only change objects under its prefix.
        """
        if not self.whole_bucket:
            raise UntestedError("it changes a bucket's settings; test without a given bucket")
        return self.make_bucket(f"{self.bucket}-{purpose}")
