"""Checksums as S3 writes them in its headers."""

import base64


def encoded_sha256(digest: str) -> str:
    """Return a SHA-256 given in hexadecimal as S3 takes it: in base64."""
    return base64.b64encode(bytes.fromhex(digest)).decode()
