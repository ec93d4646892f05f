"""The store's own CA and its certificate, derived from the stack's secret. Pure.

The same inputs give the same bytes: a second `up` shows no difference, and nothing has to be stored or
renewed. The CA's key exists only while the program runs; the server's key is in one Secret.

    generation n    signed by CA n; clients trust CA n and n+1, servers trust n-1 too

Clients trust the next CA before any server uses it, so that replacing the certificate causes no outage;
the replaced CA is no longer trusted. ADR 0006 gives the reasons.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import SecretStr

from slipway.core import certificates
from slipway.core.certificates import Key, Validity

BEGIN: Final = datetime(2026, 1, 1, tzinfo=UTC)
END: Final = datetime(2046, 1, 1, tzinfo=UTC)
"""Fixed, because the current date would differ in every plan."""

_CURVE_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Of P-256."""


@dataclass(frozen=True, kw_only=True)
class StoreCertificate:
    """A store's certificate and key, and the CA certificates to verify it; PEM."""

    certificate: str
    key: SecretStr
    ca_certificates: str
    """CA certificates that clients trust: those of this generation and the next."""

    peers: str
    """CA certificates that servers trust: also the previous one, while they restart one by one."""


def issue(secret: str, generation: int, hosts: Sequence[str]) -> StoreCertificate:
    """Return the certificate of one generation.

    Args:
        secret: The stack's secret.
        generation: Counts from 1; each generation has its own keys.
        hosts: DNS names (with an optional `*.` prefix) and IP addresses of the server.
    """
    names = certificates.hosts(hosts)
    key = _private_key(secret, f"store-server/{generation}")
    before, current, after = (_ca_certificate(secret, generation + step, names) for step in (-1, 0, 1))
    certificate = certificates.signed(
        certificates.subject(f"Slipway store {generation}"),
        key.public_key(),
        Validity(BEGIN, END),
        by=current,
        by_key=_ca_key(secret, generation),
        names=names,
    )
    return StoreCertificate(
        certificate=_pem(certificate),
        key=SecretStr(certificates.key_pem(key).decode()),
        ca_certificates=_pem(current, after),
        peers=_pem(before, current, after),
    )


def _ca_certificate(secret: str, generation: int, names: Sequence[x509.GeneralName]) -> x509.Certificate:
    """Return a CA certificate that is constrained to `names`: it can't be used for other hosts."""
    key = _ca_key(secret, generation)
    tag = hashlib.sha256(certificates.public_der(key.public_key())).hexdigest()[:8]
    name = certificates.subject(f"Slipway store authority {generation} {tag}")
    return certificates.ca_certificate(name, key, Validity(BEGIN, END), only=names)


def _ca_key(secret: str, generation: int) -> Key:
    return _private_key(secret, f"store-authority/{generation}")


def _private_key(secret: str, purpose: str) -> Key:
    # 128 bits more than the curve's order, so that the bias of the remainder is negligible.
    raw = HKDF(hashes.SHA256(), 48, salt=b"slipway/v1", info=purpose.encode()).derive(secret.encode())
    scalar = int.from_bytes(raw, "big") % (_CURVE_ORDER - 1) + 1
    return ec.derive_private_key(scalar, ec.SECP256R1())


def _pem(*each: x509.Certificate) -> str:
    return b"".join(map(certificates.pem, each)).decode()
