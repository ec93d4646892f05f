"""Why a request to the store failed, derived from the code of the store or of its client. Pure.

One table: the error code, the cause in one word for scripts, and the message.
"""

from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Final


class Cause(StrEnum):
    """A cause in one word; stable, for scripts."""

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
    """The message of a cause."""

    cause: Cause
    summary: str
    """The end of the first line: `Could not write x: …`."""

    why: str = ""
    fix: str = ""


UNREADABLE: Final = "UnreadableObject"
"""Our code for an answer that began but whose object the store could not read."""

CUT_SHORT: Final = "IncompleteBody"
"""The code of a body that was cut off in transit, and of a complete one while MinIO's drive is filling up.

MinIO checks its free space once a second, so another attempt distinguishes the two.
"""

EXPLANATIONS: Final = {
    explanation.cause: explanation
    for explanation in (
        Explanation(
            Cause.UNREACHABLE,
            "nothing answers at the store's address",
            "The store is stopped, starting, or not reachable from this machine.",
            "Check with `slipway status` that it is up, then run the command again.",
        ),
        Explanation(
            Cause.CERTIFICATE,
            "the store's certificate is not trusted",
            fix="Provide the CA certificate that signed it, or run `slipway up` to issue it again.",
        ),
        Explanation(
            Cause.CUT,
            "the connection broke during a request or an answer",
            "The store stopped or ran out of space, or a proxy or the network closed the connection.",
            "Check with `slipway status` that it is up, then run the command again.",
        ),
        Explanation(
            Cause.SLOW,
            "the store took too long to answer",
            "The store is reachable, but it is overloaded or its drives do not respond.",
            "Run the command again when the store has less load.",
        ),
        Explanation(
            Cause.BUSY,
            "the store is overloaded or still starting",
            "It rejected every attempt with a request to slow down.",
            "Wait a minute, then run the command again.",
        ),
        Explanation(
            Cause.UNKNOWN_KEY,
            "the store does not know the access key",
            "The key was rotated, or its user was removed or disabled.",
            "Run `slipway up`, which creates the key's user again.",
        ),
        Explanation(
            Cause.WRONG_SECRET,
            "the secret key does not belong to the access key",
            "The store knows the access key, but the signature does not match.",
            "Run `slipway up`, which sets the same key in the store and for its clients.",
        ),
        Explanation(
            Cause.NO_IDENTITY,
            "no valid credentials to sign with",
            "No key was given, and the default credential chain has no credentials or expired ones.",
            "Log in to the cloud account again, or check the role of the ServiceAccount.",
        ),
        Explanation(
            Cause.FORBIDDEN,
            "the key has no permission for this",
            "The key is valid; its policy does not allow this.",
            "Use a command of the right role: each role's key allows only what the role needs.",
        ),
        Explanation(
            Cause.CLOCK_SKEW,
            "this machine's clock and the store's differ too much",
            "Stores reject a request whose time of signing differs from their own by over 15 minutes.",
            "Correct the wrong clock with NTP.",
        ),
        Explanation(
            Cause.REGION,
            "the request was signed for another region than the store's",
            fix="Set the store's region in the stack's settings.",
        ),
        Explanation(
            Cause.BUCKET_MISSING,
            "the bucket does not exist",
            "It was deleted or never created.",
            "Run `slipway up`, which creates the buckets.",
        ),
        Explanation(Cause.OBJECT_MISSING, "the object does not exist"),
        Explanation(
            Cause.FULL,
            "the store is out of space",
            "Existing objects are kept; new ones are rejected.",
            "Enlarge its drives, or delete old runs with the store administrator's key; "
            "then run the command again.",
        ),
        Explanation(
            Cause.QUOTA,
            "the bucket's quota is used up",
            "Existing objects are kept; new ones are rejected.",
            "Raise the quota, or delete unneeded objects from the bucket; then run the command again.",
        ),
        Explanation(
            Cause.DAMAGED,
            "the store can't read an object that it accepted before",
            "Bytes on its drives differ from their checksum, or too few drives are online.",
            "Bring its drives back online, or restore the object from a backup.",
        ),
        Explanation(
            Cause.ALTERED,
            "the bytes changed in transit",
            "Their checksum differs between this machine and the store; they were discarded.",
            "Run the command again; if the error persists, check the proxies in between.",
        ),
    )
}

_CODES: Final = {
    # Our own code, and the names of botocore's exceptions.
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
    # Of S3 and compatible stores.
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
    # MinIO's own. SlowDownRead means that too few drives could answer a read.
    "XMinioServerNotInitialized": Cause.BUSY,
    "XMinioStorageFull": Cause.FULL,
    "XMinioAdminBucketQuotaExceeded": Cause.QUOTA,
    "SlowDownRead": Cause.DAMAGED,
    "SlowDownWrite": Cause.BUSY,
    "XMinioBackendDown": Cause.UNREACHABLE,
    # An answer to HEAD has no body and so no code, only a status.
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
"""Text in MinIO's InternalError if the object's metadata on the drive is damaged."""


_TLS_CLOSED: Final = "EOF occurred"
"""OpenSSL's text if the peer closed the connection without close_notify; not a certificate error."""

_NO_ROOM: Final = "no space left on device"
"""Text in MinIO's InternalError that it sometimes returns instead of its code for a full drive."""


def cause_of(code: str, message: str = "") -> Cause:
    """Return the cause for a store's error code or the name of a botocore exception.

    `message` is the text of the store or of OpenSSL; it distinguishes kinds of MinIO's InternalError.
    """
    if code in ("InternalError", "500") and _DAMAGED_RECORD in message:
        return Cause.DAMAGED
    if code in ("InternalError", "500") and _NO_ROOM in message:
        return Cause.FULL
    if code == "SSLError" and _TLS_CLOSED in message:
        return Cause.CUT
    return _CODES.get(code, Cause.OTHER)


def explain(cause: Cause, message: str = "") -> Explanation:
    """Return the explanation of a cause; that of an unknown cause is `message`."""
    return EXPLANATIONS.get(cause) or Explanation(
        Cause.OTHER, message.rstrip(".") or "the store gave no reason"
    )


_CERTIFICATES: Final = {
    "expired": "It has expired.",
    "not yet valid": "It is not valid yet; or this machine's clock is behind.",
    "ostname": "It was issued for another name than the one in the address.",
    "IP address mismatch": "It was issued for another address.",
    "self-signed": "It is signed by a CA that is not trusted.",
    "self signed": "It is signed by a CA that is not trusted.",
    "unable to get local issuer": "It is signed by a CA that is not trusted.",
    "WRONG_VERSION_NUMBER": "The store uses HTTP at this address, not HTTPS.",
}


def certificate_reason(message: str) -> str:
    """Return why a certificate was rejected, from OpenSSL's message."""
    return next((why for words, why in _CERTIFICATES.items() if words in message), "")


def skew(date: str, now: datetime) -> str:
    """Return by how much this machine's clock differs from the store's, or "" if that is unknown.

    `date` is the Date header of the store's answer, `now` this machine's time when the answer arrived.
    """
    try:
        seconds = (now - parsedate_to_datetime(date)).total_seconds()
    except (TypeError, ValueError):
        return ""
    if abs(seconds) < 60:
        return ""
    direction = "ahead of" if seconds > 0 else "behind"
    return f"This machine's clock is {abs(seconds) / 60:.0f} minutes {direction} the store's."
