"""SHA-256 in the format of S3's headers."""

import hashlib

from storage.checksums import encoded_sha256


def test_the_checksum_of_the_empty_object():
    empty = hashlib.sha256(b"").hexdigest()
    assert encoded_sha256(empty) == "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
