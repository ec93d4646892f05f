"""Signs an index with a key derived from the stack's secret. Pure.

HMAC-SHA256 (RFC 2104): a restore can read the secret anyway, so a key pair would not protect more. The
index names every blob by its SHA-256, so its signature authenticates the whole snapshot.
"""

import hashlib
import hmac
from typing import Final

from pydantic import SecretStr

_PURPOSE: Final = b"slipway backup index 1\n"


def sign(key: SecretStr, index: bytes) -> bytes:
    """Return an index's signature, in hexadecimal."""
    return hmac.new(key.get_secret_value().encode(), _PURPOSE + index, hashlib.sha256).hexdigest().encode()


def is_signed(key: SecretStr, index: bytes, signature: bytes) -> bool:
    """Whether the signature is valid for this key and index."""
    return hmac.compare_digest(sign(key, index), signature)
