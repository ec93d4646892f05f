"""The cluster's own certificates and keys: made once, kept 0600, renewed when a start finds them old.

Three roots, as Kubernetes wants them, so that a certificate for one door opens no other: `ca` (API
server, kubelet, every client), `etcd` (only the API server may speak to it) and `front-proxy`
(aggregated APIs). A leaf is reissued when it nears its end or when what it must name has changed.

Deliberately not here: rotation while running. Leaves last a year and every start renews them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from embedded.cluster.places import KeyFolder
from slipway.core import atomic_files, certificates
from slipway.core.certificates import Validity

ROOT_LIFE: Final = timedelta(days=3650)
LEAF_LIFE: Final = timedelta(days=365)
RENEW_BEFORE: Final = timedelta(days=60)
"""A cluster that runs for ten months without a restart still has valid certificates."""
_SKEW: Final = timedelta(minutes=5)


@dataclass(frozen=True)
class Leaf:
    """One certificate to have: who it is for and what it must name."""

    file: str
    root: str
    common_name: str
    organization: str = ""
    names: tuple[str, ...] = ()
    addresses: tuple[IPv4Address, ...] = ()
    server: bool = False
    client: bool = True

    @property
    def hosts(self) -> tuple[str, ...]:
        """Names and addresses."""
        return (*self.names, *map(str, self.addresses))


LOOPBACK: Final = IPv4Address("127.0.0.1")


def leaves(node_name: str, node: IPv4Address, api_service: IPv4Address) -> tuple[Leaf, ...]:
    """Every certificate of a cluster."""
    kubernetes = ["kubernetes", "default", "svc", "cluster", "local"]
    services = tuple(".".join(kubernetes[:length]) for length in range(1, len(kubernetes) + 1))
    clients = {
        "admin": ("slipway:admin", "system:masters"),
        "controller-manager": ("system:kube-controller-manager", ""),
        "scheduler": ("system:kube-scheduler", ""),
        "proxy": ("system:kube-proxy", ""),
        "kubelet": (f"system:node:{node_name}", "system:nodes"),
        "coredns": ("slipway:coredns", ""),
        "volumes": ("slipway:volumes", ""),
        "forwards": ("slipway:forwards", ""),
        "apiserver-kubelet": ("slipway:apiserver-kubelet", ""),
    }
    return (
        Leaf(
            "apiserver",
            "ca",
            "kube-apiserver",
            names=("localhost", *services),
            addresses=(LOOPBACK, node, api_service),
            server=True,
            client=False,
        ),
        Leaf(
            "kubelet-server",
            "ca",
            node_name,
            names=(node_name,),
            addresses=(node,),
            server=True,
            client=False,
        ),
        *(Leaf(file, "ca", name, organization=group) for file, (name, group) in clients.items()),
        Leaf("etcd-server", "etcd", "etcd", names=("localhost",), addresses=(LOOPBACK,), server=True),
        Leaf("apiserver-etcd", "etcd", "kube-apiserver"),
        Leaf("front-proxy-client", "front-proxy", "front-proxy-client"),
    )


class Pki(KeyFolder):
    """The folder of keys and certificates of one cluster, with what makes them."""

    def ensure(self, wanted: Sequence[Leaf], now: datetime | None = None) -> list[str]:
        """Make or renew what is missing, old or wrong; return the names of what was made."""
        now = now or datetime.now(UTC)
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        made = [root for root in sorted({leaf.root for leaf in wanted}) if self._ensure_root(root, now)]
        for leaf in wanted:
            if leaf.root in made or not self._fits(leaf, now):
                self._issue(leaf, now)
                made.append(leaf.file)
        if not self.key("service-account").exists():
            key = certificates.new_key()
            _write(self.key("service-account"), certificates.key_pem(key))
            public = key.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
            _write(self.folder / "service-account.pub", public)
            made.append("service-account")
        return made

    def _ensure_root(self, name: str, now: datetime) -> bool:
        held = _load(self.certificate(name))
        if held and self.key(name).exists() and held.not_valid_after_utc - now > LEAF_LIFE + RENEW_BEFORE:
            return False
        key = certificates.new_key()
        root = certificates.authority(
            certificates.subject(f"slipway-{name}"), key, Validity(now - _SKEW, now + ROOT_LIFE)
        )
        self._write(name, key, root)
        return True

    def _fits(self, leaf: Leaf, now: datetime) -> bool:
        held, root = _load(self.certificate(leaf.file)), _load(self.certificate(leaf.root))
        if held is None or root is None or not self.key(leaf.file).exists():
            return False
        try:
            held.verify_directly_issued_by(root)
        except Exception:  # noqa: BLE001 - whatever is wrong with it, a new one mends it
            return False
        in_time = held.not_valid_before_utc <= now and held.not_valid_after_utc - now > RENEW_BEFORE
        subject = certificates.subject(leaf.common_name, leaf.organization)
        return in_time and held.subject == subject and _alternatives(held) == set(leaf.hosts)

    def _issue(self, leaf: Leaf, now: datetime) -> None:
        root = _load(self.certificate(leaf.root))
        root_key = serialization.load_pem_private_key(self.key(leaf.root).read_bytes(), password=None)
        assert root is not None
        assert isinstance(root_key, ec.EllipticCurvePrivateKey)
        key = certificates.new_key()
        certificate = certificates.signed(
            certificates.subject(leaf.common_name, leaf.organization),
            key.public_key(),
            Validity(now - _SKEW, now + LEAF_LIFE),
            by=root,
            by_key=root_key,
            names=certificates.hosts(leaf.hosts),
            purposes=[certificates.SERVER] * leaf.server + [certificates.CLIENT] * leaf.client,
        )
        self._write(leaf.file, key, certificate)

    def _write(self, name: str, key: certificates.Key, certificate: x509.Certificate) -> None:
        _write(self.key(name), certificates.key_pem(key))
        _write(self.certificate(name), certificates.pem(certificate))


def _alternatives(certificate: x509.Certificate) -> set[str]:
    try:
        held = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    return {str(name.value) for name in held}


def _load(path: Path) -> x509.Certificate | None:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None


def _write(path: Path, content: bytes) -> None:
    atomic_files.replace(path, content, mode=atomic_files.PRIVATE)
