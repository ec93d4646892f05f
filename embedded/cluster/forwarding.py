"""Carries connections from 127.0.0.1 into the cluster: `python -m embedded.cluster.forwarding NAME`.

It runs in the machine's network namespace, reads the table (forwards.py) whenever it changes, and
connects to the Service's cluster address, which the machine reaches by the instance's one route.
The address is looked up at the first connection and again when one fails: a Service may be made
after the forward and made anew later.
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
from embedded.cluster.places import API_PORT, Places
from embedded.instance import Instance
from slipway.core.errors import FailedError

Address = tuple[str, int]
_CONNECT: Final = 5.0
_LOOK: Final = 0.3
_CHUNK: Final = 256 * 1024


class Target(Protocol):
    """Where a port leads."""

    async def address(self, *, anew: bool) -> Address | None:
        """The address now, looked up again if `anew`; None where there is none."""


@dataclass
class Fixed:
    """An address that never changes: the API server's."""

    to: Address

    async def address(self, *, anew: bool) -> Address | None:
        """The address."""
        return None if anew else self.to


class ServiceTarget:
    """A Service's cluster address."""

    def __init__(self, forward: Forward, api: AsyncApi) -> None:
        self._forward = forward
        self._api = api
        self._known: Address | None = None

    async def address(self, *, anew: bool) -> Address | None:
        """The known address, or what the API server says."""
        if self._known is None or anew:
            self._known = await self._look_up()
        return self._known

    async def _look_up(self) -> Address | None:
        path = f"/api/v1/namespaces/{self._forward.namespace}/services/{self._forward.service}"
        try:
            service = await self._api.get(path)
        except (FailedError, httpx.HTTPError):
            return None
        address = (service or {}).get("spec", {}).get("clusterIP")
        return (address, self._forward.service_port) if address and address != "None" else None


async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: Target) -> None:
    """Serve one connection; one that leads nowhere is closed at once."""
    try:
        far = await _reach(target)
        if far is not None:
            far_reader, far_writer = far
            try:
                await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))
            finally:
                far_writer.close()
    finally:
        writer.close()


async def _reach(target: Target) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
    for anew in (False, True):
        address = await target.address(anew=anew)
        if address is None:
            continue
        with contextlib.suppress(OSError, TimeoutError):
            return await asyncio.wait_for(asyncio.open_connection(*address, limit=_CHUNK), _CONNECT)
    return None


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy until one side ends, then tell the other; a half-closed connection stays useful."""
    try:
        while chunk := await reader.read(_CHUNK):
            writer.write(chunk)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except (OSError, RuntimeError):
        writer.close()


class Forwarder:
    """Keeps one listener per entry of the table."""

    def __init__(self, places: Places) -> None:
        self._places = places
        node = str(places.instance.addresses.node)
        self._api = AsyncApi(places, f"https://{node}:{API_PORT}", "forwards")
        self._own = {places.instance.ports.api: Fixed((node, API_PORT))}
        self._open: dict[int, tuple[Forward | None, asyncio.Server]] = {}

    async def run(self) -> None:
        """Follow the table for ever; a port that is taken is tried again at every look."""
        while True:
            await self._follow()
            await asyncio.sleep(_LOOK)

    async def _follow(self) -> None:
        wanted: dict[int, Forward | None] = dict.fromkeys(self._own)
        wanted.update({forward.port: forward for forward in forwards.read(self._places.forwards)})
        for port, (held, server) in list(self._open.items()):
            if port not in wanted or wanted[port] != held:
                server.close()
                del self._open[port]
        for port in wanted.keys() - self._open.keys():
            await self._listen(port, wanted[port])

    async def _listen(self, port: int, forward: Forward | None) -> None:
        target: Target = self._own[port] if forward is None else ServiceTarget(forward, self._api)
        try:
            server = await asyncio.start_server(
                lambda reader, writer: carry(reader, writer, target), "127.0.0.1", port, limit=_CHUNK
            )
        except OSError as error:
            _say(f"port {port}: {error.strerror}")
            return
        self._open[port] = (forward, server)
        _say(f"127.0.0.1:{port} -> {f'{forward.namespace}/{forward.service}' if forward else 'API server'}")


def _say(line: str) -> None:
    print(line, flush=True)


def main(name: str) -> None:
    """Forward for the instance `name` until killed."""
    asyncio.run(Forwarder(Places(Instance(name))).run())


if __name__ == "__main__":
    main(sys.argv[1])
