"""Forward connections from 127.0.0.1 into the cluster: `python -m embedded.cluster.forwarding NAME`.

It runs in the machine's network namespace, reads the table (forwards.py) whenever it changes, and
connects to the cluster IP of a Service, which the machine reaches by the instance's route. The address
is looked up at the first connection and again after a failure: a Service can be created after the
forward, and recreated later.
"""

import asyncio
import contextlib
import sys
from dataclasses import dataclass
from typing import Final, Protocol

import httpx

from embedded.cluster import forwards
from embedded.cluster.api import AsyncApi
from embedded.cluster.forwards import Forward
from embedded.cluster.paths import API_PORT, ClusterPaths
from embedded.instance import Instance
from slipway.core.errors import FailedError

Address = tuple[str, int]
_CONNECT: Final = 5.0
_CHECK_INTERVAL: Final = 0.3
_CHUNK: Final = 256 * 1024


class Target(Protocol):
    """The destination of a port."""

    async def address(self, *, refresh: bool) -> Address | None:
        """The address, looked up again if `refresh`; None if there is none."""


@dataclass
class FixedTarget:
    """A constant address: the API server's."""

    to: Address

    async def address(self, *, refresh: bool) -> Address | None:
        """The address."""
        return None if refresh else self.to


class ServiceTarget:
    """The cluster IP of a Service."""

    def __init__(self, forward: Forward, api: AsyncApi) -> None:
        self._forward = forward
        self._api = api
        self._cached: Address | None = None

    async def address(self, *, refresh: bool) -> Address | None:
        """The cached address, or the one from the API server."""
        if self._cached is None or refresh:
            self._cached = await self._look_up()
        return self._cached

    async def _look_up(self) -> Address | None:
        path = f"/api/v1/namespaces/{self._forward.namespace}/services/{self._forward.service}"
        try:
            service = await self._api.get(path)
        except (FailedError, httpx.HTTPError):
            return None
        address = (service or {}).get("spec", {}).get("clusterIP")
        return (address, self._forward.service_port) if address and address != "None" else None


async def forward_connection(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: Target
) -> None:
    """Serve one connection; close it if the target can't be reached."""
    try:
        remote = await _connect(target)
        if remote is not None:
            remote_reader, remote_writer = remote
            try:
                await asyncio.gather(_copy(reader, remote_writer), _copy(remote_reader, writer))
            finally:
                remote_writer.close()
    finally:
        writer.close()


async def _connect(target: Target) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
    for refresh in (False, True):
        address = await target.address(refresh=refresh)
        if address is None:
            continue
        with contextlib.suppress(OSError, TimeoutError):
            return await asyncio.wait_for(asyncio.open_connection(*address, limit=_CHUNK), _CONNECT)
    return None


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy until end of file, then half-close the other side, whose own direction stays open."""
    try:
        while chunk := await reader.read(_CHUNK):
            writer.write(chunk)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except (OSError, RuntimeError):
        writer.close()


class Forwarder:
    """Keeps a listener for each entry of the table."""

    def __init__(self, paths: ClusterPaths) -> None:
        self._places = paths
        node = str(paths.instance.addresses.node)
        self._api = AsyncApi(paths, f"https://{node}:{API_PORT}", "forwards")
        self._own = {paths.instance.ports.api: FixedTarget((node, API_PORT))}
        self._open: dict[int, tuple[Forward | None, asyncio.Server]] = {}

    async def run(self) -> None:
        """Follow the table forever; a port that is in use is retried at every check."""
        while True:
            await self._follow()
            await asyncio.sleep(_CHECK_INTERVAL)

    async def _follow(self) -> None:
        expected: dict[int, Forward | None] = dict.fromkeys(self._own)
        expected.update({forward.port: forward for forward in forwards.read(self._places.forwards)})
        for port, (open_forward, server) in list(self._open.items()):
            if port not in expected or expected[port] != open_forward:
                server.close()
                del self._open[port]
        for port in expected.keys() - self._open.keys():
            await self._listen(port, expected[port])

    async def _listen(self, port: int, forward: Forward | None) -> None:
        target: Target = self._own[port] if forward is None else ServiceTarget(forward, self._api)
        try:
            server = await asyncio.start_server(
                lambda reader, writer: forward_connection(reader, writer, target),
                "127.0.0.1",
                port,
                limit=_CHUNK,
            )
        except OSError as error:
            _log(f"port {port}: {error.strerror}")
            return
        self._open[port] = (forward, server)
        _log(f"127.0.0.1:{port} -> {f'{forward.namespace}/{forward.service}' if forward else 'API server'}")


def _log(line: str) -> None:
    print(line, flush=True)


def main(name: str) -> None:
    """Forward for the instance `name` until killed."""
    asyncio.run(Forwarder(ClusterPaths(Instance(name))).run())


if __name__ == "__main__":
    main(sys.argv[1])
