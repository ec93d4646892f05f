"""The store's own authority and its certificate, derived from the stack's secret. Pure.

Same inputs, same bytes: a second `up` has no difference, and nothing need be stored or renewed by a
machine. The authority's key exists only while the program runs; the server's is in one Secret.

    generation n    signed by authority n; readers trust n and n+1, servers trust n-1 too

So a reader trusts the next authority before there is a server with it: replacing the certificate
interrupts nobody, and what was replaced is trusted no longer. ADR 0006 says why.
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
"""Fixed, because a date of today would differ in every plan."""

_CURVE_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Of P-256."""


@dataclass(frozen=True, kw_only=True)
class StoreCertificate:
    """What a store's server shows, and what proves it; PEM."""

    certificate: str
    key: SecretStr
    ca_certificates: str
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
    names = certificates.hosts(hosts)
    key = _private_key(secret, f"store-server/{generation}")
    before, current, after = (_authority(secret, generation + step, names) for step in (-1, 0, 1))
    certificate = certificates.signed(
        certificates.subject(f"Slipway store {generation}"),
        key.public_key(),
        Validity(BEGIN, END),
        by=current,
        by_key=_authority_key(secret, generation),
        names=names,
    )
    return StoreCertificate(
        certificate=_pem(certificate),
        key=SecretStr(certificates.key_pem(key).decode()),
        ca_certificates=_pem(current, after),
        peers=_pem(before, current, after),
    )


def _authority(secret: str, generation: int, names: Sequence[x509.GeneralName]) -> x509.Certificate:
    """Return an authority that can vouch for `names` and no other host: who trusts it risks no more."""
    key = _authority_key(secret, generation)
    tag = hashlib.sha256(certificates.public_der(key.public_key())).hexdigest()[:8]
    name = certificates.subject(f"Slipway store authority {generation} {tag}")
    return certificates.authority(name, key, Validity(BEGIN, END), only=names)


def _authority_key(secret: str, generation: int) -> Key:
    return _private_key(secret, f"store-authority/{generation}")


def _private_key(secret: str, purpose: str) -> Key:
    # Half as many bits again as the curve has: what the remainder prefers is then beyond measure.
    raw = HKDF(hashes.SHA256(), 48, salt=b"slipway/v1", info=purpose.encode()).derive(secret.encode())
    scalar = int.from_bytes(raw, "big") % (_CURVE_ORDER - 1) + 1
    return ec.derive_private_key(scalar, ec.SECP256R1())


def _pem(*each: x509.Certificate) -> str:
    return b"".join(map(certificates.pem, each)).decode()
