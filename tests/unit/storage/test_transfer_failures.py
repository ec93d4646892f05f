"""What the AWS CRT reports of a request, in the words that every other request has."""

import socket
import threading

import pytest
from awscrt.exceptions import AwsCrtError
from awscrt.s3 import S3ResponseError
from botocore.exceptions import SSLError
from pydantic import SecretStr
from support.certificates import certificate, new_ca

from slipway.core.errors import FailedError, StoreError
from storage.client import StoreAccess, translated_errors
from storage.keys import StoreKey
from storage.transfer.crt import PART, Bucket, get, put, require_trusted
from storage.transfer.failures import as_botocore, is_unexplained
from storage.transfer.jobs import DownloadJob, UploadJob

URL = "http://127.0.0.1:9000"
KEY = StoreKey(access_key="team-a.editor.1", secret_key=SecretStr("s" * 40))


def bucket(url: str = URL, *, path_style: bool = True, ca: str | None = None) -> Bucket:
    access = StoreAccess(endpoint=url, region="us-east-1", key=KEY, ca=ca, path_style=path_style)
    return Bucket(access, url, "data")


PLACE = bucket()


def crt(name: str) -> AwsCrtError:
    return AwsCrtError(1, name, "as the CRT says it")


def answer(status: int, body: bytes, **headers: str) -> S3ResponseError:
    return S3ResponseError(
        code=14343,
        name="AWS_ERROR_S3_INVALID_RESPONSE_STATUS",
        message="Invalid response status from request",
        status_code=status,
        headers=[(name.replace("_", "-"), value) for name, value in headers.items()],
        body=body,
        operation_name="GetObject",
    )


def error_of(error: BaseException) -> StoreError:
    with (
        pytest.raises(StoreError, match=r"^Could not read a/b\.csv: ") as failed,
        translated_errors("read a/b.csv"),
    ):
        raise as_botocore(error, URL)
    return failed.value


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("AWS_IO_SOCKET_CONNECTION_REFUSED", "unreachable"),
        ("AWS_IO_SOCKET_NO_ROUTE_TO_HOST", "unreachable"),
        ("AWS_IO_SOCKET_TIMEOUT", "unreachable"),
        ("AWS_IO_DNS_INVALID_NAME", "unreachable"),
        ("AWS_IO_SOCKET_CLOSED", "cut"),
        ("AWS_ERROR_HTTP_CONNECTION_CLOSED", "cut"),
        ("AWS_IO_TLS_ERROR_NEGOTIATION_FAILURE", "certificate"),
        ("AWS_ERROR_HTTP_CHANNEL_THROUGHPUT_FAILURE", "slow"),
        ("AWS_ERROR_S3_REQUEST_TIMEOUT", "slow"),
        ("AWS_ERROR_S3_SLOW_DOWN", "busy"),
        ("AWS_ERROR_S3_INTERNAL_ERROR", "other"),
        ("AWS_ERROR_S3_RESPONSE_CHECKSUM_MISMATCH", "altered"),
        ("AWS_AUTH_CREDENTIALS_PROVIDER_DELEGATE_FAILURE", "no-identity"),
    ],
)
def test_what_the_crt_saw_has_a_cause(name, cause):
    assert error_of(crt(name)).cause == cause


def test_an_answer_is_told_by_the_stores_own_code():
    body = b"<Error><Code>NoSuchBucket</Code><Message>no</Message><BucketName>data</BucketName></Error>"
    failed = error_of(answer(404, body))
    assert (failed.cause, failed.what) == (
        "bucket-missing",
        "Could not read a/b.csv: the bucket data does not exist.",
    )
    # A HEAD has no body; MinIO says its code in a header.
    assert error_of(answer(404, b"")).cause == "object-missing"
    assert error_of(answer(403, b"", x_minio_error_code="InvalidAccessKeyId")).cause == "unknown-key"


def test_a_connection_that_broke_names_the_store():
    assert error_of(crt("AWS_IO_SOCKET_CONNECTION_REFUSED")).why.startswith(
        f"EndpointConnectionError at {URL}: "
    )


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (crt("AWS_ERROR_NO_SPACE"), "No space left on device."),
        (RuntimeError("44 (AWS_ERROR_FILE_INVALID_PATH): Invalid file path."), "No such file."),
    ],
)
def test_a_file_that_fails_is_not_blamed_on_the_store(error, why, tmp_path):
    with pytest.raises(FailedError) as failed:
        DownloadJob(PLACE, "key", tmp_path / "to", 5, None).fail(error)
    assert not isinstance(failed.value, StoreError)
    assert (failed.value.what, failed.value.why) == (f"Could not write {tmp_path / 'to'}.", why)


def test_an_error_that_nobody_knows_stays_what_it_is():
    error = ValueError("a fault of ours")
    assert as_botocore(error, URL) is error


def test_a_file_that_shrinks_is_told(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    with pytest.raises(FailedError) as failed:
        UploadJob(PLACE, "key", path, 6, None).fail(crt("AWS_ERROR_S3_INCORRECT_CONTENT_LENGTH"))
    assert str(failed.value) == f"Could not read {path}. It became shorter while it was read."


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (crt("AWS_ERROR_S3_INTERNAL_ERROR"), True),
        (crt("AWS_ERROR_S3_SLOW_DOWN"), True),
        (crt("AWS_IO_SOCKET_CLOSED"), True),
        (crt("AWS_ERROR_HTTP_CHANNEL_THROUGHPUT_FAILURE"), True),
        (answer(400, b"<Error><Code>IncompleteBody</Code></Error>"), True),
        (answer(507, b"<Error><Code>XMinioStorageFull</Code></Error>"), False),
        (answer(403, b"<Error><Code>AccessDenied</Code></Error>"), False),
        (crt("AWS_IO_SOCKET_CONNECTION_REFUSED"), False),
        (crt("AWS_ERROR_S3_RESPONSE_CHECKSUM_MISMATCH"), False),
    ],
)
def test_what_the_crt_does_not_explain_is_tried_once_more(error, again):
    assert is_unexplained(as_botocore(error, URL)) is again


def test_the_bucket_is_in_the_path_or_in_the_host():
    key = "a b/ü+c&=?#~'%.csv"
    inside, outside = PLACE, bucket("https://s3.example.org", path_style=False)
    assert (inside.host, inside.path("k")) == ("127.0.0.1:9000", "/data/k")
    assert outside.host == "data.s3.example.org"
    assert outside.path(key) == "/a%20b/%C3%BC%2Bc%26%3D%3F%23~%27%25.csv"


@pytest.mark.parametrize(("size", "kind"), [(PART, "DEFAULT"), (PART + 1, "GET_OBJECT")])
def test_a_small_object_is_read_in_one_request(tmp_path, size, kind):
    request = get(PLACE, "key", tmp_path / "to", size, None)
    assert request["type"].name == kind
    assert request["checksum_config"].validate_response


def test_a_file_is_not_streamed_whatever_its_size(tmp_path):
    """The CRT announces a streamed file too small, by what goes over the last full part."""
    assert put(PLACE, "key", tmp_path / "file", 5 << 40, {})["fio_options"].should_stream is False


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ("", ""),
        ("CA", "self.signed|unable to get local issuer"),
        ("name", "IP address mismatch"),
        ("expired", "expired"),
        ("plain", "WRONG_VERSION_NUMBER|wrong version number"),
    ],
)
def test_a_certificate_is_compared_before_the_crt_begins(tmp_path, fault, why):
    ours, other = new_ca(), new_ca()
    tls = certificate(
        ours,
        "127.0.0.2" if fault == "name" else "127.0.0.1",
        days=-1 if fault == "expired" else 1,
        folder=tmp_path,
    )
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with server.accept()[0] as connection:
                if fault == "plain":
                    connection.recv(100)
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                    return
                try:
                    tls.wrap_socket(connection, server_side=True).close()
                except OSError:
                    return

        thread = threading.Thread(target=serve)
        thread.start()
        url = f"https://127.0.0.1:{server.getsockname()[1]}"
        asked = bucket(url, ca=(other if fault == "CA" else ours).pem)
        try:
            if fault:
                with pytest.raises(SSLError, match=why):
                    require_trusted(asked, 5)
            else:
                require_trusted(asked, 5)
        finally:
            thread.join()
