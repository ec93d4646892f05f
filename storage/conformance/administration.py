"""How a key is limited to a prefix: an administrator does that, and each store has its own way."""

import json
import secrets
from typing import TYPE_CHECKING, Any, Protocol

import urllib3
from botocore.exceptions import BotoCoreError, ClientError
from minio.error import MinioAdminException
from pydantic import SecretStr

from storage import denials
from storage.administration import open_admin
from storage.client import StoreAccess
from storage.conformance.exceptions import UntestedError, WrongError
from storage.keys import StoreKey

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_OBJECTS = ("s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject", "s3:PutObject")


class Administration(Protocol):
    """An administrator of the store, who may create keys or limit existing ones."""

    name: str
    changes_bucket: bool
    """Whether limiting a key changes the bucket's settings."""

    def limited_key(self, bucket: str, prefix: str) -> StoreKey:
        """Return a key that may do everything below the prefix, and nothing elsewhere.

        Raises:
            UntestedError: There is no way to get such a key.
            WrongError: The store did not do what was requested.
        """

    def remove(self) -> list[str]:
        """Remove everything that was created; return what could not be removed."""


def statements(bucket: str, prefix: str) -> list[dict[str, Any]]:
    """Return the policy statements of a key that is limited to a prefix; the prefix ends in a slash."""
    return [
        {
            "Effect": "Allow",
            "Action": list(_OBJECTS),
            "Resource": [f"arn:aws:s3:::{bucket}/{prefix}*"],
        },
        {
            "Effect": "Allow",
            "Action": ["s3:ListBucket"],
            "Resource": [f"arn:aws:s3:::{bucket}"],
            "Condition": {"StringLike": {"s3:prefix": [f"{prefix}*"]}},
        },
    ]


class NoAdministration:
    """No administrator: what needs one is not tested."""

    name = "none"
    changes_bucket = False

    def limited_key(self, bucket: str, prefix: str) -> StoreKey:
        """Raise UntestedError."""
        raise UntestedError("it needs an administrator of the store, who limits a key to a prefix")

    def remove(self) -> list[str]:
        """Return nothing."""
        return []


class MinioAdministration:
    """MinIO's admin API: a user with a policy."""

    name = "minio"
    changes_bucket = False

    def __init__(self, access: StoreAccess) -> None:
        self._admin = open_admin(access)
        self._users: list[str] = []

    def limited_key(self, bucket: str, prefix: str) -> StoreKey:
        """Create a user and a policy of the same name."""
        name = f"slipway-conformance-{secrets.token_hex(6)}"
        key = StoreKey(access_key=name, secret_key=SecretStr(secrets.token_urlsafe(24)))
        self._users.append(name)
        try:
            self._admin.policy_add(name, policy=self.document(bucket, prefix))
            self._admin.user_add(name, key.secret_key.get_secret_value())
            self._admin.policy_set(name, user=name)
        except (MinioAdminException, urllib3.exceptions.HTTPError, ValueError) as error:
            raise WrongError(
                f"MinIO's admin API did not make a limited user ({type(error).__name__})"
            ) from None
        return key

    def document(self, bucket: str, prefix: str) -> dict[str, Any]:
        """Return the user's policy, with the denials that every policy of Slipway has."""
        return {
            "Version": "2012-10-17",
            "Statement": [*statements(bucket, prefix), *denials.in_minio()],
        }

    def remove(self) -> list[str]:
        """Remove users before the policies that they have."""
        left = []
        for name in self._users:
            for remove in (self._admin.user_remove, self._admin.policy_remove):
                try:
                    remove(name)
                except (MinioAdminException, urllib3.exceptions.HTTPError) as error:
                    left.append(f"{remove.__name__} {name}: {type(error).__name__}")
        self._users.clear()
        return left


class BucketPolicyAdministration:
    """A user created by somebody else, without rights; an S3 bucket policy grants it the prefix."""

    name = "bucket-policy"
    changes_bucket = True

    def __init__(self, client: "S3Client", key: StoreKey, principal: str | None = None) -> None:
        """Keep the user that is to be limited.

        Args:
            client: Its key may set a bucket's policy.
            key: The user's key; the user has no rights of its own.
            principal: The user's name in a policy; its access key by default.
        """
        self._client = client
        self._key = key
        self._principal = principal or key.access_key
        self._buckets: list[str] = []

    def limited_key(self, bucket: str, prefix: str) -> StoreKey:
        """Set the bucket's policy; the test owns the bucket."""
        self._buckets.append(bucket)
        self._client.put_bucket_policy(Bucket=bucket, Policy=json.dumps(self.document(bucket, prefix)))
        return self._key

    def document(self, bucket: str, prefix: str) -> dict[str, Any]:
        """Return the bucket's policy."""
        principal = {"AWS": [self._principal]}
        granted = [{**statement, "Principal": principal} for statement in statements(bucket, prefix)]
        return {"Version": "2012-10-17", "Statement": granted}

    def remove(self) -> list[str]:
        """Remove the policies; a bucket that is gone has none."""
        left = []
        for bucket in self._buckets:
            try:
                self._client.delete_bucket_policy(Bucket=bucket)
            except (ClientError, BotoCoreError) as error:
                left.append(f"policy of bucket {bucket}: {type(error).__name__}")
        self._buckets.clear()
        return left
