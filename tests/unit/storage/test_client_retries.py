"""How long a client retries an unavailable store, such as one that restarts."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from awscrt.io import ExponentialBackoffJitterMode
from botocore.exceptions import EndpointConnectionError
from pydantic import SecretStr
from support.minio import free_port

from slipway.core.errors import StoreError
from storage.causes import Cause
from storage.client import RETRIES, StoreAccess, open_store, translated_errors
from storage.keys import StoreKey
from storage.transfer import crt

KEY = StoreKey(access_key="team-a.editor.1", secret_key=SecretStr("s" * 40))
PAUSES = [0.5, 1, 2, 4, 8]


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the seconds that botocore would have slept."""
    seconds: list[float] = []
    monkeypatch.setattr("botocore.endpoint.time.sleep", seconds.append)
    return seconds


@contextmanager
def hanging_up() -> Iterator[int]:
    """Listen on a port and close every connection, as a proxy before an unavailable store may do."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def close_all() -> None:
            with suppress(OSError):
                while True:
                    server.accept()[0].close()

        thread = threading.Thread(target=close_all)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def store_error(endpoint: str) -> StoreError:
    client = open_store(StoreAccess(endpoint=endpoint, region="us-east-1", key=KEY))
    with pytest.raises(StoreError) as raised, translated_errors("list the models"):
        client.list_objects_v2(Bucket="models")
    client.close()
    return raised.value


def test_a_client_retries_refused_connections(slept: list[float]) -> None:
    assert store_error(f"http://127.0.0.1:{free_port()}").cause is Cause.UNREACHABLE
    assert slept == PAUSES


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_client_retries_closed_connections(slept: list[float], scheme: str) -> None:
    with hanging_up() as port:
        assert store_error(f"{scheme}://127.0.0.1:{port}").cause is Cause.CUT
    assert slept == PAUSES


def test_a_transfer_uses_the_same_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    options: dict[str, Any] = {}
    monkeypatch.setattr(crt.s3, "S3Client", options.update)
    access = StoreAccess(endpoint="http://127.0.0.1:9000", region="us-east-1", key=KEY)
    place = crt.Bucket(access, "http://127.0.0.1:9000", "data")
    crt.opened(place, connect_seconds=5, retries=RETRIES)
    retry = options["retry_config"]
    assert retry.jitter_mode == ExponentialBackoffJitterMode.NONE
    assert [retry.backoff_scale_factor_ms / 1000 * 2**n for n in range(retry.max_retries)] == PAUSES


def test_a_client_without_retries_fails_at_once(slept: list[float]) -> None:
    client = open_store(
        StoreAccess(endpoint=f"http://127.0.0.1:{free_port()}", region="us-east-1", key=KEY), retries=0
    )
    with pytest.raises(EndpointConnectionError):
        client.list_buckets()
    assert slept == []
