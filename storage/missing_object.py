"""Distinguishes a missing object from a forbidden one, where S3 on AWS answers 403 to both.

AWS answers 404 only to a key that may list the whole bucket. No tenant may, because the listing would
reveal every tenant's name. But a tenant may list the object's own key, which gives the same information.
"""

from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_DENIED: Final = frozenset({"AccessDenied", "403"})
_OPERATIONS: Final = ("GetObject", "HeadObject")
_REQUESTED: Final = "slipway-requested"


def distinguish_missing(client: "S3Client") -> None:
    """Make the client report `NoSuchKey` for a missing object whose key it may list."""

    def remember(params: dict[str, Any], context: dict[str, Any], **_: object) -> None:
        context[_REQUESTED] = (params.get("Bucket"), params.get("Key"))

    def replace_code(parsed: dict[str, Any], context: dict[str, Any], **_: object) -> None:
        if parsed.get("Error", {}).get("Code") not in _DENIED:
            return
        bucket, key = context.get(_REQUESTED, (None, None))
        try:
            listed = client.list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1)
        except (ClientError, BotoCoreError):
            return  # may not list the key either: the answer stays 403
        # The key itself would be the first entry of the listing.
        if not [entry for entry in listed.get("Contents", ()) if entry["Key"] == key]:
            parsed["Error"] |= {"Code": "NoSuchKey", "Message": "The object does not exist."}

    for operation in _OPERATIONS:
        client.meta.events.register(f"before-parameter-build.s3.{operation}", remember)
        client.meta.events.register(f"after-call.s3.{operation}", replace_code)
