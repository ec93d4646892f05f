"""Serving certificates for a Service inside the cluster, each with its own CA. Pure but for keys."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization

from slipway.core.certificates import Validity, ca_certificate, hosts, key_pem, new_key, pem, signed, subject

_LIFETIME: Final = timedelta(days=365)
_SKEW: Final = timedelta(minutes=10)
"""Tolerance for clock differences between nodes."""


@dataclass(frozen=True)
class ServingCertificate:
    """A certificate, its key, and the CA certificates that clients trust; all PEM."""

    certificate: bytes
    key: bytes
    ca_certificates: bytes

    def __repr__(self) -> str:
        """Show everything except the key."""
        return (
            f"ServingCertificate(certificate={self.certificate!r}, ca_certificates={self.ca_certificates!r})"
        )


def service_names(service: str, namespace: str) -> tuple[str, ...]:
    """Return the DNS names of a Service; the API server uses the third."""
    within = f"{service}.{namespace}"
    return (service, within, f"{within}.svc", f"{within}.svc.cluster.local")


def issue(names: Sequence[str], now: datetime) -> ServingCertificate:
    """Create a CA, sign one certificate for `names` with it, and discard the CA's key.

    A discarded CA key can't be stolen. A renewal creates a new CA.
    """
    ca_key, key = new_key(), new_key()
    validity = Validity(now - _SKEW, now + _LIFETIME)
    issuer = ca_certificate(subject(f"{names[0]} {now:%Y-%m-%d}"), ca_key, validity)
    certificate = signed(
        subject(names[0][:64]),
        key.public_key(),
        validity,
        by=issuer,
        by_key=ca_key,
        names=hosts(names),
    )
    return ServingCertificate(pem(certificate), key_pem(key), pem(issuer))


def renewal_reason(
    serving: ServingCertificate, names: Sequence[str], now: datetime, renew_before: timedelta
) -> str | None:
    """Return why `serving` must be replaced, or None if it is still good."""
    try:
        certificate = x509.load_pem_x509_certificate(serving.certificate)
        key = serialization.load_pem_private_key(serving.key, password=None)
        ca_certificates = x509.load_pem_x509_certificates(serving.ca_certificates)
        alternative = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, TypeError, x509.ExtensionNotFound):
        return "it is unreadable"
    left = certificate.not_valid_after_utc - now
    reasons = {
        "its key belongs to another certificate": key.public_key() != certificate.public_key(),
        "none of its CA certificates signed it": not any(
            _is_signed_by(certificate, each) for each in ca_certificates
        ),
        "it is for other names": not set(names) <= set(alternative.get_values_for_type(x509.DNSName)),
        "it is not valid yet": certificate.not_valid_before_utc > now,
        f"it expires in {left.days} days": left < renew_before,
    }
    return next((reason for reason, applies in reasons.items() if applies), None)


def with_previous_ca(serving: ServingCertificate, previous: bytes, now: datetime) -> ServingCertificate:
    """Return `serving` with the newest CA certificate of `previous` that is still valid added.

    A server presents its old certificate until it has read the new one.
    """
    try:
        old = x509.load_pem_x509_certificates(previous)
    except ValueError:
        old = []
    own = x509.load_pem_x509_certificates(serving.ca_certificates)
    kept = [each for each in old if each.not_valid_after_utc > now and each not in own]
    # One is enough: certificates of older CAs were replaced by an earlier renewal.
    bundle = b"".join(map(pem, [*own, *kept[:1]]))
    return ServingCertificate(serving.certificate, serving.key, bundle)


def _is_signed_by(certificate: x509.Certificate, ca_certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(ca_certificate)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True
