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
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from embedded.cluster.places import KeyFolder
from slipway.core import atomic_files

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
            self._write_key("service-account", key := ec.generate_private_key(ec.SECP256R1()))
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
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"slipway-{name}")])
        builder = (
            _dated(subject, subject, key.public_key(), now, ROOT_LIFE)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(sign_certificates=True), critical=True)
        )
        self._write_key(name, key)
        _write(self.certificate(name), _pem(builder.sign(key, hashes.SHA256())))
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
        return (
            in_time and held.subject == _subject(leaf) and _alternatives(held) == _wanted_alternatives(leaf)
        )

    def _issue(self, leaf: Leaf, now: datetime) -> None:
        root = _load(self.certificate(leaf.root))
        root_key = serialization.load_pem_private_key(self.key(leaf.root).read_bytes(), password=None)
        assert root is not None
        assert isinstance(root_key, ec.EllipticCurvePrivateKey)
        key = ec.generate_private_key(ec.SECP256R1())
        purposes = [ExtendedKeyUsageOID.SERVER_AUTH] * leaf.server + [
            ExtendedKeyUsageOID.CLIENT_AUTH
        ] * leaf.client
        builder = (
            _dated(_subject(leaf), root.subject, key.public_key(), now, LEAF_LIFE)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(sign_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), critical=False
            )
        )
        if alternatives := _general_names(leaf):
            builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        self._write_key(leaf.file, key)
        _write(self.certificate(leaf.file), _pem(builder.sign(root_key, hashes.SHA256())))

    def _write_key(self, name: str, key: ec.EllipticCurvePrivateKey) -> None:
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        _write(self.key(name), pem)


def _dated(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, life: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _subject(leaf: Leaf) -> x509.Name:
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, leaf.common_name)]
    if leaf.organization:
        parts.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, leaf.organization))
    return x509.Name(parts)


def _general_names(leaf: Leaf) -> list[x509.GeneralName]:
    return [*map(x509.DNSName, leaf.names), *map(x509.IPAddress, leaf.addresses)]


def _wanted_alternatives(leaf: Leaf) -> set[str]:
    return {*leaf.names, *map(str, leaf.addresses)}


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


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _write(path: Path, content: bytes) -> None:
    atomic_files.replace(path, content, mode=atomic_files.PRIVATE)
