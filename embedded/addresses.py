"""The addresses and ports of a local cluster, by the number of its slice. Pure.

198.18.0.0/15 (RFC 2544: never routed on the internet) contains 32 slices.
"""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Final

RANGE: Final = IPv4Network("198.18.0.0/15")
SLICES: Final = 32
FIRST_PORT: Final = 20000
PORTS_PER_SLICE: Final = 20


@dataclass(frozen=True)
class Ports:
    """Ports on 127.0.0.1 of the machine."""

    api: int
    gateway: int
    s3: int
    console: int
    kfp: int

    @classmethod
    def of(cls, number: int) -> "Ports":
        """The ports of slice `number`."""
        base = FIRST_PORT + PORTS_PER_SLICE * number
        return cls(base, base + 1, base + 2, base + 3, base + 4)

    def all(self) -> tuple[int, ...]:
        """All ports, in order."""
        return (self.api, self.gateway, self.s3, self.console, self.kfp)


@dataclass(frozen=True)
class Addresses:
    """The address slice of an instance: a /20 with pods, services and the link to the machine."""

    slice: IPv4Network

    @classmethod
    def of(cls, number: int) -> "Addresses":
        """The addresses of slice `number`."""
        return cls(list(RANGE.subnets(new_prefix=20))[number])

    @property
    def pods(self) -> IPv4Network:
        """The first half: 2046 pods."""
        return next(self.slice.subnets(new_prefix=21))

    @property
    def services(self) -> IPv4Network:
        """The third quarter: 1022 Services."""
        return list(self.slice.subnets(new_prefix=22))[2]

    @property
    def link(self) -> IPv4Network:
        """The veth pair between the machine and the cluster's network namespace."""
        return next(list(self.slice.subnets(new_prefix=22))[3].subnets(new_prefix=30))

    @property
    def host(self) -> IPv4Address:
        """The machine's end of the link."""
        return self.link[1]

    @property
    def node(self) -> IPv4Address:
        """The cluster's end of the link: the node's address."""
        return self.link[2]

    @property
    def api_service(self) -> IPv4Address:
        """Service `kubernetes` in namespace `default`, which always gets the first address."""
        return self.services[1]

    @property
    def dns_service(self) -> IPv4Address:
        """Service `kube-dns` in namespace `kube-system`."""
        return self.services[10]
