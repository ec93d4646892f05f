"""Whether what is to be served would expire, by the bucket's lifecycle as it is now."""

from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from slipway.core.errors import FailedError
from storage.client import error_code, split_uri, translated_errors
from storage.retention import expiring_rule

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def read_rules(client: "S3Client", bucket: str) -> list[dict[str, Any]]:
    """Return the bucket's lifecycle rules as the S3 API gives them; none is an empty list."""
    with translated_errors(f"read the lifecycle of bucket {bucket}"):
        try:
            answer = client.get_bucket_lifecycle_configuration(Bucket=bucket)
        except ClientError as error:
            if error_code(error) == "NoSuchLifecycleConfiguration":
                return []
            raise
    return [dict(rule) for rule in answer["Rules"]]


def require_kept(client: "S3Client", uri: str) -> None:
    """Refuse a URI that a rule of its bucket's lifecycle would take away.

    Raises:
        FailedError: A rule would, or the rules can't be read: then nobody knows.
    """
    bucket, prefix = split_uri(uri)
    rule = expiring_rule(read_rules(client, bucket), prefix.rstrip("/") + "/")
    if rule is not None:
        raise FailedError(
            f"{uri} is not served: it would expire.",
            why=f"Rule {rule!r} of the lifecycle of bucket {bucket} takes what lies there.",
            fix="Remove the rule, or run `slipway up`, which sets the lifecycles again.",
        )
