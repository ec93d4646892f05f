"""X.509 certificates on P-256: CA certificates, and certificates that a CA signs. Pure.

The same key, names and dates give the same bytes: serial numbers come from the content, signatures are
deterministic (RFC 6979).
"""

import hashlib
import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Key = ec.EllipticCurvePrivateKey
SERVER: Final = ExtendedKeyUsageOID.SERVER_AUTH
CLIENT: Final = ExtendedKeyUsageOID.CLIENT_AUTH


@dataclass(frozen=True)
class Validity:
    """Period in which a certificate is valid, in UTC."""

    begin: datetime
    end: datetime


def new_key() -> Key:
    """Return a random key."""
    return ec.generate_private_key(ec.SECP256R1())


def subject(common_name: str, organization: str = "") -> x509.Name:
    """Return the subject of a certificate."""
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    if organization:
        parts.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
    return x509.Name(parts)


def hosts(names: Iterable[str]) -> list[x509.GeneralName]:
    """Return each host once: DNS names, also with a leading `*.`, and IP addresses."""
    return [_host(name) for name in dict.fromkeys(names)]


def ca_certificate(
    name: x509.Name, key: Key, validity: Validity, only: Sequence[x509.GeneralName] = ()
) -> x509.Certificate:
    """Return a self-signed CA certificate, which can't sign other CAs.

    Args:
        name: Name of the CA.
        key: Key of the CA.
        validity: Period of validity.
        only: The only hosts that it can sign for; all by default.
    """
    builder = (
        _builder(name, name, key.public_key(), validity, only)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(sign=True), critical=True)
    )
    if only:
        builder = builder.add_extension(_constraints(only), critical=True)
    return builder.sign(key, hashes.SHA256(), ecdsa_deterministic=True)


def signed(
    name: x509.Name,
    key: ec.EllipticCurvePublicKey,
    validity: Validity,
    *,
    by: x509.Certificate,
    by_key: Key,
    names: Sequence[x509.GeneralName] = (),
    purposes: Sequence[x509.ObjectIdentifier] = (SERVER,),
) -> x509.Certificate:
    """Return a certificate that a CA signed.

    Args:
        name: Subject.
        key: Public key of the subject.
        validity: Period of validity.
        by: The CA's certificate.
        by_key: The CA's key.
        names: The subject's hosts.
        purposes: SERVER, CLIENT or both.
    """
    builder = (
        _builder(name, by.subject, key, validity, names)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(sign=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_public_key(by_key.public_key()), critical=False
    ).sign(by_key, hashes.SHA256(), ecdsa_deterministic=True)


def pem(certificate: x509.Certificate) -> bytes:
    """Return the certificate as PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def key_pem(key: Key) -> bytes:
    """Return the private key as PEM, not encrypted."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def public_der(key: ec.EllipticCurvePublicKey) -> bytes:
    """Return a public key as DER."""
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _builder(
    name: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    validity: Validity,
    names: Sequence[x509.GeneralName],
) -> x509.CertificateBuilder:
    # An issuer may use a serial number only once, so it is derived from the content.
    content = repr((name.rfc4514_string(), public_der(key), [str(each.value) for each in names]))
    serial = int.from_bytes(hashlib.sha256(content.encode()).digest()[:19], "big") + 1
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(serial)
        .not_valid_before(validity.begin)
        .not_valid_after(validity.end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _host(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name.lower())


def _constraints(names: Sequence[x509.GeneralName]) -> x509.NameConstraints:
    networks = [
        x509.IPAddress(ipaddress.ip_network(name.value)) for name in names if isinstance(name, x509.IPAddress)
    ]
    domains = [
        x509.DNSName(name.value.removeprefix("*.")) for name in names if isinstance(name, x509.DNSName)
    ]
    return x509.NameConstraints(permitted_subtrees=[*domains, *networks], excluded_subtrees=None)


def _key_usage(*, sign: bool) -> x509.KeyUsage:
    """Return the key usage: to sign certificates, or to identify its holder; never both."""
    return x509.KeyUsage(
        digital_signature=not sign,
        key_cert_sign=sign,
        crl_sign=sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
