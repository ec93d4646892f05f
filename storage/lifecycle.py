"""Checks a bucket's current lifecycle rules, so that nothing is served that would expire."""

from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from slipway.core.errors import FailedError
from storage.client import error_code, split_uri, translated_errors
from storage.retention import expiring_rule

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def read_rules(client: "S3Client", bucket: str) -> list[dict[str, Any]]:
    """Return the bucket's lifecycle rules in the S3 API's form; an empty list if there are none."""
    with translated_errors(f"read the lifecycle of bucket {bucket}"):
        try:
            answer = client.get_bucket_lifecycle_configuration(Bucket=bucket)
        except ClientError as error:
            if error_code(error) == "NoSuchLifecycleConfiguration":
                return []
            raise
    return [dict(rule) for rule in answer["Rules"]]


def require_kept(client: "S3Client", uri: str) -> None:
    """Check that no lifecycle rule of the bucket would delete the objects of a URI.

    Raises:
        FailedError: A rule would delete them, or the rules can't be read.
    """
    bucket, prefix = split_uri(uri)
    rule = expiring_rule(read_rules(client, bucket), prefix.rstrip("/") + "/")
    if rule is not None:
        raise FailedError(
            f"{uri} is not served: it would expire.",
            why=f"Lifecycle rule {rule!r} of bucket {bucket} deletes objects there.",
            fix="Remove the rule, or run `slipway up`, which sets the lifecycle rules again.",
        )
