"""The cluster's network namespace: one link to the machine, and no way out.

The namespace has no default route, so nothing inside can reach further than the link; and a fence
of two nftables chains inside it refuses whatever would start a connection towards the machine, so
that not even the machine's own listeners are in reach of a pod. The machine opens connections to
the cluster, never the other way round.

On the machine there is one link and one route (the instance's slice through it). Its iptables,
nftables and sysctls stay as they are: forwarding is switched on inside the namespace only.
"""

import contextlib
import subprocess
from pathlib import Path
from typing import Final

from embedded.cluster.cgroups import USE_KIND
from embedded.cluster.isolation import remove_mounted_file
from embedded.instance import Instance
from slipway.core.errors import FailedError, UsageError

NODE_LINK: Final = "node0"
EARLIER_FOLDER: Final = Path("/run/netns")
"""Where namespaces of clusters are that a Slipway before 2026-11-28 has started."""
_FENCE: Final = """
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
    """Make the namespace, the link, the routes and the fence; whatever was there goes first.

    Raises:
        UsageError: this kernel has no network namespaces, veth pairs or nftables.
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
    for knob in (f"/proc/sys/net/ipv6/conf/{link}/disable_ipv6",):
        with contextlib.suppress(FileNotFoundError):
            Path(knob).write_text("1")
    _batch(
        [],
        f"addr add {addresses.host}/{addresses.link.prefixlen} dev {link}",
        f"link set {link} up",
    )
    inside = entering(instance)
    _set(inside, "/proc/sys/net/ipv4/ip_forward", "1")
    _set(inside, f"/proc/sys/net/ipv6/conf/{NODE_LINK}/disable_ipv6", "1", optional=True)
    _batch(
        inside,
        "link set lo up",
        f"addr add {addresses.node}/{addresses.link.prefixlen} dev {NODE_LINK}",
        f"link set {NODE_LINK} up",
        # Processes of the namespace itself look up a route before kube-proxy rewrites the address.
        f"route add {addresses.services} dev lo src {addresses.node}",
    )
    _batch([], f"route add {addresses.slice} via {addresses.node} dev {link}")
    _kernel("nftables", [*inside, "nft", "-f", "-"], _FENCE)


def remove(instance: Instance) -> None:
    """Remove link and namespace, if they are there. Processes inside must be gone before.

    Raises:
        FailedError: the namespace's file can't be removed.
    """
    _quiet("ip", "link", "delete", instance.host_link)
    for namespace in _places(instance):
        remove_mounted_file(namespace)
    with contextlib.suppress(OSError):
        EARLIER_FOLDER.rmdir()


def exists(instance: Instance) -> bool:
    """Whether the link or the namespace is there."""
    link = Path("/sys/class/net", instance.host_link)
    return link.exists() or any(place.exists() for place in _places(instance))


def is_current(instance: Instance) -> bool:
    """Whether the namespace is where this version makes it."""
    return instance.network_namespace.exists()


def _places(instance: Instance) -> tuple[Path, Path]:
    return instance.network_namespace, EARLIER_FOLDER / instance.name


def entering(instance: Instance) -> list[str]:
    """The command prefix that runs a program inside.

    Not `ip netns exec`: that mounts /sys anew and so hides the cgroups.
    """
    return ["nsenter", f"--net={instance.network_namespace}"]


def _kernel(feature: str, command: list[str], stdin: str = "") -> None:
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UsageError(
            f"The local cluster can't run here: this kernel lets us make no {feature}.",
            why=done.stderr.strip() or f"{command[0]} ended with {done.returncode}.",
            fix=USE_KIND,
        )


def _batch(prefix: list[str], *lines: str) -> None:
    done = subprocess.run(
        [*prefix, "ip", "-batch", "-"],
        input="\n".join(lines) + "\n",
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise FailedError(
            "The cluster's network can't be set up.",
            why=done.stderr.strip(),
            fix="Look at `ip address` and `ip route` for what is in the way.",
        )


def _set(prefix: list[str], knob: str, value: str, *, optional: bool = False) -> None:
    done = subprocess.run([*prefix, "tee", knob], input=value, capture_output=True, text=True, check=False)
    if done.returncode and not optional:
        raise FailedError(f"{knob} can't be set inside the cluster's namespace.", why=done.stderr.strip())


def _quiet(*command: str) -> None:
    subprocess.run(command, capture_output=True, check=False)
