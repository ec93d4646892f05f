"""Transfers without a store: signatures as botocore makes them, S3's limits on parts, hashes in order."""

import hashlib
import os
import random
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from unittest import mock

import botocore.auth
import pytest
from awscrt import checksums
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials
from hypothesis import given
from hypothesis import strategies as st

from slipway.core.errors import FailedError
from storage.transfer import parts as transfer_parts
from storage.transfer.landing import Landing
from storage.transfer.parts import MOST_PARTS, MOST_SPAN, PART, InOrder, Stretch, part_size, span_size
from storage.transfer.signing import UNSIGNED, Credentials, path_of, query_of, signed_headers
from storage.transfer.transfers import workers_for

NOW = datetime(2026, 11, 23, 12, 30, 5, tzinfo=UTC)
WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=30)


@given(
    key=WORDS.filter(lambda key: key.strip("/") == key),
    query=st.dictionaries(WORDS, WORDS, max_size=3),
    method=st.sampled_from(["GET", "PUT", "HEAD"]),
    token=st.none() | st.just("session/token+=="),
)
def test_signatures_are_those_of_botocore(key, query, method, token):
    path, encoded = path_of("bucket", key, path_style=True), query_of(query)
    headers = {"host": "127.0.0.1:9000", "range": "bytes=0-5", "x-amz-checksum-mode": "ENABLED"}
    ours = signed_headers(
        method,
        path,
        encoded,
        headers,
        payload=UNSIGNED,
        credentials=Credentials("access", "secret", token),
        region="eu-west-1",
        now=NOW,
    )
    url = f"http://127.0.0.1:9000{path}" + (f"?{encoded}" if encoded else "")
    request = AWSRequest(method, url, headers={name: headers[name] for name in headers if name != "host"})
    request.context["payload_signing_enabled"] = False
    request.headers["X-Amz-Content-SHA256"] = UNSIGNED
    signer = botocore.auth.S3SigV4Auth(BotoCredentials("access", "secret", token), "s3", "eu-west-1")
    with (
        mock.patch.object(signer, "payload", return_value=UNSIGNED),
        mock.patch("botocore.auth.get_current_datetime", return_value=NOW.replace(tzinfo=None)),
    ):
        signer.add_auth(request)
    assert ours["authorization"] == request.headers["Authorization"]


def test_a_bucket_in_the_host_is_not_in_the_path():
    assert path_of("bucket", "a b/ü", path_style=False) == "/a%20b/%C3%BC"
    assert path_of("bucket", "a b/ü", path_style=True) == "/bucket/a%20b/%C3%BC"


@given(st.integers(min_value=1, max_value=5 << 40))
def test_parts_keep_to_the_limits_of_s3(size):
    each = part_size(size)
    assert each >= PART
    assert each % (1 << 20) == 0
    assert -(-size // each) <= MOST_PARTS


def test_a_large_object_is_read_in_quarters_that_are_neither_tiny_nor_huge():
    assert span_size(PART + 1, PART + 1) == PART
    assert span_size(4 * MOST_SPAN - 5, 4 * MOST_SPAN - 5) == MOST_SPAN - 1
    assert span_size(5 << 40, 5 << 40) == MOST_SPAN


def test_many_objects_together_are_read_in_fewer_pieces():
    assert span_size(MOST_SPAN, 5 * MOST_SPAN) == 5 * MOST_SPAN // 16
    assert span_size(MOST_SPAN, 64 * MOST_SPAN) == MOST_SPAN


@pytest.mark.parametrize(
    ("sizes", "cores", "workers"),
    [
        ([], 2, 8),
        ([PART] * 3, 1, 8),
        ([PART + 1], 1, 2),
        ([PART + 1], 2, 4),
        ([PART + 1], 64, 8),
        ([3 * PART, *[PART] * 2], 2, 4),
        ([3 * PART, *[PART] * 3], 2, 8),
    ],
)
def test_parts_take_as_many_requests_as_the_cores_bear(sizes, cores, workers):
    assert workers_for(sizes, 8, cores) == workers


def test_a_hash_of_parts_that_finish_in_any_order(tmp_path, monkeypatch):
    monkeypatch.setattr(transfer_parts, "CHUNK", 1000)
    path, each, count = tmp_path / "file", 2500, 40
    path.write_bytes(os.urandom(each * count))
    descriptor = os.open(path, os.O_RDONLY)
    try:
        hashed = InOrder(lambda number: Stretch(descriptor, number * each, each, path))
        order = list(range(count))
        random.Random(1).shuffle(order)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(hashed.finished, order))
        whole = Stretch(descriptor, 0, each * count, path)
        expected = hashlib.sha256(path.read_bytes()).hexdigest()
        assert hashed.hexdigest() == whole.sha256() == expected
        assert whole.crc() == checksums.crc64nvme(path.read_bytes())
    finally:
        os.close(descriptor)


def test_a_file_that_shrinks_is_refused(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with pytest.raises(FailedError, match="Could not read"):
            Stretch(descriptor, 0, 6, path)
    finally:
        os.close(descriptor)


def test_a_landing_replaces_only_when_it_is_whole(tmp_path):
    final = tmp_path / "folder" / "file"
    final.parent.mkdir()
    final.write_bytes(b"old")
    for whole in (False, True):
        landing = Landing(final)
        landing.open()
        landing.write(memoryview(b"new"), 0)
        assert final.read_bytes() == b"old"
        if whole:
            landing.land()
        landing.abandon()
    assert final.read_bytes() == b"new"
    assert list(final.parent.iterdir()) == [final]
