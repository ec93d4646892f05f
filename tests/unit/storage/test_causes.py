"""Each cause has its own message and fix, and reveals no secret."""

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    EndpointConnectionError,
    NoCredentialsError,
    ReadTimeoutError,
    SSLError,
)

from slipway.cli import console
from slipway.core.errors import FailedError, StoreError
from storage.causes import (
    EXPLANATIONS,
    UNREADABLE,
    Cause,
    cause_of,
    certificate_reason,
    explain,
    skew,
)
from storage.client import error_code, is_missing, translated_errors

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


def refused(code: str, message: str = "", status: int = 400, **more) -> ClientError:
    headers = more.pop("headers", {})
    answer = {
        "Error": {"Code": code, "Message": message, **more},
        "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": headers},
    }
    return ClientError(answer, "PutObject")


def store_error(error: Exception) -> StoreError:
    with pytest.raises(StoreError) as caught, translated_errors("write team-a/x"):
        raise error
    return caught.value


def test_every_known_cause_has_its_own_message():
    assert set(EXPLANATIONS) == set(Cause) - {Cause.OTHER}
    assert len({each.summary for each in EXPLANATIONS.values()}) == len(EXPLANATIONS)
    for cause, explanation in EXPLANATIONS.items():
        assert explanation.cause is cause
        assert cause is Cause.OBJECT_MISSING or explanation.fix, "says what to do"
        assert not explanation.summary.endswith("."), "the first line adds the period"


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        ("InvalidAccessKeyId", "unknown-key"),
        ("SignatureDoesNotMatch", "wrong-secret"),
        ("AccessDenied", "forbidden"),
        ("NoSuchBucket", "bucket-missing"),
        ("NoSuchKey", "object-missing"),
        ("XMinioStorageFull", "full"),
        ("507", "full"),
        ("XMinioAdminBucketQuotaExceeded", "quota"),
        ("RequestTimeTooSkewed", "clock-skew"),
        ("SlowDown", "busy"),
        ("ServiceUnavailable", "busy"),
        ("XMinioServerNotInitialized", "busy"),
        ("SlowDownRead", "damaged"),
        (UNREADABLE, "damaged"),
        ("BadDigest", "altered"),
        ("IncompleteBody", "cut"),
        ("AuthorizationHeaderMalformed", "region"),
        ("SomethingNew", "other"),
        ("InternalError", "other"),
    ],
)
def test_each_code_has_its_cause(code, cause):
    error = store_error(refused(code, "said the store"))
    assert (error.cause, error.exit_code) == (cause, 1)
    assert error.what.startswith("Could not write team-a/x: ")
    assert code in error.why


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (EndpointConnectionError(endpoint_url="http://127.0.0.1:9/b/k?x=y"), "unreachable"),
        (ConnectionClosedError(endpoint_url="http://127.0.0.1:9/b/k?x=y"), "cut"),
        (ReadTimeoutError(endpoint_url="http://127.0.0.1:9/b/k?x=y"), "slow"),
        (NoCredentialsError(), "no-identity"),
        (SSLError(endpoint_url="https://127.0.0.1:9/b", error="certificate has expired"), "certificate"),
        (
            SSLError(endpoint_url="https://127.0.0.1:9/b", error="EOF occurred in violation of protocol"),
            "cut",
        ),
    ],
)
def test_client_errors_name_the_store_but_not_the_request(error, cause):
    result = store_error(error)
    assert result.cause == cause
    assert "?" not in str(result)
    if cause != "no-identity":
        assert "://127.0.0.1:9:" in result.why


def test_an_unknown_error_quotes_the_store():
    assert (
        store_error(refused("SomethingNew", "Out of luck.")).what == "Could not write team-a/x: Out of luck."
    )
    assert "the store gave no reason" in store_error(refused("SomethingNew")).what


def test_kinds_of_internal_errors_are_distinguished():
    message = "We encountered an internal error: cause(xlMetaV2.Load version(3), CRC mismatch, want 0x1)"
    assert cause_of("InternalError", message) is Cause.DAMAGED
    full = "We encountered an internal error: cause(no space left on device)"
    assert cause_of("InternalError", full) is Cause.FULL
    assert cause_of("InternalError", "We encountered an internal error.") is Cause.OTHER


def test_a_head_has_its_code_from_the_header_or_status():
    headers = {"x-minio-error-code": "NoSuchBucket"}
    bucket, plain = refused("404", headers=headers), refused("404")
    assert (error_code(bucket), is_missing(bucket)) == ("NoSuchBucket", False)
    assert (error_code(plain), is_missing(plain)) == ("404", True)
    assert store_error(refused("403")).cause == "forbidden"


def test_a_missing_bucket_is_named():
    assert (
        "the bucket models does not exist" in store_error(refused("NoSuchBucket", BucketName="models")).what
    )


@pytest.mark.parametrize(
    ("off", "text"),
    [
        (timedelta(minutes=-20), "20 minutes behind"),
        (timedelta(minutes=20), "20 minutes ahead of"),
        (timedelta(seconds=30), ""),
    ],
)
def test_clock_skew_is_reported_if_known(off, text):
    text_of_skew = skew(format_datetime(NOW, usegmt=True), NOW + off)
    assert text_of_skew == (f"This machine's clock is {text} the store's." if text else "")
    assert skew("no date", NOW) == ""
    assert skew("", NOW) == ""


@pytest.mark.parametrize(
    ("openssl", "why"),
    [
        ("certificate verify failed: certificate has expired (_ssl.c:1006)", "expired"),
        (
            "certificate verify failed: self-signed certificate in certificate chain",
            "a CA that is not trusted",
        ),
        ("certificate verify failed: unable to get local issuer certificate", "a CA that is not trusted"),
        ("Hostname mismatch, certificate is not valid for 'store'.", "another name"),
        ("IP address mismatch, certificate is not valid for '127.0.0.1'.", "another address"),
        ("[SSL: WRONG_VERSION_NUMBER] wrong version number", "uses HTTP"),
        ("something else", ""),
    ],
)
def test_a_rejected_certificate_has_a_reason(openssl, why):
    assert why in certificate_reason(openssl)
    assert (
        explain(Cause.CERTIFICATE).summary
        in store_error(SSLError(endpoint_url="https://s", error=openssl)).what
    )


def test_json_contains_the_cause_of_store_errors_only(capsys):
    console.show_error(store_error(refused("SlowDown")), as_json=True)
    assert json.loads(capsys.readouterr().out)["cause"] == "busy"
    console.show_error(FailedError("No."), as_json=True)
    assert "cause" not in json.loads(capsys.readouterr().out)
