"""Serving certificates for a Service inside the cluster, with authorities of their own. Pure but for keys."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization

from slipway.core.certificates import Validity, authority, hosts, key_pem, new_key, pem, signed, subject

_LIFETIME: Final = timedelta(days=365)
_SKEW: Final = timedelta(minutes=10)
"""Clocks of nodes differ."""


@dataclass(frozen=True)
class Serving:
    """A certificate, its key, and the authorities that clients are to trust; all PEM."""

    certificate: bytes
    key: bytes
    authorities: bytes

    def __repr__(self) -> str:
        """Tell everything but the key."""
        return f"Serving(certificate={self.certificate!r}, authorities={self.authorities!r})"


def names_of(service: str, namespace: str) -> tuple[str, ...]:
    """Return the names that a Service is called by; the API server uses the third."""
    within = f"{service}.{namespace}"
    return (service, within, f"{within}.svc", f"{within}.svc.cluster.local")


def issue(names: Sequence[str], now: datetime) -> Serving:
    """Make an authority, have it sign one certificate for `names`, and forget its key.

    An authority of one certificate can't be stolen. A renewal makes another.
    """
    authority_key, key = new_key(), new_key()
    validity = Validity(now - _SKEW, now + _LIFETIME)
    issuer = authority(subject(f"{names[0]} {now:%Y-%m-%d}"), authority_key, validity)
    certificate = signed(
        subject(names[0][:64]),
        key.public_key(),
        validity,
        by=issuer,
        by_key=authority_key,
        names=hosts(names),
    )
    return Serving(pem(certificate), key_pem(key), pem(issuer))


def defect(serving: Serving, names: Sequence[str], now: datetime, renew_before: timedelta) -> str | None:
    """Say in words why `serving` must be replaced, or None if it is good."""
    try:
        certificate = x509.load_pem_x509_certificate(serving.certificate)
        key = serialization.load_pem_private_key(serving.key, password=None)
        authorities = x509.load_pem_x509_certificates(serving.authorities)
        alternative = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, TypeError, x509.ExtensionNotFound):
        return "it can't be read"
    left = certificate.not_valid_after_utc - now
    defects = {
        "its key belongs to another certificate": key.public_key() != certificate.public_key(),
        "none of its authorities signed it": not any(_signed(certificate, each) for each in authorities),
        "it is for other names": not set(names) <= set(alternative.get_values_for_type(x509.DNSName)),
        "it is not valid yet": certificate.not_valid_before_utc > now,
        f"it ends in {left.days} days": left < renew_before,
    }
    return next((words for words, found in defects.items() if found), None)


def with_previous(serving: Serving, previous: bytes, now: datetime) -> Serving:
    """Return `serving` trusted together with the authorities of `previous` that are still valid.

    A server shows its old certificate until it has read the new one.
    """
    try:
        old = x509.load_pem_x509_certificates(previous)
    except ValueError:
        old = []
    own = x509.load_pem_x509_certificates(serving.authorities)
    kept = [each for each in old if each.not_valid_after_utc > now and each not in own]
    # One is enough: the others' certificates were replaced a renewal ago.
    bundle = b"".join(map(pem, [*own, *kept[:1]]))
    return Serving(serving.certificate, serving.key, bundle)


def _signed(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True
