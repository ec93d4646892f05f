"""Who made an index: a code over its bytes that takes the stack's secret to make, and to check. Pure.

HMAC-SHA256 (RFC 2104), because who restores can read the secret anyway: a key pair would protect no more.
The index names every blob by its SHA-256, so what signs the index vouches for all bytes of the snapshot.
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
    """Whether the signature is the key's for this index."""
    return hmac.compare_digest(sign(key, index), signature)
