import asyncio
import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from embedded.cluster import forwards
from embedded.cluster.forwarding import FixedTarget, forward_connection
from embedded.cluster.forwards import Forward
from embedded.cluster.paths import ClusterPaths
from embedded.instance import Instance
from slipway.core.errors import UsageError


@pytest.fixture
def paths(tmp_path):
    instance = Instance("mine", data_root=tmp_path)
    instance.allocate(lambda number: None)
    return ClusterPaths(instance)


def test_a_table_is_sorted_by_port(paths):
    table = forwards.checked([Forward(3001, "b", "s", 80), Forward(3000, "a", "s", 80)], paths)
    forwards.write(paths.forwards, table)
    assert forwards.read(paths.forwards) == table
    assert [f.port for f in table] == [3000, 3001]


def test_a_missing_table_is_empty(paths):
    assert forwards.read(paths.forwards) == ()


def test_one_port_for_two_services_is_refused(paths):
    with pytest.raises(UsageError, match=r"Port 3000 can't be forwarded to b/two.*forwarded to a/one"):
        forwards.checked([Forward(3000, "a", "one", 80), Forward(3000, "b", "two", 80)], paths)


def test_the_api_servers_port_is_reserved(paths):
    with pytest.raises(UsageError, match="the API server"):
        forwards.checked([Forward(paths.instance.ports.api, "a", "one", 80)], paths)


@pytest.mark.parametrize(
    "parts",
    [
        (80, "a", "s", 80),
        (70000, "a", "s", 80),
        (3000, "A", "s", 80),
        (3000, "a", "s/../t", 80),
        (3000, "a", "s", 0),
    ],
)
def test_invalid_forwards_are_refused(parts):
    with pytest.raises(ValidationError):
        Forward(*parts)


class Later:
    """A target whose address is only known after a refresh."""

    def __init__(self, stale, fresh):
        self._addresses = {False: stale, True: fresh}

    async def address(self, *, refresh):
        return self._addresses[refresh]


async def _through(target, sent: bytes) -> bytes:
    front = await asyncio.start_server(lambda r, w: forward_connection(r, w, target), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*front.sockets[0].getsockname())
    with contextlib.suppress(OSError):
        writer.write(sent)
        writer.write_eof()
    try:
        return await asyncio.wait_for(reader.read(-1), 10)
    finally:
        writer.close()
        front.close()


async def _echo(reader, writer):
    writer.write(await reader.read(-1))  # answers only after the other side has ended
    writer.write_eof()
    writer.close()


@settings(max_examples=25)  # real sockets
@given(st.binary(max_size=300_000))
def test_bytes_are_unchanged_after_a_half_close(sent):
    async def scenario():
        server = await asyncio.start_server(_echo, "127.0.0.1", 0)
        try:
            return await _through(FixedTarget(server.sockets[0].getsockname()), sent)
        finally:
            server.close()

    assert asyncio.run(scenario()) == sent


def test_a_stale_address_is_looked_up_again():
    async def scenario():
        server = await asyncio.start_server(_echo, "127.0.0.1", 0)
        unused = await asyncio.start_server(_echo, "127.0.0.1", 0)
        stale = unused.sockets[0].getsockname()
        unused.close()
        await unused.wait_closed()
        try:
            return await _through(Later(stale, server.sockets[0].getsockname()), b"hello")
        finally:
            server.close()

    assert asyncio.run(scenario()) == b"hello"


def test_a_forward_without_a_target_is_closed():
    assert asyncio.run(_through(Later(None, None), b"")) == b""
