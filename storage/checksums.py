"""Checksums in the format of S3's headers."""

import base64


def encoded_sha256(digest: str) -> str:
    """Return a hexadecimal SHA-256 in base64, as S3 requires."""
    return base64.b64encode(bytes.fromhex(digest)).decode()
