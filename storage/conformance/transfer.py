"""Checks of uploads and downloads: multipart, ranges and checksums."""

import base64
import hashlib
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from botocore.exceptions import ClientError

from storage.conformance.checking import Check, check, must, refused
from storage.conformance.context import Context
from storage.conformance.result import Capability

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

PART_BYTES: Final = 5 * 1024**2
"""S3's minimum size of a part, except for the last."""

_DIGITS: Final = b"0123456789" * 100


def _start(context: Context, name: str) -> str:
    return context.client.create_multipart_upload(Bucket=context.bucket, Key=context.key(name))["UploadId"]


def _part(context: Context, name: str, upload: str, number: int, body: bytes) -> "CompletedPartTypeDef":
    done = context.client.upload_part(
        Bucket=context.bucket, Key=context.key(name), UploadId=upload, PartNumber=number, Body=body
    )
    return {"PartNumber": number, "ETag": done["ETag"]}


@check(Capability.MULTIPART)
def parts_become_one_object(context: Context) -> None:
    """A multipart upload is invisible until it is complete; the object then is its parts in order."""
    bodies = (b"a" * PART_BYTES, b"b" * 1000)
    upload = _start(context, "parts")
    parts = [
        _part(context, "parts", upload, number, bodies[number - 1]) for number in (2, 1)
    ]  # uploaded out of order
    with refused("reading an incomplete upload", "NoSuchKey", status=404):
        context.read("parts")
    context.client.complete_multipart_upload(
        Bucket=context.bucket,
        Key=context.key("parts"),
        UploadId=upload,
        MultipartUpload={"Parts": parts[::-1]},
    )
    must(context.read("parts") == b"".join(bodies), "the object is not the parts in order")


@check(Capability.MULTIPART)
def an_abort_leaves_nothing(context: Context) -> None:
    """After an abort neither the object nor the upload exists."""
    upload = _start(context, "aborted")
    _part(context, "aborted", upload, 1, b"x" * 1000)
    bucket, key = context.bucket, context.key("aborted")
    context.client.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload)
    with refused("reading an aborted upload", "NoSuchKey", status=404):
        context.read("aborted")
    with refused("listing an aborted upload's parts", "NoSuchUpload", status=404):
        context.client.list_parts(Bucket=bucket, Key=key, UploadId=upload)


@check(Capability.MULTIPART)
def a_completion_on_a_condition(context: Context) -> None:
    """Completing an upload with If-None-Match: * is refused if the object exists."""
    context.put("completed", b"first")
    upload = _start(context, "completed")
    part = _part(context, "completed", upload, 1, b"second")
    key = context.key("completed")
    try:
        with refused("a completion over an object", "PreconditionFailed", status=412):
            context.client.complete_multipart_upload(
                Bucket=context.bucket,
                Key=key,
                UploadId=upload,
                MultipartUpload={"Parts": [part]},
                IfNoneMatch="*",
            )
    finally:
        # By its id: listing uploads needs permission for the whole bucket. If the store completed the
        # upload nevertheless, it no longer exists.
        with suppress(ClientError):
            context.client.abort_multipart_upload(Bucket=context.bucket, Key=key, UploadId=upload)
    must(context.read("completed") == b"first", "the refused completion changed the object")


@check(Capability.RANGE_READ)
def ranges_are_exact(context: Context) -> None:
    """A range read returns exactly its bytes: at the start, in the middle, at the end, and past the end."""
    context.put("range", _DIGITS)
    for requested, expected in {
        "bytes=0-9": _DIGITS[:10],
        "bytes=495-504": _DIGITS[495:505],
        "bytes=-7": _DIGITS[-7:],
        "bytes=990-": _DIGITS[990:],
        "bytes=990-2000": _DIGITS[990:],
    }.items():
        answer = context.client.get_object(Bucket=context.bucket, Key=context.key("range"), Range=requested)
        must(answer["Body"].read() == expected, f"{requested} returned other bytes")
        must(
            answer.get("ContentRange", "").endswith(f"/{len(_DIGITS)}"),
            f"{requested}: the answer has no total length",
        )


@check(Capability.RANGE_READ)
def a_range_behind_the_end(context: Context) -> None:
    """A range that starts past the end is refused."""
    context.put("range-end", _DIGITS)
    with refused("a range past the end", "InvalidRange", status=416):
        context.client.get_object(Bucket=context.bucket, Key=context.key("range-end"), Range="bytes=5000-")


@check(Capability.RANGE_READ)
def a_range_of_one_version(context: Context) -> None:
    """A range read with If-Match is refused once the object was replaced, so versions never mix."""
    old = context.put("range-version", _DIGITS)
    context.put("range-version", _DIGITS[::-1])
    with refused("a range of a replaced object", "PreconditionFailed", status=412):
        context.client.get_object(
            Bucket=context.bucket, Key=context.key("range-version"), Range="bytes=0-9", IfMatch=old
        )


def _sha256(body: bytes) -> str:
    return base64.b64encode(hashlib.sha256(body).digest()).decode()


@check(Capability.CHECKSUM)
def the_right_checksum_is_kept(context: Context) -> None:
    """An upload with its SHA-256 is accepted, and the store returns the checksum later."""
    key = context.key("checksum")
    context.client.put_object(Bucket=context.bucket, Key=key, Body=_DIGITS, ChecksumSHA256=_sha256(_DIGITS))
    head = context.client.head_object(Bucket=context.bucket, Key=key, ChecksumMode="ENABLED")
    must(head.get("ChecksumSHA256") == _sha256(_DIGITS), "the store does not return the checksum")


@check(Capability.CHECKSUM)
def a_wrong_checksum_is_refused(context: Context) -> None:
    """An upload with the SHA-256 of other bytes is refused and leaves no object."""
    # The codes of S3 and MinIO.
    with refused("a wrong SHA-256", "BadDigest", "XAmzContentChecksumMismatch", status=400):
        context.client.put_object(
            Bucket=context.bucket,
            Key=context.key("wrong-checksum"),
            Body=_DIGITS,
            ChecksumSHA256=_sha256(b"other bytes"),
        )
    with refused("reading the refused object", "NoSuchKey", status=404):
        context.read("wrong-checksum")


CHECKS: Final[tuple[Check, ...]] = (
    parts_become_one_object,
    an_abort_leaves_nothing,
    a_completion_on_a_condition,
    ranges_are_exact,
    a_range_behind_the_end,
    a_range_of_one_version,
    the_right_checksum_is_kept,
    a_wrong_checksum_is_refused,
)
