"""Find what uses an address slice or a port on this machine, before it is allocated."""

import json
import socket
import subprocess
from ipaddress import IPv4Network
from pathlib import Path

from embedded.addresses import Addresses, Ports


def holder_of(addresses: Addresses, ports: Ports, *, own_link: str = "") -> str | None:
    """The first conflicting route, address or port, or None.

    Args:
        addresses: The address slice.
        ports: Its ports on 127.0.0.1.
        own_link: The instance's link; routes through it are not conflicts.
    """
    return network_holder(addresses.slice, own_link=own_link) or port_holder(ports.all())


def network_holder(addresses: IPv4Network, *, own_link: str = "") -> str | None:
    """The route or address of this machine that overlaps `addresses`, except a default route, or None."""
    for route in _ip("route", "show", "table", "all"):
        destination = str(route.get("dst", "default"))
        if destination == "default" or route.get("dev") == own_link:
            continue
        try:
            network = IPv4Network(destination, strict=False)
        except ValueError:
            continue
        if network.prefixlen and network.overlaps(addresses):
            return f"route {destination} dev {route.get('dev', '?')}"
    return None


def port_holder(ports: tuple[int, ...]) -> str | None:
    """The process that listens on one of `ports` of 127.0.0.1, or None."""
    for port in ports:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return f"port {port}: {_listener(port)}"
    return None


def _listener(port: int) -> str:
    """The process that listens on `port`, found by the inode of its socket."""
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == "0A" and int(fields[1].rsplit(":", 1)[1], 16) == port:
                inodes.add(f"socket:[{fields[9]}]")
    for handle in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if str(handle.readlink()) in inodes:
                pid = handle.parts[2]
                return f"{Path('/proc', pid, 'comm').read_text().strip()} (pid {pid})"
        except OSError:
            continue
    return "an unknown process"


def _ip(*arguments: str) -> list[dict[str, object]]:
    try:
        completed = subprocess.run(["ip", "-4", "-json", *arguments], capture_output=True, check=True)
    except (FileNotFoundError, subprocess.CalledProcessError):
        return []
    return list(json.loads(completed.stdout or b"[]"))
