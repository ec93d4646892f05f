"""How long a client waits for a store that is away, as one on a single node is while it restarts."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from unittest import mock

import pytest
from botocore.exceptions import EndpointConnectionError, SSLError
from pydantic import SecretStr
from support.minio import free_port

from slipway.core.errors import StoreError
from storage.causes import Cause
from storage.client import StoreAccess, asking, open_store
from storage.keys import StoreKey
from storage.transfer.wire import Endpoint, Patience, Request, Wire

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
    """Listen on a port and close every connection, as what stands before a store that is away may do."""
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


def told(endpoint: str) -> StoreError:
    client = open_store(StoreAccess(endpoint=endpoint, region="us-east-1", key=KEY))
    with pytest.raises(StoreError) as raised, asking("list the models"):
        client.list_objects_v2(Bucket="models")
    client.close()
    return raised.value


def test_a_client_waits_for_a_store_that_refuses_connections(slept: list[float]) -> None:
    assert told(f"http://127.0.0.1:{free_port()}").cause is Cause.UNREACHABLE
    assert slept == PAUSES


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_client_waits_for_a_store_before_which_connections_end(slept: list[float], scheme: str) -> None:
    with hanging_up() as port:
        assert told(f"{scheme}://127.0.0.1:{port}").cause is Cause.CUT
    assert slept == PAUSES


@pytest.mark.parametrize("ends", [True, False], ids=["ends", "refused"])
def test_a_transfer_waits_as_long(ends: bool) -> None:
    stop = mock.Mock(**{"is_set.return_value": False})
    with hanging_up() as port:
        url = f"https://127.0.0.1:{port if ends else free_port()}"
        endpoint = Endpoint(StoreAccess(endpoint=url, region="us-east-1", key=KEY), url, Patience())
        with pytest.raises(SSLError if ends else EndpointConnectionError):
            Wire(endpoint, stop).ask(Request("GET", "models", "iris"), lambda answer: answer.read())
    assert [call.args[0] for call in stop.wait.call_args_list] == PAUSES


def test_a_client_that_may_not_wait_does_not(slept: list[float]) -> None:
    client = open_store(
        StoreAccess(endpoint=f"http://127.0.0.1:{free_port()}", region="us-east-1", key=KEY), retries=0
    )
    with pytest.raises(EndpointConnectionError):
        client.list_buckets()
    assert slept == []
