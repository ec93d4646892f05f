"""Why a store did not do what it was asked, by the code that it or its client gave. Pure.

One table: the store's code, one word for machines, and what a person reads.
"""

from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Final


class Cause(StrEnum):
    """A cause in one word, stable for scripts."""

    UNREACHABLE = "unreachable"
    CERTIFICATE = "certificate"
    CUT = "cut"
    SLOW = "slow"
    BUSY = "busy"
    UNKNOWN_KEY = "unknown-key"
    WRONG_SECRET = "wrong-secret"
    NO_IDENTITY = "no-identity"
    FORBIDDEN = "forbidden"
    CLOCK_SKEW = "clock-skew"
    REGION = "region"
    BUCKET_MISSING = "bucket-missing"
    OBJECT_MISSING = "object-missing"
    FULL = "full"
    QUOTA = "quota"
    DAMAGED = "damaged"
    ALTERED = "altered"
    OTHER = "other"


@dataclass(frozen=True)
class Explanation:
    """What a person reads of a cause."""

    cause: Cause
    says: str
    """Ends the first line: `Could not write x: …`."""

    why: str = ""
    fix: str = ""


UNREADABLE: Final = "UnreadableObject"
"""Our code for a store that has the object, began its answer, and could not read the bytes."""

CUT_SHORT: Final = "IncompleteBody"
"""Said of a body that broke off on its way, and by MinIO of a whole one while its drive is filling up.

It looks at the room that is left once a second, so another attempt tells which it was.
"""

EXPLANATIONS: Final = {
    explanation.cause: explanation
    for explanation in (
        Explanation(
            Cause.UNREACHABLE,
            "nothing answers at the store's address",
            "It is stopped, starting, or not to be reached from here.",
            "Look with `slipway status` whether it is up, then run the command again.",
        ),
        Explanation(
            Cause.CERTIFICATE,
            "the store's certificate is not trusted",
            fix="Give the authority that signed it, or run `slipway up` to have it made again.",
        ),
        Explanation(
            Cause.CUT,
            "the connection broke in the middle",
            "The store was stopped or ran out of space meanwhile, or something on the way cut it off.",
            "Look with `slipway status` whether it is up, then run the command again.",
        ),
        Explanation(
            Cause.SLOW,
            "the store took too long to answer",
            "It was reached, but it is overloaded or its drives hang.",
            "Run the command again when it has less to do.",
        ),
        Explanation(
            Cause.BUSY,
            "the store is too busy or still starting",
            "It asked for fewer requests until no more attempts were left.",
            "Wait a minute, then run the command again.",
        ),
        Explanation(
            Cause.UNKNOWN_KEY,
            "the store does not know the access key",
            "The key was rotated, or its user was removed or disabled.",
            "Run `slipway up`, which makes the key's user again.",
        ),
        Explanation(
            Cause.WRONG_SECRET,
            "the secret is not the one of the access key",
            "The store knows the access key, but signs otherwise than this key does.",
            "Run `slipway up`, which gives the store and its readers the same key.",
        ),
        Explanation(
            Cause.NO_IDENTITY,
            "there is no valid identity to sign with",
            "No key was given, and the surroundings have no role or an expired one.",
            "Log in to the cloud account again, or check the role of the ServiceAccount.",
        ),
        Explanation(
            Cause.FORBIDDEN,
            "the key may not do that",
            "The key is valid; its policy does not allow this.",
            "Use the command that this is for: each role's key opens only what its role needs.",
        ),
        Explanation(
            Cause.CLOCK_SKEW,
            "this machine's clock and the store's differ too much",
            "Stores refuse a request that was signed over 15 minutes from their own time.",
            "Mend the clock that is wrong, by NTP.",
        ),
        Explanation(
            Cause.REGION,
            "the store is in another region than the one that was signed for",
            fix="Set the store's region in the stack's settings.",
        ),
        Explanation(
            Cause.BUCKET_MISSING,
            "the bucket does not exist",
            "It was deleted, or it was never made.",
            "Run `slipway up`, which makes the buckets.",
        ),
        Explanation(Cause.OBJECT_MISSING, "the object does not exist"),
        Explanation(
            Cause.FULL,
            "the store is out of space",
            "What was there is kept, and nothing new fits.",
            "Make its drives larger, or delete old runs with the store administrator's key; "
            "then run the command again.",
        ),
        Explanation(
            Cause.QUOTA,
            "the bucket's quota is used up",
            "What was there is kept, and nothing new fits.",
            "Raise the quota, or delete what nobody needs from the bucket; then run the command again.",
        ),
        Explanation(
            Cause.DAMAGED,
            "the store can't read back what it once took",
            "Bytes on its drives differ from their checksum, or too few of its drives are there.",
            "Bring its drives back, or restore the object from a backup; a copy is never made of it.",
        ),
        Explanation(
            Cause.ALTERED,
            "the bytes changed on their way",
            "Their checksum here is not their checksum there; nothing of them is used.",
            "Run the command again; if it stays, look at the proxies between here and the store.",
        ),
    )
}

_CODES: Final = {
    # Ours and botocore's: the names of its exceptions stand for what it saw itself.
    UNREADABLE: Cause.DAMAGED,
    "EndpointConnectionError": Cause.UNREACHABLE,
    "ConnectTimeoutError": Cause.UNREACHABLE,
    "ProxyConnectionError": Cause.UNREACHABLE,
    "SSLError": Cause.CERTIFICATE,
    "ConnectionClosedError": Cause.CUT,
    "ResponseStreamingError": Cause.CUT,
    "IncompleteReadError": Cause.CUT,
    "ReadTimeoutError": Cause.SLOW,
    "NoCredentialsError": Cause.NO_IDENTITY,
    "PartialCredentialsError": Cause.NO_IDENTITY,
    "CredentialRetrievalError": Cause.NO_IDENTITY,
    "TokenRetrievalError": Cause.NO_IDENTITY,
    "FlexibleChecksumError": Cause.ALTERED,
    # Of S3 and of every store that speaks it.
    "AccessDenied": Cause.FORBIDDEN,
    "AllAccessDisabled": Cause.FORBIDDEN,
    "InvalidAccessKeyId": Cause.UNKNOWN_KEY,
    "SignatureDoesNotMatch": Cause.WRONG_SECRET,
    "ExpiredToken": Cause.NO_IDENTITY,
    "InvalidToken": Cause.NO_IDENTITY,
    "RequestTimeTooSkewed": Cause.CLOCK_SKEW,
    "AuthorizationHeaderMalformed": Cause.REGION,
    "InvalidRegion": Cause.REGION,
    "PermanentRedirect": Cause.REGION,
    "IllegalLocationConstraintException": Cause.REGION,
    "NoSuchBucket": Cause.BUCKET_MISSING,
    "NoSuchKey": Cause.OBJECT_MISSING,
    "NoSuchVersion": Cause.OBJECT_MISSING,
    "NotFound": Cause.OBJECT_MISSING,
    "SlowDown": Cause.BUSY,
    "ServiceUnavailable": Cause.BUSY,
    "TooManyRequests": Cause.BUSY,
    "TooManyRequestsException": Cause.BUSY,
    "Throttling": Cause.BUSY,
    "RequestLimitExceeded": Cause.BUSY,
    "OperationAborted": Cause.BUSY,
    "RequestTimeout": Cause.SLOW,
    CUT_SHORT: Cause.CUT,
    "BadDigest": Cause.ALTERED,
    "XAmzContentSHA256Mismatch": Cause.ALTERED,
    "XAmzContentChecksumMismatch": Cause.ALTERED,
    "QuotaExceeded": Cause.QUOTA,
    "InsufficientStorage": Cause.FULL,
    # MinIO's own. It calls a read that too few drives answered alike a request to slow down.
    "XMinioServerNotInitialized": Cause.BUSY,
    "XMinioStorageFull": Cause.FULL,
    "XMinioAdminBucketQuotaExceeded": Cause.QUOTA,
    "SlowDownRead": Cause.DAMAGED,
    "SlowDownWrite": Cause.BUSY,
    "XMinioBackendDown": Cause.UNREACHABLE,
    # A HEAD has no body, so no code: the status alone has to do.
    "301": Cause.REGION,
    "403": Cause.FORBIDDEN,
    "404": Cause.OBJECT_MISSING,
    "408": Cause.SLOW,
    "429": Cause.BUSY,
    "502": Cause.BUSY,
    "503": Cause.BUSY,
    "504": Cause.SLOW,
    "507": Cause.FULL,
}

_DAMAGED_RECORD: Final = "CRC mismatch"
"""What MinIO says inside an InternalError when the object's own record on the drive is damaged."""


_TLS_CUT: Final = "EOF occurred"
"""What OpenSSL says of a connection that ended without a farewell; it is no matter of certificates."""

_NO_ROOM: Final = "no space left on device"
"""What it says there, now and then, in place of its own code for a full drive."""


def cause_of(code: str, message: str = "") -> Cause:
    """Return the cause of a store's code, or of the name of one of botocore's exceptions.

    `message` is the store's own text, which tells the kinds of MinIO's InternalError apart, or OpenSSL's.
    """
    if code in ("InternalError", "500") and _DAMAGED_RECORD in message:
        return Cause.DAMAGED
    if code in ("InternalError", "500") and _NO_ROOM in message:
        return Cause.FULL
    if code == "SSLError" and _TLS_CUT in message:
        return Cause.CUT
    return _CODES.get(code, Cause.OTHER)


def explain(cause: Cause, message: str = "") -> Explanation:
    """Return what a person reads of a cause; `message` is all there is to say of an unknown one."""
    return EXPLANATIONS.get(cause) or Explanation(Cause.OTHER, message.rstrip(".") or "it did not say why")


_CERTIFICATES: Final = {
    "expired": "It has expired.",
    "not yet valid": "It is not valid yet; or this machine's clock is behind.",
    "ostname": "It was made for another name than the one in the address.",
    "IP address mismatch": "It was made for another address.",
    "self-signed": "It is signed by an authority that is not among the trusted ones.",
    "self signed": "It is signed by an authority that is not among the trusted ones.",
    "unable to get local issuer": "It is signed by an authority that is not among the trusted ones.",
    "WRONG_VERSION_NUMBER": "The store speaks HTTP at this address, not HTTPS.",
}


def certificate_reason(message: str) -> str:
    """Return why a certificate was refused, from OpenSSL's words."""
    return next((why for words, why in _CERTIFICATES.items() if words in message), "")


def skew(date: str, now: datetime) -> str:
    """Return by how much this machine's clock is off the store's, or nothing where that is not known.

    `date` is the header of the store's answer, `now` this machine's time when the answer came.
    """
    try:
        seconds = (now - parsedate_to_datetime(date)).total_seconds()
    except (TypeError, ValueError):
        return ""
    if abs(seconds) < 60:
        return ""
    way = "ahead of" if seconds > 0 else "behind"
    return f"This machine's clock is {abs(seconds) / 60:.0f} minutes {way} the store's."
