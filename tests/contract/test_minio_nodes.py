"""Four MinIO processes that are one store over TLS: what is lost, what goes on, what comes back."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import pytest
from botocore.exceptions import ClientError, SSLError
from pydantic import SecretStr
from support.minio_nodes import Nodes, running_nodes
from support.waiting import eventually

from storage.certificates import issue
from storage.client import StoreAccess, open_store
from storage.keys import StoreKey

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

pytestmark = [pytest.mark.contract, pytest.mark.timeout(300)]

Answer = TypeVar("Answer")

BUCKET = "models"
BODY = bytes(range(256)) * 8192
"""2 MiB: large enough that every drive has a part of it."""


@pytest.fixture
def nodes(tmp_path) -> Iterator[Nodes]:
    with running_nodes(tmp_path) as running:
        yield running


def _client(nodes: Nodes, node: int, ca_certificates: str | None = None) -> "S3Client":
    key = StoreKey(access_key=nodes.access_key, secret_key=SecretStr(nodes.secret_key))
    trusted = nodes.issued.ca_certificates if ca_certificates is None else ca_certificates
    return open_store(StoreAccess(endpoint=nodes.url(node), key=key, region="us-east-1", ca=trusted))


def _read(client: "S3Client", key: str) -> bytes:
    return client.get_object(Bucket=BUCKET, Key=key)["Body"].read()


def _refusal(client: "S3Client", key: str) -> str:
    with pytest.raises(ClientError) as refused:
        _read(client, key)
    return str(refused.value.response["Error"]["Code"])


def _in_the_end(call: Callable[[], Answer]) -> Answer:
    """Do it as soon as the servers have noticed who is gone and who is back; readiness asks for less."""

    def look() -> tuple[Answer] | None:
        try:
            return (call(),)
        except ClientError as error:
            assert error.response["Error"]["Code"] in {"SlowDownRead", "SlowDownWrite"}, error
            return None

    return eventually(look, interval=0.5)[0]


def _wait_for_part(nodes: Nodes, node: int, key: str, client: "S3Client") -> None:
    def healed() -> bool:
        if (nodes.drive(node) / BUCKET / key / "xl.meta").is_file():
            return True
        assert _read(client, key) == BODY, "reading an object that is missing a part has it healed"
        return False

    eventually(healed, interval=0.5)


def test_two_of_four_may_fail_before_data_is_out_of_reach(nodes):
    client = _client(nodes, 0)
    client.create_bucket(Bucket=BUCKET)
    client.put_object(Bucket=BUCKET, Key="whole", Body=BODY)
    for node in range(4):  # the answer comes once three have it
        _wait_for_part(nodes, node, "whole", client)

    nodes.kill(3)
    assert _in_the_end(lambda: _read(client, "whole")) == BODY
    _in_the_end(lambda: client.put_object(Bucket=BUCKET, Key="of-three", Body=BODY))
    assert _in_the_end(lambda: _read(_client(nodes, 1), "of-three")) == BODY

    nodes.kill(2)
    assert _in_the_end(lambda: _read(client, "whole")) == BODY, "half of the parts are enough to read"
    with pytest.raises(ClientError) as refused:
        client.put_object(Bucket=BUCKET, Key="of-two", Body=BODY)
    assert refused.value.response["Error"]["Code"] == "SlowDownWrite"
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503

    nodes.start(2)
    nodes.start(3)
    nodes.wait(0, 1, 2, 3, path="/minio/health/cluster")
    # What was refused is not there by halves.
    eventually(lambda: _refusal(client, "of-two") == "NoSuchKey", interval=0.5)
    _in_the_end(lambda: client.put_object(Bucket=BUCKET, Key="of-four", Body=BODY))
    _wait_for_part(nodes, 3, "of-three", client)

    nodes.kill(0)
    nodes.kill(1)
    assert _in_the_end(lambda: _read(_client(nodes, 2), "of-three")) == BODY, "by the part that was healed"


def test_another_stacks_ca_is_not_trusted(nodes):
    stranger = issue("another stack's secret", 1, nodes.layout.hosts(()))
    with pytest.raises(SSLError, match="CERTIFICATE_VERIFY_FAILED"):
        _client(nodes, 0, stranger.ca_certificates).list_buckets()
    assert _client(nodes, 0).list_buckets()["Buckets"] == [], "the control"


def test_certificates_are_replaced_node_by_node_under_a_reader(nodes):
    """The reader trusts what it trusted at first; the last node is asked while it is the odd one."""
    first = nodes.issued.ca_certificates
    _client(nodes, 0).create_bucket(Bucket=BUCKET)
    _client(nodes, 0).put_object(Bucket=BUCKET, Key="kept", Body=BODY)
    nodes.generation = 2
    for node in reversed(range(4)):
        nodes.kill(node)
        nodes.start(node)
        nodes.wait(*range(4), path="/minio/health/cluster?maintenance=true")
        for other in (0, 3):
            client = _client(nodes, other, first)
            body = _in_the_end(partial(_read, client, "kept"))
            assert body == BODY
            put = partial(client.put_object, Bucket=BUCKET, Key=f"by-{node}-{other}", Body=BODY)
            assert _in_the_end(put)["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert _read(_client(nodes, 0), "kept") == BODY, "who trusts the new ones from now on"
