"""Two real stores: a stack's own, and another one for its backups."""

import hashlib

import pytest
from support.backups import opened
from support.minio import running_minio

from storage.backup.place import BackupPlace


@pytest.fixture(scope="package")
def source(tmp_path_factory):
    with running_minio(tmp_path_factory.mktemp("source")) as server:
        yield server


@pytest.fixture(scope="package")
def target(tmp_path_factory):
    with running_minio(tmp_path_factory.mktemp("target")) as server:
        yield server


@pytest.fixture(scope="package")
def store(source):
    client = opened(source)
    yield client
    client.close()


@pytest.fixture(scope="package")
def backups(target):
    client = opened(target)
    yield client
    client.close()


@pytest.fixture
def bucket(store, request):
    return _made(store, request, "models")


@pytest.fixture
def elsewhere(store, request):
    """The models bucket of another, empty stack."""
    return _made(store, request, "other")


@pytest.fixture
def place(backups, request):
    return BackupPlace.at(backups, f"s3://{_made(backups, request, 'backups')}/of/slipway/")


def _made(client, request, kind):
    digest = hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:20]
    client.create_bucket(Bucket=f"{kind}-{digest}")
    return f"{kind}-{digest}"
