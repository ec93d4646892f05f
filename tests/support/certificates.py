"""Certificates for tests: a CA, and a server certificate that it signed."""

import ipaddress
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class CertificateAuthority:
    """Who signs."""

    key: ec.EllipticCurvePrivateKey
    name: x509.Name
    pem: str


def new_ca() -> CertificateAuthority:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"ca {x509.random_serial_number()}")])
    made = _builder(name, name, key, days=1).add_extension(x509.BasicConstraints(True, None), critical=True)
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    signed = made.add_extension(usage, critical=True).sign(key, hashes.SHA256())
    return CertificateAuthority(key, name, signed.public_bytes(serialization.Encoding.PEM).decode())


def certificate(signer: CertificateAuthority, address: str, *, days: int, folder: Path) -> ssl.SSLContext:
    """Make a server's TLS context for an IP address; it ends in `days`, which may be past."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "store")])
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
    made = _builder(name, signer.name, key, days=days).add_extension(names, critical=False)
    signed = made.sign(signer.key, hashes.SHA256())
    chain = folder / f"{x509.random_serial_number():x}.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    chain.write_bytes(private + signed.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    return context


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, *, days: int
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=2))
        .not_valid_after(now + timedelta(days=days))
    )
