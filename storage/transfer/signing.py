"""Signatures of S3 requests (SigV4), cheap enough for thousands of small objects a second."""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Final
from urllib.parse import quote

EMPTY_SHA256: Final = hashlib.sha256().hexdigest()
UNSIGNED: Final = "UNSIGNED-PAYLOAD"
"""Stands for a body that a checksum protects instead: AWS's own clients send parts this way."""


@dataclass(frozen=True)
class Credentials:
    """A key, and the session token of a key that expires."""

    access_key: str
    secret_key: str = field(repr=False)
    token: str | None = field(default=None, repr=False)


def path_of(bucket: str, key: str, *, path_style: bool) -> str:
    """Return the encoded path of an object's URL."""
    return quote(f"/{bucket}/{key}" if path_style else f"/{key}", safe="/-_.~")


def query_of(parameters: Mapping[str, str]) -> str:
    """Return the query in the order and the encoding that is signed."""
    pairs = ((quote(name, safe=""), quote(value, safe="")) for name, value in parameters.items())
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def signed_headers(
    method: str,
    path: str,
    query: str,
    headers: Mapping[str, str],
    *,
    payload: str,
    credentials: Credentials,
    region: str,
    now: datetime,
) -> dict[str, str]:
    """Return the headers with date, payload hash and signature.

    `headers` are in lower case and hold `host`; `path` and `query` are encoded already. `payload` is
    the body's SHA-256 in hexadecimal, or `UNSIGNED`. `now` is in UTC.
    """
    date = now.strftime("%Y%m%dT%H%M%SZ")
    sent = {**headers, "x-amz-date": date, "x-amz-content-sha256": payload}
    if credentials.token:
        sent["x-amz-security-token"] = credentials.token
    names = sorted(sent)
    listed = ";".join(names)
    lines = "".join(f"{name}:{sent[name]}\n" for name in names)
    canonical = f"{method}\n{path}\n{query}\n{lines}\n{listed}\n{payload}"
    scope = f"{date[:8]}/{region}/s3/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{date}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.digest(_key(credentials.secret_key, scope), text.encode(), "sha256").hex()
    sent["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={credentials.access_key}/{scope}, "
        f"SignedHeaders={listed}, Signature={signature}"
    )
    return sent


@lru_cache(maxsize=8)
def _key(secret: str, scope: str) -> bytes:
    key = b"AWS4" + secret.encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key
