"""Where checks work: a scratch bucket or prefix of their own, clients, and perhaps an administrator."""

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
"""Every bucket, prefix and user of a test starts with this."""


@dataclass
class Context:
    """What a check gets."""

    access: StoreAccess
    opens: Opens = field(repr=False)
    client: "S3Client"
    """Of the key that the test was given."""

    bucket: str
    prefix: str
    """Below this in `bucket` everything belongs to the test."""

    whole_bucket: bool
    """Whether the bucket was made for this test, so that its settings may be changed."""

    administration: Administration
    buckets: list[str] = field(default_factory=list)
    """Those that the test made."""

    @classmethod
    def make(
        cls, access: StoreAccess, opens: Opens, administration: Administration, bucket: str | None
    ) -> "Context":
        """Return a context in a bucket that is still to be made, or below a prefix of the given one."""
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
        """Return a key of the test's own."""
        return f"{self.prefix}{name}"

    def put(self, name: str, body: bytes = b"x") -> str:
        """Write an object of the test's own and return its ETag."""
        return self.client.put_object(Bucket=self.bucket, Key=self.key(name), Body=body)["ETag"]

    def read(self, name: str) -> bytes:
        """Return what an object of the test's own holds."""
        return self.client.get_object(Bucket=self.bucket, Key=self.key(name))["Body"].read()

    def make_bucket(self, name: str) -> str:
        """Make a bucket that the clean-up will remove."""
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
        """Return the name of a bucket that somebody will try to make; the clean-up knows of it."""
        name = f"{NAME}-{secrets.token_hex(6)}"
        self.buckets.append(name)
        return name

    def own_bucket(self, purpose: str) -> str:
        """Make another bucket, for a check that changes a bucket's settings.

        Raises:
            UntestedError: The test was given a bucket, and may change nothing but what is in its prefix.
        """
        if not self.whole_bucket:
            raise UntestedError("it changes a bucket's settings; test without a given bucket")
        return self.make_bucket(f"{self.bucket}-{purpose}")
