"""A SHA-256 as S3's headers take it."""

import hashlib

from storage.checksums import encoded_sha256


def test_the_empty_object_has_its_published_checksum():
    empty = hashlib.sha256(b"").hexdigest()
    assert encoded_sha256(empty) == "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
