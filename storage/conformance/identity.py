"""Access: wrong keys, and keys limited to a prefix."""

import secrets
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from botocore.awsrequest import AWSRequest
from botocore.exceptions import ClientError
from botocore.handlers import disable_signing
from pydantic import SecretStr

from slipway.core.waiting import tries
from storage.client import error_code
from storage.conformance.checking import Check, check, must, refused
from storage.conformance.context import Context
from storage.conformance.exceptions import UntestedError, WrongError
from storage.conformance.result import Capability
from storage.keys import StoreKey
from storage.self_service import Answer, attempts

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_DENIED: Final = "AccessDenied"
_OWN: Final = "team-a/"
_FOREIGN: Final = ("team-ab/", "team-b/")
"""`team-ab` begins with `team-a`: a policy without the slash would open it."""

_PROPAGATION: Final = 20.0
"""Seconds that a new permission may take to become effective."""


@check(Capability.WRONG_KEY)
def a_wrong_secret_is_refused(context: Context) -> None:
    """A known access key with another secret is refused as such."""
    key = context.access.key
    if key is None:
        raise UntestedError("it needs an access key, and the test uses the default credential chain")
    wrong = StoreKey(access_key=key.access_key, secret_key=SecretStr(secrets.token_urlsafe(24)))
    context.put("guarded")
    with refused("a read with a wrong secret", "SignatureDoesNotMatch", status=403):
        _read_as(context, wrong, context.key("guarded"))


@check(Capability.WRONG_KEY)
def an_unknown_key_is_refused(context: Context) -> None:
    """An access key that nobody has is refused as such."""
    unknown = StoreKey(
        access_key=f"nobody{secrets.token_hex(6)}", secret_key=SecretStr(secrets.token_urlsafe(24))
    )
    context.put("guarded")
    with refused("a read with an unknown key", "InvalidAccessKeyId", status=403):
        _read_as(context, unknown, context.key("guarded"))


@check(Capability.WRONG_KEY)
def nobody_reads_without_a_key(context: Context) -> None:
    """A read without any key is denied."""
    context.put("guarded")
    with closing(context.opens(context.access)) as client:
        client.meta.events.register("choose-signer.s3", disable_signing)
        with refused("a read without a key", _DENIED, status=403):
            _read(client, context.bucket, context.key("guarded"))


@contextmanager
def _opened(context: Context, key: StoreKey) -> "Iterator[S3Client]":
    with closing(context.opens(replace(context.access, key=key))) as client:
        yield client


def _read_as(context: Context, key: StoreKey, name: str) -> None:
    with _opened(context, key) as client:
        _read(client, context.bucket, name)


def _read(client: "S3Client", bucket: str, key: str) -> bytes:
    return client.get_object(Bucket=bucket, Key=key)["Body"].read()


@check(Capability.POLICY)
def a_key_keeps_to_its_prefix(context: Context) -> None:
    """A key limited to team-a/ may do all there, and nothing in team-ab/, team-b/ or the bucket itself."""
    administration = context.administration
    bucket = context.own_bucket("policy") if administration.changes_bucket else context.bucket
    own, foreign = context.key(_OWN), [context.key(prefix) for prefix in _FOREIGN]
    for prefix in (own, *foreign):
        context.client.put_object(Bucket=bucket, Key=f"{prefix}there", Body=prefix.encode())
    with _opened(context, administration.limited_key(bucket, own)) as limited:
        _wait_for_right(limited, bucket, f"{own}there")
        _own_is_allowed(limited, bucket, own)
        for prefix in foreign:
            _foreign_is_denied(limited, bucket, own, prefix)
        _bucket_is_denied(limited, bucket, context)
    for prefix in foreign:
        kept = _read(context.client, bucket, f"{prefix}there")
        must(kept == prefix.encode(), "a denied write changed a foreign object")


def _wait_for_right(limited: "S3Client", bucket: str, key: str) -> None:
    for last in tries(_PROPAGATION, interval=0.5):
        try:
            _read(limited, bucket, key)
            break
        except ClientError as error:
            if last:
                raise WrongError("the key was denied its own prefix", error_code(error)) from error


def _own_is_allowed(limited: "S3Client", bucket: str, own: str) -> None:
    limited.put_object(Bucket=bucket, Key=f"{own}new", Body=b"new")
    limited.copy_object(Bucket=bucket, Key=f"{own}copy", CopySource={"Bucket": bucket, "Key": f"{own}new"})
    must(_read(limited, bucket, f"{own}copy") == b"new", "a copy contains something else")
    listed = limited.list_objects_v2(Bucket=bucket, Prefix=own)
    names = [entry["Key"].removeprefix(own) for entry in listed.get("Contents", ())]
    must(names == ["copy", "new", "there"], f"the own prefix is listed as {names}")
    upload = limited.create_multipart_upload(Bucket=bucket, Key=f"{own}parts")["UploadId"]
    limited.abort_multipart_upload(Bucket=bucket, Key=f"{own}parts", UploadId=upload)
    limited.delete_object(Bucket=bucket, Key=f"{own}copy")


def _foreign_is_denied(limited: "S3Client", bucket: str, own: str, foreign: str) -> None:
    name = foreign.rstrip("/").rpartition("/")[2]
    there = f"{foreign}there"
    with refused(f"reading in {name}", _DENIED, status=403):
        limited.get_object(Bucket=bucket, Key=there)
    with refused(f"reading what is not there in {name}", _DENIED, status=403):
        limited.get_object(Bucket=bucket, Key=f"{foreign}nothing")
    with refused(f"listing {name}", _DENIED, status=403):
        limited.list_objects_v2(Bucket=bucket, Prefix=foreign)
    with refused(f"writing in {name}", _DENIED, status=403):
        limited.put_object(Bucket=bucket, Key=there, Body=b"overwritten")
    with refused(f"beginning an upload in {name}", _DENIED, status=403):
        limited.create_multipart_upload(Bucket=bucket, Key=there)
    with refused(f"deleting in {name}", _DENIED, status=403):
        limited.delete_object(Bucket=bucket, Key=there)
    with refused(f"copying out of {name}", _DENIED, status=403):
        limited.copy_object(Bucket=bucket, Key=f"{own}stolen", CopySource={"Bucket": bucket, "Key": there})
    with refused(f"copying into {name}", _DENIED, status=403):
        limited.copy_object(Bucket=bucket, Key=there, CopySource={"Bucket": bucket, "Key": f"{own}new"})


def _bucket_is_denied(limited: "S3Client", bucket: str, context: Context) -> None:
    with refused("listing the whole bucket", _DENIED, status=403):
        limited.list_objects_v2(Bucket=bucket)
    with refused("listing by the own prefix without its slash", _DENIED, status=403):
        limited.list_objects_v2(Bucket=bucket, Prefix=context.key(_OWN).rstrip("/"))
    with refused("reading the bucket's policy", _DENIED, status=403):
        limited.get_bucket_policy(Bucket=bucket)
    with refused("making a bucket", _DENIED, status=403):
        limited.create_bucket(Bucket=context.foreign_bucket())


@check(Capability.FIXED_KEYS)
def a_key_stays_as_it_is(context: Context) -> str:
    """A key limited to a prefix can't change itself or create another, and no token of it opens anything."""
    administration = context.administration
    bucket = context.own_bucket("fixed-keys") if administration.changes_bucket else context.bucket
    there = context.key(f"{_OWN}there")
    context.client.put_object(Bucket=bucket, Key=there, Body=b"there")
    key = administration.limited_key(bucket, context.key(_OWN))
    with _opened(context, key) as limited:
        _wait_for_right(limited, bucket, there)
        results = [*attempts(replace(context.access, key=key), lambda client: _read(client, bucket, there))]
        for each in results:
            if each.answer in (Answer.GRANTED, Answer.UNCLEAR):
                raise WrongError(f"a key {each.what}: {each.answer}", each.code or None)
        must(_read(limited, bucket, there) == b"there", "the key opens something else afterwards")
    if all(each.answer is Answer.ABSENT for each in results):
        return "no such API"
    return "a token opens nothing" if any("token of" in each.what for each in results) else "refused"


@check(Capability.LISTING_BY_HEADER)
def a_header_opens_no_listing(context: Context) -> None:
    """A key limited to a prefix lists no other prefix by a header or a parameter that names its own."""
    administration = context.administration
    bucket = context.own_bucket("listing") if administration.changes_bucket else context.bucket
    own, foreign = context.key(_OWN), context.key(_FOREIGN[1])
    for prefix in (own, foreign):
        context.client.put_object(Bucket=bucket, Key=f"{prefix}there", Body=b"x")
    with _opened(context, administration.limited_key(bucket, own)) as limited:
        _wait_for_right(limited, bucket, f"{own}there")
        for what, event, claim in (
            ("a header", "before-sign.s3.ListObjectsV2", partial(_claim_by_header, own)),
            ("a parameter", "before-call.s3.ListObjectsV2", partial(_claim_by_parameter, own)),
        ):
            limited.meta.events.register(event, claim)
            with refused(f"listing another prefix with {what} `Prefix`", _DENIED, status=403):
                limited.list_objects_v2(Bucket=bucket, Prefix=foreign)
            limited.meta.events.unregister(event, claim)


def _claim_by_header(prefix: str, request: AWSRequest, **_: object) -> None:
    request.headers["Prefix"] = prefix


def _claim_by_parameter(prefix: str, params: dict[str, Any], **_: object) -> None:
    params["query_string"]["Prefix"] = prefix


CHECKS: Final[tuple[Check, ...]] = (
    a_wrong_secret_is_refused,
    an_unknown_key_is_refused,
    nobody_reads_without_a_key,
    a_key_keeps_to_its_prefix,
    a_key_stays_as_it_is,
    a_header_opens_no_listing,
)
