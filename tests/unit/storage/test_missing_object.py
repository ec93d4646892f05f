"""Missing and forbidden objects on AWS, distinguished by a listing of the key."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError
from support.moto_server import running_moto

from storage.missing_object import distinguish_missing

DENIED = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"


class _Raw:
    def stream(self, *_: object, **__: object) -> Iterator[bytes]:
        yield DENIED


def deny(operation: str, client: Any) -> None:
    """Answer like AWS: 403, whether the object exists or not."""

    def answer(request: Any, **_: object) -> AWSResponse:
        return AWSResponse(request.url, 403, {"content-length": str(len(DENIED))}, _Raw())

    client.meta.events.register(f"before-send.s3.{operation}", answer)


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Any]:
    with running_moto(tmp_path) as moto:
        made = boto3.client(
            "s3",
            endpoint_url=moto.url,
            region_name="us-east-1",
            aws_access_key_id=moto.access_key,
            aws_secret_access_key=moto.secret_key,
        )
        made.create_bucket(Bucket="models")
        made.put_object(Bucket="models", Key="team-a/there", Body=b"x")
        made.put_object(Bucket="models", Key="team-a/missing-but-longer", Body=b"x")
        yield made


def code(call: Any, **arguments: str) -> str:
    with pytest.raises(ClientError) as caught:
        call(Bucket="models", **arguments)
    return str(caught.value.response["Error"]["Code"])


def test_missing_and_forbidden_are_distinguished(client: Any) -> None:
    deny("GetObject", client)
    deny("HeadObject", client)
    assert code(client.get_object, Key="team-a/missing") == "AccessDenied"
    distinguish_missing(client)
    for call in (client.get_object, client.head_object):
        assert code(call, Key="team-a/missing") == "NoSuchKey"
        assert code(call, Key="team-a/there") in ("AccessDenied", "403")
    deny("ListObjectsV2", client)
    assert code(client.get_object, Key="team-a/missing") == "AccessDenied", (
        "without permission to list, both look the same"
    )


def test_a_readable_object_is_read(client: Any) -> None:
    distinguish_missing(client)
    assert client.get_object(Bucket="models", Key="team-a/there")["Body"].read() == b"x"
