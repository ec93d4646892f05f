"""The cluster's certificates and keys: created once with mode 0600, renewed at start before they expire.

There are three CAs, as Kubernetes recommends, so that a certificate is only valid for its purpose: `ca`
(API server, kubelet, every client), `etcd` (its only client is the API server) and `front-proxy`
(aggregated APIs). A leaf certificate is reissued before it expires or when its names have changed.

Deliberately not here: rotation while the cluster is running. Leaf certificates are valid for a year, and
every start renews them.
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

from embedded.cluster.paths import KeyFolder
from slipway.core import atomic_files, certificates
from slipway.core.certificates import Validity

ROOT_LIFE: Final = timedelta(days=3650)
LEAF_LIFE: Final = timedelta(days=365)
RENEW_BEFORE: Final = timedelta(days=60)
"""A cluster that runs for ten months without a restart still has valid certificates."""
_SKEW: Final = timedelta(minutes=5)


@dataclass(frozen=True)
class Leaf:
    """A required certificate: its CA, subject, names and purposes."""

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
    """The certificates of a cluster."""
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
    """The folder of keys and certificates of a cluster, with methods to create them."""

    def ensure(self, required: Sequence[Leaf], now: datetime | None = None) -> list[str]:
        """Create or renew missing, expiring or wrong certificates; return the names of the created ones."""
        now = now or datetime.now(UTC)
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        created = [root for root in sorted({leaf.root for leaf in required}) if self._ensure_root(root, now)]
        for leaf in required:
            if leaf.root in created or not self._fits(leaf, now):
                self._issue(leaf, now)
                created.append(leaf.file)
        if not self.key("service-account").exists():
            key = certificates.new_key()
            _write(self.key("service-account"), certificates.key_pem(key))
            public = key.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
            _write(self.folder / "service-account.pub", public)
            created.append("service-account")
        return created

    def _ensure_root(self, name: str, now: datetime) -> bool:
        current = _load(self.certificate(name))
        if (
            current
            and self.key(name).exists()
            and current.not_valid_after_utc - now > LEAF_LIFE + RENEW_BEFORE
        ):
            return False
        key = certificates.new_key()
        root = certificates.ca_certificate(
            certificates.subject(f"slipway-{name}"), key, Validity(now - _SKEW, now + ROOT_LIFE)
        )
        self._write(name, key, root)
        return True

    def _fits(self, leaf: Leaf, now: datetime) -> bool:
        current, root = _load(self.certificate(leaf.file)), _load(self.certificate(leaf.root))
        if current is None or root is None or not self.key(leaf.file).exists():
            return False
        try:
            current.verify_directly_issued_by(root)
        except Exception:  # noqa: BLE001 - a new certificate fixes any error
            return False
        in_time = current.not_valid_before_utc <= now and current.not_valid_after_utc - now > RENEW_BEFORE
        subject = certificates.subject(leaf.common_name, leaf.organization)
        return in_time and current.subject == subject and _alternatives(current) == set(leaf.hosts)

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
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    return {str(name.value) for name in names}


def _load(path: Path) -> x509.Certificate | None:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None


def _write(path: Path, content: bytes) -> None:
    atomic_files.replace(path, content, mode=atomic_files.PRIVATE)
