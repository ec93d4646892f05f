"""Tells a missing object from a forbidden one, where S3 on AWS answers 403 to both.

AWS says that an object is missing only to who may list the whole bucket, which no tenant may: it would
name every tenant. A listing of the object's own key is within a tenant's rights, and tells the same.
"""

from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_DENIED: Final = frozenset({"AccessDenied", "403"})
_OPERATIONS: Final = ("GetObject", "HeadObject")
_ASKED: Final = "slipway-asked"


def tell_missing(client: "S3Client") -> None:
    """Make the client answer `NoSuchKey` for an object that is not there and whose key it may list."""

    def remember(params: dict[str, Any], context: dict[str, Any], **_: object) -> None:
        context[_ASKED] = (params.get("Bucket"), params.get("Key"))

    def look(parsed: dict[str, Any], context: dict[str, Any], **_: object) -> None:
        if parsed.get("Error", {}).get("Code") not in _DENIED:
            return
        bucket, key = context.get(_ASKED, (None, None))
        try:
            found = client.list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1)
        except (ClientError, BotoCoreError):
            return  # not within its rights: it stays forbidden
        # In the order of a listing nothing comes before the key itself.
        if not [entry for entry in found.get("Contents", ()) if entry["Key"] == key]:
            parsed["Error"] |= {"Code": "NoSuchKey", "Message": "The object does not exist."}

    for operation in _OPERATIONS:
        client.meta.events.register(f"before-parameter-build.s3.{operation}", remember)
        client.meta.events.register(f"after-call.s3.{operation}", look)
