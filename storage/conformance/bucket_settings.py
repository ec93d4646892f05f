"""What a bucket does by itself: keep versions, expire objects, encrypt."""

from typing import Any, Final

from storage.conformance.checking import Check, check, must, refused
from storage.conformance.context import Context
from storage.conformance.exceptions import UntestedError
from storage.conformance.result import Capability


@check(Capability.VERSIONING)
def an_overwritten_object_comes_back(context: Context) -> None:
    """An overwritten or deleted object is read by its version, and a delete leaves a marker."""
    client, key = context.client, context.key("versions")
    if context.whole_bucket:
        bucket = context.own_bucket("versions")
        client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    else:
        bucket = context.bucket
    if client.get_bucket_versioning(Bucket=bucket).get("Status") != "Enabled":
        must(not context.whole_bucket, "the store accepted the setting and did not keep it")
        raise UntestedError("the given bucket keeps no versions; test without a given bucket")
    first, second = (
        client.put_object(Bucket=bucket, Key=key, Body=body).get("VersionId", "")
        for body in (b"first", b"second")
    )
    must(first and second and first != second, "two writes gave no two versions")

    def read(**version: str) -> bytes:
        return client.get_object(Bucket=bucket, Key=key, **version)["Body"].read()  # type: ignore[arg-type]

    must(read() == b"second", "a read did not give the newest version")
    must(read(VersionId=first) == b"first", "a read by the old version gave something else")
    client.delete_object(Bucket=bucket, Key=key)
    with refused("reading a deleted object", "NoSuchKey", status=404):
        read()
    must(read(VersionId=second) == b"second", "a version was lost with the delete")
    listed = client.list_object_versions(Bucket=bucket, Prefix=key)
    markers = [marker for marker in listed.get("DeleteMarkers", ()) if marker["Key"] == key]
    must(len(markers) == 1 and markers[0]["IsLatest"], "the delete left no marker")
    client.delete_object(Bucket=bucket, Key=key, VersionId=markers[0]["VersionId"])
    must(read() == b"second", "without the marker the object did not come back")


@check(Capability.LIFECYCLE)
def objects_expire_below_a_prefix(context: Context) -> None:
    """A rule that expires objects below a prefix after some days is kept as it was given."""
    _kept(context, "runs", prefix="runs/", action="Expiration", value={"Days": 7})


@check(Capability.LIFECYCLE)
def old_versions_expire(context: Context) -> None:
    """A rule that removes replaced versions after some days is kept as it was given."""
    action = "NoncurrentVersionExpiration"
    _kept(context, "replaced", prefix="data/", action=action, value={"NoncurrentDays": 30})


@check(Capability.ABANDONED_UPLOADS)
def incomplete_uploads_are_removed(context: Context) -> None:
    """A rule that removes incomplete uploads after some days is kept as it was given."""
    action = "AbortIncompleteMultipartUpload"
    _kept(context, "uploads", prefix="runs/", action=action, value={"DaysAfterInitiation": 1})


def _kept(context: Context, name: str, *, prefix: str, action: str, value: dict[str, int]) -> None:
    """Give a bucket a rule, and compare it with the rule that the bucket then has."""
    bucket = context.own_bucket(name)
    rule: Any = {"ID": name, "Status": "Enabled", "Filter": {"Prefix": prefix}, action: value}
    context.client.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [rule]})
    answer = context.client.get_bucket_lifecycle_configuration(Bucket=bucket)
    rules: list[dict[str, Any]] = [{**each} for each in answer["Rules"]]
    must([each.get("ID") for each in rules] == [name], "the bucket has other rules")
    [only] = rules
    must(only.get("Status") == "Enabled", "the rule is not in force")
    must(only.get("Filter", {}).get("Prefix") == prefix, "the rule has another prefix")
    [(field, days)] = value.items()
    must(only.get(action, {}).get(field) == days, "the rule's days were not kept")


CHECKS: Final[tuple[Check, ...]] = (
    an_overwritten_object_comes_back,
    objects_expire_below_a_prefix,
    old_versions_expire,
    incomplete_uploads_are_removed,
)
