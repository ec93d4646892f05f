"""What of this machine already holds an address slice or a port: asked before either is taken."""

import json
import socket
import subprocess
from ipaddress import IPv4Network
from pathlib import Path

from embedded.addresses import Addresses, Ports


def holder_of(addresses: Addresses, ports: Ports, *, own_link: str = "") -> str | None:
    """Name the first route, address or port that is in the way, or None.

    Args:
        addresses: the slice in question.
        ports: its ports on 127.0.0.1.
        own_link: the instance's own end of the link; what goes through it is not in the way.
    """
    return network_holder(addresses.slice, own_link=own_link) or port_holder(ports.all())


def network_holder(wanted: IPv4Network, *, own_link: str = "") -> str | None:
    """Name the route or address of this machine that overlaps `wanted`; a default route doesn't."""
    for route in _ip("route", "show", "table", "all"):
        destination = str(route.get("dst", "default"))
        if destination == "default" or route.get("dev") == own_link:
            continue
        try:
            network = IPv4Network(destination, strict=False)
        except ValueError:
            continue
        if network.prefixlen and network.overlaps(wanted):
            return f"route {destination} dev {route.get('dev', '?')}"
    return None


def port_holder(ports: tuple[int, ...]) -> str | None:
    """Name the process that listens on one of `ports` of 127.0.0.1, or None."""
    for port in ports:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return f"port {port}: {_listener(port)}"
    return None


def _listener(port: int) -> str:
    """Find who listens on `port`, by the inode of its socket."""
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
    return "a process that can't be named"


def _ip(*arguments: str) -> list[dict[str, object]]:
    try:
        done = subprocess.run(["ip", "-4", "-json", *arguments], capture_output=True, check=True)
    except (FileNotFoundError, subprocess.CalledProcessError):
        return []
    return list(json.loads(done.stdout or b"[]"))
