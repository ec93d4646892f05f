"""Certificates of webhooks: issuing, renewal, and trust in the previous CA."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from infra.jobs.certificates import ServingCertificate, issue, renewal_reason, service_names, with_previous_ca
from infra.jobs.webhook_certificates import request_from
from slipway.core.errors import UsageError

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
MONTH = timedelta(days=30)
NAMES = service_names("hook", "kserve")


def test_a_new_certificate_needs_no_renewal() -> None:
    assert renewal_reason(issue(NAMES, NOW), NAMES, NOW, MONTH) is None


def test_the_certificate_has_the_name_that_the_api_server_uses() -> None:
    certificate = x509.load_pem_x509_certificate(issue(NAMES, NOW).certificate)
    alternative = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "hook.kserve.svc" in alternative.get_values_for_type(x509.DNSName)


def test_it_is_renewed_a_month_before_it_expires() -> None:
    serving = issue(NAMES, NOW)
    assert renewal_reason(serving, NAMES, NOW + timedelta(days=334), MONTH) is None
    assert renewal_reason(serving, NAMES, NOW + timedelta(days=336), MONTH) == "it expires in 29 days"


def test_each_renewal_reason_is_named() -> None:
    one, other = issue(NAMES, NOW), issue(NAMES, NOW)
    assert renewal_reason(one, service_names("another", "kserve"), NOW, MONTH) == "it is for other names"
    mixed = ServingCertificate(one.certificate, other.key, one.ca_certificates)
    assert renewal_reason(mixed, NAMES, NOW, MONTH) == "its key belongs to another certificate"
    other_ca = ServingCertificate(one.certificate, one.key, other.ca_certificates)
    assert renewal_reason(other_ca, NAMES, NOW, MONTH) == "none of its CA certificates signed it"
    for broken in (
        ServingCertificate(b"", b"", b""),
        ServingCertificate(one.certificate, b"x", one.ca_certificates),
    ):
        assert renewal_reason(broken, NAMES, NOW, MONTH) == "it is unreadable"
    assert renewal_reason(one, NAMES, NOW - MONTH, MONTH) == "it is not valid yet"


def test_a_renewal_keeps_one_valid_previous_ca() -> None:
    first, second, third = (issue(NAMES, NOW + n * timedelta(days=300)) for n in range(3))
    both = with_previous_ca(second, first.ca_certificates, NOW + timedelta(days=300))
    assert both.ca_certificates == second.ca_certificates + first.ca_certificates
    later = with_previous_ca(third, both.ca_certificates, NOW + timedelta(days=600))
    assert later.ca_certificates == third.ca_certificates + second.ca_certificates
    assert with_previous_ca(second, b"no certificate", NOW).ca_certificates == second.ca_certificates
    assert renewal_reason(both, NAMES, NOW + timedelta(days=300), MONTH) is None


def test_repr_does_not_contain_the_key() -> None:
    serving = issue(NAMES, NOW)
    assert serving.key.decode() not in repr(serving).encode().decode("unicode_escape")
    assert b"PRIVATE" not in repr(serving).encode()


def test_the_request_is_read_from_options_or_environment() -> None:
    environment = {
        "SLIPWAY_NAMESPACE": "kserve",
        "SLIPWAY_SECRET": "cert",
        "SLIPWAY_SERVICE": "hook",
        "SLIPWAY_MUTATING": "one",
        "SLIPWAY_VALIDATING": "two,three,two",
    }
    request = request_from([], environment)
    options = ["--namespace", "kserve", "--secret", "cert", "--service", "hook"]
    options += ["--mutating", "one", "--validating", "two", "three"]
    assert request == request_from(options, {})
    assert request.validating == ("two", "three")


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (["--namespace", "kserve", "--secret", "cert"], "service"),
        (["--namespace", "a", "--secret", "b", "--service", "c", "--renew-before-days", "400"], "1 to 300"),
    ],
)
def test_an_incomplete_request_is_rejected(options: list[str], what: str) -> None:
    with pytest.raises(UsageError, match=what):
        request_from(options, {})
