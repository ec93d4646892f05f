"""A real store for each module that asks for one, and a models bucket for each test."""

import pytest
from support.minio import running_minio
from support.promotions import key_of

from storage.client import StoreAccess, open_store


@pytest.fixture(scope="module")
def minio(tmp_path_factory):
    with running_minio(tmp_path_factory.mktemp("minio")) as server:
        yield server


@pytest.fixture(scope="module")
def client(minio):
    opened = open_store(StoreAccess(endpoint=minio.url, key=key_of(minio), region="us-east-1"))
    opened.create_bucket(Bucket="runs")
    yield opened
    opened.close()


@pytest.fixture
def bucket(client, request):
    name = f"models-{abs(hash(request.node.name)):x}"[:40]
    client.create_bucket(Bucket=name)
    return name
