"""Readiness probes of components: an open port, a socket that accepts connections, a health path."""

import asyncio
import contextlib
import socket
import ssl
from pathlib import Path

from embedded.cluster.components import Component
from embedded.cluster.paths import API_PORT, ClusterPaths

_TIMEOUT = 2.0


async def is_ready(component: Component, pid: int | None, paths: ClusterPaths) -> bool:
    """Whether `component`, running as `pid`, is ready."""
    if pid is None:
        return False
    if component.listens is not None:
        return listening(pid, component.listens)
    if component.socket is not None:
        return accepts(component.socket)
    if component.healthy is not None:
        return await healthy(paths, component.healthy)
    return True


def listening(pid: int, port: int) -> bool:
    """Whether `port` is open in the network namespace of `pid`; works from any namespace."""
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == "0A" and int(fields[1].rsplit(":", 1)[1], 16) == port:
                    return True
    return False


def accepts(path: Path) -> bool:
    """Whether a Unix socket accepts connections."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(_TIMEOUT)
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


async def healthy(paths: ClusterPaths, path: str) -> bool:
    """Whether the API server returns 200 at `path`; health paths need no credentials."""
    context = ssl.create_default_context(cafile=str(paths.pki.certificate("ca")))
    node = str(paths.instance.addresses.node)
    try:
        async with asyncio.timeout(_TIMEOUT):
            reader, writer = await asyncio.open_connection(node, API_PORT, ssl=context)
            try:
                writer.write(f"GET {path} HTTP/1.1\r\nHost: {node}\r\nConnection: close\r\n\r\n".encode())
                status = await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False
    return status.split()[1:2] == [b"200"]
