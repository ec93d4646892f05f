"""The cluster's network namespace: one link to the machine, and no route beyond it.

The namespace has no default route, so processes in it can't reach further than the link. Two nftables
chains in it reject new connections to the machine, so pods can't reach services on the machine either.
Connections are only opened from the machine to the cluster.

The machine has one additional link and one route (to the instance's slice). Its iptables, nftables and
sysctls are not changed: forwarding is only enabled in the namespace.
"""

import contextlib
import subprocess
from pathlib import Path
from typing import Final

from embedded import USE_DEV
from embedded.cluster.isolation import remove_mounted_file
from embedded.instance import Instance
from slipway.core.errors import FailedError, UsageError

NODE_LINK: Final = "node0"
LEGACY_FOLDER: Final = Path("/run/netns")
"""Folder of the namespaces of clusters that a Slipway before 2026-11-28 started."""
_FIREWALL: Final = """
table inet slipway-fence {
  chain output {
    type filter hook output priority filter; policy accept;
    oifname "node0" ct state new reject with icmpx admin-prohibited
  }
  chain forward {
    type filter hook forward priority filter; policy accept;
    oifname "node0" ct state new reject with icmpx admin-prohibited
  }
}
"""


def make(instance: Instance) -> None:
    """Create the namespace, the link, the routes and the firewall; remove leftovers first.

    Raises:
        UsageError: This kernel has no network namespaces, veth pairs or nftables.
    """
    remove(instance)
    namespace, addresses, link = instance.network_namespace, instance.addresses, instance.host_link
    namespace.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    namespace.touch(mode=0o444)
    _kernel("network namespaces", ["unshare", f"--net={namespace}", "true"])
    _kernel(
        "veth pairs",
        ["ip", "link", "add", link, "type", "veth", "peer", "name", NODE_LINK, "netns", str(namespace)],
    )
    for sysctl in (f"/proc/sys/net/ipv6/conf/{link}/disable_ipv6",):
        with contextlib.suppress(FileNotFoundError):
            Path(sysctl).write_text("1")
    _batch(
        [],
        f"addr add {addresses.host}/{addresses.link.prefixlen} dev {link}",
        f"link set {link} up",
    )
    inside = enter_command(instance)
    _set(inside, "/proc/sys/net/ipv4/ip_forward", "1")
    _set(inside, f"/proc/sys/net/ipv6/conf/{NODE_LINK}/disable_ipv6", "1", optional=True)
    _batch(
        inside,
        "link set lo up",
        f"addr add {addresses.node}/{addresses.link.prefixlen} dev {NODE_LINK}",
        f"link set {NODE_LINK} up",
        # Processes in the namespace need a route before kube-proxy rewrites the address.
        f"route add {addresses.services} dev lo src {addresses.node}",
    )
    _batch([], f"route add {addresses.slice} via {addresses.node} dev {link}")
    _kernel("nftables", [*inside, "nft", "-f", "-"], _FIREWALL)


def remove(instance: Instance) -> None:
    """Remove the link and the namespace if they exist. Processes in it must have ended.

    Raises:
        FailedError: The namespace's file can't be removed.
    """
    _quiet("ip", "link", "delete", instance.host_link)
    for namespace in _namespace_files(instance):
        remove_mounted_file(namespace)
    with contextlib.suppress(OSError):
        LEGACY_FOLDER.rmdir()


def exists(instance: Instance) -> bool:
    """Whether the link or the namespace exists."""
    link = Path("/sys/class/net", instance.host_link)
    return link.exists() or any(place.exists() for place in _namespace_files(instance))


def is_current(instance: Instance) -> bool:
    """Whether the namespace exists in this version's location."""
    return instance.network_namespace.exists()


def _namespace_files(instance: Instance) -> tuple[Path, Path]:
    return instance.network_namespace, LEGACY_FOLDER / instance.name


def enter_command(instance: Instance) -> list[str]:
    """The command prefix that runs a program in the namespace.

    Not `ip netns exec`, which mounts a new /sys and thereby hides the cgroups.
    """
    return ["nsenter", f"--net={instance.network_namespace}"]


def _kernel(feature: str, command: list[str], stdin: str = "") -> None:
    completed = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    if completed.returncode:
        raise UsageError(
            f"The local cluster can't run here: this kernel does not support {feature}.",
            why=completed.stderr.strip() or f"{command[0]} exited with code {completed.returncode}.",
            fix=USE_DEV,
        )


def _batch(prefix: list[str], *lines: str) -> None:
    completed = subprocess.run(
        [*prefix, "ip", "-batch", "-"],
        input="\n".join(lines) + "\n",
        capture_output=True,
        text=True,
        check=False,
    )
    if completed.returncode:
        raise FailedError(
            "The cluster's network can't be set up.",
            why=completed.stderr.strip(),
            fix="Look for conflicts with `ip address` and `ip route`.",
        )


def _set(prefix: list[str], sysctl: str, value: str, *, optional: bool = False) -> None:
    completed = subprocess.run(
        [*prefix, "tee", sysctl], input=value, capture_output=True, text=True, check=False
    )
    if completed.returncode and not optional:
        raise FailedError(f"{sysctl} can't be set in the cluster's namespace.", why=completed.stderr.strip())


def _quiet(*command: str) -> None:
    subprocess.run(command, capture_output=True, check=False)
