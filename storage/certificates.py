"""The store's own authority and its certificate, derived from the stack's secret. Pure.

Same inputs, same bytes: a second `up` has no difference, and nothing need be stored or renewed by a
machine. The authority's key exists only while the program runs; the server's is in one Secret.

    generation n    signed by authority n; readers trust n and n+1, servers trust n-1 too

So a reader trusts the next authority before there is a server with it: replacing the certificate
interrupts nobody, and what was replaced is trusted no longer. ADR 0006 says why.
"""

import hashlib
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from pydantic import SecretStr

BEGIN: Final = datetime(2026, 1, 1, tzinfo=UTC)
END: Final = datetime(2046, 1, 1, tzinfo=UTC)
"""Fixed, because a date of today would differ in every plan."""

_CURVE_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Of P-256."""


@dataclass(frozen=True, kw_only=True)
class StoreCertificate:
    """What a store's server shows, and what proves it; PEM."""

    certificate: str
    key: SecretStr
    authorities: str
    """What readers trust: this generation's authority and the next."""

    peers: str
    """What servers trust among themselves: the generation before too, while they restart in turn."""


def issue(secret: str, generation: int, hosts: Sequence[str]) -> StoreCertificate:
    """Return the certificate of one generation.

    Args:
        secret: The stack's.
        generation: Counts from 1; another one has other keys throughout.
        hosts: DNS names, `*.` before them allowed, and IP addresses that the server is called by.
    """
    names = [_general_name(host) for host in dict.fromkeys(hosts)]
    key = _private_key(secret, f"store-server/{generation}")
    signer = _private_key(secret, f"store-authority/{generation}")
    before, current, after = (_authority(secret, generation + step, names) for step in (-1, 0, 1))
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Slipway store {generation}")])
    certificate = (
        _builder(subject, current.subject, key.public_key(), names)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(key_usage(sign=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
        .sign(signer, hashes.SHA256(), ecdsa_deterministic=True)
    )
    return StoreCertificate(
        certificate=_pem(certificate),
        key=SecretStr(_key_pem(key)),
        authorities=_pem(current) + _pem(after),
        peers=_pem(before) + _pem(current) + _pem(after),
    )


def _authority(secret: str, generation: int, names: Sequence[x509.GeneralName]) -> x509.Certificate:
    """Return an authority that can vouch for `names` and no other host: who trusts it risks no more."""
    key = _private_key(secret, f"store-authority/{generation}")
    tag = hashlib.sha256(_public_der(key.public_key())).hexdigest()[:8]
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Slipway store authority {generation} {tag}")])
    return (
        _builder(name, name, key.public_key(), names)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(key_usage(sign=True), critical=True)
        .add_extension(_constraints(names), critical=True)
        .sign(key, hashes.SHA256(), ecdsa_deterministic=True)
    )


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    names: Sequence[x509.GeneralName],
) -> x509.CertificateBuilder:
    # An issuer uses a serial number once: other content, other number.
    content = repr((subject.rfc4514_string(), _public_der(key), [str(name.value) for name in names]))
    serial = int.from_bytes(hashlib.sha256(content.encode()).digest()[:19], "big") + 1
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(serial)
        .not_valid_before(BEGIN)
        .not_valid_after(END)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _private_key(secret: str, purpose: str) -> ec.EllipticCurvePrivateKey:
    # Half as many bits again as the curve has: what the remainder prefers is then beyond measure.
    raw = HKDF(hashes.SHA256(), 48, salt=b"slipway/v1", info=purpose.encode()).derive(secret.encode())
    scalar = int.from_bytes(raw, "big") % (_CURVE_ORDER - 1) + 1
    return ec.derive_private_key(scalar, ec.SECP256R1())


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host.lower())


def _constraints(names: Sequence[x509.GeneralName]) -> x509.NameConstraints:
    networks = [
        x509.IPAddress(ipaddress.ip_network(name.value)) for name in names if isinstance(name, x509.IPAddress)
    ]
    domains = [
        x509.DNSName(name.value.removeprefix("*.")) for name in names if isinstance(name, x509.DNSName)
    ]
    return x509.NameConstraints(permitted_subtrees=[*domains, *networks], excluded_subtrees=None)


def key_usage(*, sign: bool) -> x509.KeyUsage:
    """Return what a key is for: to sign certificates, or to prove who a server is; never both."""
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


def _public_der(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
