"""Certificates of webhooks: what is issued, when it is replaced, who is trusted meanwhile."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from infra.jobs.certificates import Serving, defect, issue, names_of, with_previous
from infra.jobs.webhook_certificates import order_from
from slipway.core.errors import UsageError

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
MONTH = timedelta(days=30)
NAMES = names_of("hook", "kserve")


def test_a_fresh_certificate_has_no_defect() -> None:
    assert defect(issue(NAMES, NOW), NAMES, NOW, MONTH) is None


def test_the_certificate_is_for_the_name_that_the_api_server_calls() -> None:
    certificate = x509.load_pem_x509_certificate(issue(NAMES, NOW).certificate)
    alternative = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "hook.kserve.svc" in alternative.get_values_for_type(x509.DNSName)


def test_it_is_renewed_a_month_before_its_end_and_not_earlier() -> None:
    serving = issue(NAMES, NOW)
    assert defect(serving, NAMES, NOW + timedelta(days=334), MONTH) is None
    assert defect(serving, NAMES, NOW + timedelta(days=336), MONTH) == "it ends in 29 days"


def test_each_defect_is_named() -> None:
    one, other = issue(NAMES, NOW), issue(NAMES, NOW)
    assert defect(one, names_of("another", "kserve"), NOW, MONTH) == "it is for other names"
    mixed = Serving(one.certificate, other.key, one.authorities)
    assert defect(mixed, NAMES, NOW, MONTH) == "its key belongs to another certificate"
    stranger = Serving(one.certificate, one.key, other.authorities)
    assert defect(stranger, NAMES, NOW, MONTH) == "none of its authorities signed it"
    for broken in (Serving(b"", b"", b""), Serving(one.certificate, b"x", one.authorities)):
        assert defect(broken, NAMES, NOW, MONTH) == "it can't be read"
    assert defect(one, NAMES, NOW - MONTH, MONTH) == "it is not valid yet"


def test_a_renewal_trusts_the_old_authority_once_and_never_an_ended_one() -> None:
    first, second, third = (issue(NAMES, NOW + n * timedelta(days=300)) for n in range(3))
    both = with_previous(second, first.authorities, NOW + timedelta(days=300))
    assert both.authorities == second.authorities + first.authorities
    later = with_previous(third, both.authorities, NOW + timedelta(days=600))
    assert later.authorities == third.authorities + second.authorities
    assert with_previous(second, b"no certificate", NOW).authorities == second.authorities
    assert defect(both, NAMES, NOW + timedelta(days=300), MONTH) is None


def test_the_key_is_not_in_what_is_printed() -> None:
    serving = issue(NAMES, NOW)
    assert serving.key.decode() not in repr(serving).encode().decode("unicode_escape")
    assert b"PRIVATE" not in repr(serving).encode()


def test_the_order_comes_from_options_or_the_environment() -> None:
    environment = {
        "SLIPWAY_NAMESPACE": "kserve",
        "SLIPWAY_SECRET": "cert",
        "SLIPWAY_SERVICE": "hook",
        "SLIPWAY_MUTATING": "one",
        "SLIPWAY_VALIDATING": "two,three,two",
    }
    said = order_from([], environment)
    options = ["--namespace", "kserve", "--secret", "cert", "--service", "hook"]
    options += ["--mutating", "one", "--validating", "two", "three"]
    assert said == order_from(options, {})
    assert said.validating == ("two", "three")


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (["--namespace", "kserve", "--secret", "cert"], "service"),
        (["--namespace", "a", "--secret", "b", "--service", "c", "--renew-before-days", "400"], "1 to 300"),
    ],
)
def test_an_order_that_says_too_little_is_refused(options: list[str], what: str) -> None:
    with pytest.raises(UsageError, match=what):
        order_from(options, {})
