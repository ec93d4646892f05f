"""Conditional writes, alone and in a race; promotion relies on them."""

import secrets
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from botocore.exceptions import ClientError

from storage.client import error_code, is_precondition
from storage.conformance.checking import Check, check, must, refused
from storage.conformance.context import Context
from storage.conformance.exceptions import WrongError
from storage.conformance.result import Capability

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

WRITERS: Final = 16
ROUNDS: Final = 8
_LOST: Final = "PreconditionFailed"
_NEVER: Final = '"00000000000000000000000000000000"'
"""An ETag that no object here has."""


@check(Capability.CONDITIONAL_CREATE)
def create_once(context: Context) -> None:
    """A write with If-None-Match: * makes an object, and is refused where there is one."""
    key = context.key("create-once")
    context.client.put_object(Bucket=context.bucket, Key=key, Body=b"first", IfNoneMatch="*")
    with refused("a second create", _LOST, status=412):
        context.client.put_object(Bucket=context.bucket, Key=key, Body=b"second", IfNoneMatch="*")
    must(context.read("create-once") == b"first", "the refused write changed the object")


@check(Capability.CONDITIONAL_CREATE)
def create_again_after_delete(context: Context) -> None:
    """After a delete an object may be created again."""
    key = context.key("create-again")
    for body in (b"first", b"second"):
        context.client.put_object(Bucket=context.bucket, Key=key, Body=body, IfNoneMatch="*")
        must(context.read("create-again") == body, "the object is not what was written")
        context.client.delete_object(Bucket=context.bucket, Key=key)


@check(Capability.CONDITIONAL_REPLACE)
def replace_by_etag(context: Context) -> None:
    """A write with If-Match replaces the object it names, and no later one."""
    old = context.put("replace", b"old")
    key = context.key("replace")
    new = context.client.put_object(Bucket=context.bucket, Key=key, Body=b"new", IfMatch=old)["ETag"]
    must(new != old, "another content has the same ETag")
    for stale in (old, _NEVER):
        with refused("a replace by another ETag", _LOST, status=412):
            context.client.put_object(Bucket=context.bucket, Key=key, Body=b"late", IfMatch=stale)
    must(context.read("replace") == b"new", "the refused write changed the object")


@check(Capability.CONDITIONAL_REPLACE)
def replace_of_nothing(context: Context) -> str:
    """A write with If-Match is refused where there is no object."""
    try:
        context.client.put_object(
            Bucket=context.bucket, Key=context.key("nothing"), Body=b"x", IfMatch=_NEVER
        )
    except ClientError as error:
        code = error_code(error)
        must(code in (_LOST, "NoSuchKey"), f"refused with {code}")
        return f"refused with {code}"
    raise WrongError("not refused: an object was made")


@check(Capability.RACE)
def one_creator_wins(context: Context) -> str:
    """Of sixteen creators at the same moment exactly one wins, and the object is the winner's."""
    for number in range(ROUNDS):
        key = context.key(f"race-create/{number}")

        def create(client: "S3Client", body: bytes, key: str = key) -> None:
            client.put_object(Bucket=context.bucket, Key=key, Body=body, IfNoneMatch="*")

        _one_wins(context, f"race-create/{number}", create)
    return f"{ROUNDS} rounds of {WRITERS}"


@check(Capability.RACE)
def one_replacer_wins(context: Context) -> str:
    """Of sixteen replacers of the same ETag exactly one wins, and the object is the winner's."""
    etag = context.put("race-replace", b"at first")
    key = context.key("race-replace")
    for _ in range(ROUNDS):

        def replace(client: "S3Client", body: bytes, etag: str = etag) -> None:
            client.put_object(Bucket=context.bucket, Key=key, Body=body, IfMatch=etag)

        _one_wins(context, "race-replace", replace)
        etag = context.client.head_object(Bucket=context.bucket, Key=key)["ETag"]
    return f"{ROUNDS} rounds of {WRITERS}"


def _one_wins(context: Context, name: str, write: Callable[["S3Client", bytes], None]) -> None:
    barrier = threading.Barrier(WRITERS)

    # Unique to this round: two writers of the same bytes write the same ETag, and both may win.
    bodies = [f"writer {number} {secrets.token_hex(8)}".encode() for number in range(WRITERS)]

    def attempt(number: int) -> str:
        barrier.wait(30)
        try:
            write(context.client, bodies[number])
        except ClientError as error:
            if not is_precondition(error):
                raise
            return error_code(error)
        return "won"

    with ThreadPoolExecutor(WRITERS) as pool:
        results = list(pool.map(attempt, range(WRITERS)))
    winners = [number for number, result in enumerate(results) if result == "won"]
    if len(winners) != 1:
        raise WrongError(f"{len(winners)} of {WRITERS} writers won ({dict(Counter(results))})")
    content = context.read(name)
    must(content == bodies[winners[0]], f"writer {winners[0]} won, and the object contains {content!r}")


CHECKS: Final[tuple[Check, ...]] = (
    create_once,
    create_again_after_delete,
    replace_by_etag,
    replace_of_nothing,
    one_creator_wins,
    one_replacer_wins,
)
