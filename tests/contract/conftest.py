"""Real servers: a store for each module that asks for one, an API server for all that can share it."""

from collections.abc import Iterator

import httpx
import pytest
from support.apiserver import ApiServer, api_server
from support.minio import running_minio
from support.promotions import key_of

from storage.client import StoreAccess, open_store


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """For tests that keep to namespaces and names of their own; a module with policies starts another."""
    with api_server(tmp_path_factory.mktemp("apiserver")) as running:
        yield running


@pytest.fixture
def cluster(server: ApiServer) -> Iterator[httpx.Client]:
    with server.http() as http:
        yield http


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
