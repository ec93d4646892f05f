"""Errors of the AWS CRT as botocore's exceptions.

`storage.client.translated_errors` then gives both clients the same messages.
"""

import re
from typing import Any, Final

from awscrt.exceptions import AwsCrtError
from awscrt.s3 import S3ResponseError
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    FlexibleChecksumError,
    ReadTimeoutError,
    SSLError,
)

from storage.causes import CUT_SHORT

_ANSWERS: Final = {
    # The CRT keeps neither code nor message of an answer after which it retried.
    "AWS_ERROR_S3_SLOW_DOWN": (503, "SlowDown"),
    "AWS_ERROR_S3_INTERNAL_ERROR": (500, "InternalError"),
    "AWS_ERROR_S3_REQUEST_TIMEOUT": (400, "RequestTimeout"),
    "AWS_ERROR_S3_REQUEST_TIME_TOO_SKEWED": (403, "RequestTimeTooSkewed"),
}

_UNANSWERED: Final[dict[str, type[BotoCoreError]]] = {
    # By prefix of the name; the first match is used.
    "AWS_IO_SOCKET_TIMEOUT": ConnectTimeoutError,
    "AWS_IO_TLS_NEGOTIATION_TIMEOUT": ConnectTimeoutError,
    "AWS_IO_TLS_ERROR_NEGOTIATION_FAILURE": SSLError,
    "AWS_ERROR_HTTP_CHANNEL_THROUGHPUT_FAILURE": ReadTimeoutError,
    "AWS_ERROR_HTTP_RESPONSE_FIRST_BYTE_TIMEOUT": ReadTimeoutError,
    "AWS_IO_SOCKET_CLOSED": ConnectionClosedError,
    "AWS_IO_BROKEN_PIPE": ConnectionClosedError,
    "AWS_ERROR_HTTP_CONNECTION_CLOSED": ConnectionClosedError,
    "AWS_ERROR_HTTP_SERVER_CLOSED": ConnectionClosedError,
    "AWS_IO_SOCKET_": EndpointConnectionError,
    "AWS_IO_DNS_": EndpointConnectionError,
}

_ON_DISK: Final = {
    "AWS_ERROR_NO_SPACE": "No space left on device.",
    "AWS_ERROR_NO_PERMISSION": "Permission denied.",
    "AWS_ERROR_FILE_INVALID_PATH": "No such file.",
    "AWS_ERROR_FILE_OPEN_FAILURE": "It can't be opened.",
    "AWS_ERROR_FILE_READ_FAILURE": "It can't be read.",
    "AWS_ERROR_FILE_WRITE_FAILURE": "It can't be written.",
}


def name_of(error: BaseException) -> str:
    """Return the CRT's own name of an error, such as `AWS_IO_SOCKET_CLOSED`; empty if it has none."""
    if isinstance(error, AwsCrtError):
        return str(error.name)
    name = re.search(r"\((AWS_[A-Z0-9_]+)\)", str(error)) if isinstance(error, RuntimeError) else None
    return name[1] if name else ""


def disk_reason(error: BaseException) -> str:
    """Return what is wrong with the file on this machine; empty if the store failed."""
    return _ON_DISK.get(name_of(error), "")


def as_botocore(error: BaseException, url: str) -> BaseException:
    """Return the exception that botocore raises for the same failure; `url` is the store's."""
    if isinstance(error, S3ResponseError):
        return _refusal(error)
    name = name_of(error)
    if name in _ANSWERS:
        status, code = _ANSWERS[name]
        return ClientError(_answer(status, code, str(error), {}), "the request")
    if name == "AWS_ERROR_S3_RESPONSE_CHECKSUM_MISMATCH":
        return FlexibleChecksumError(error_msg=str(error))
    if name.startswith("AWS_AUTH_CREDENTIALS_PROVIDER_"):
        return CredentialRetrievalError(provider="delegate", error_msg=str(error))
    kind = next((kind for prefix, kind in _UNANSWERED.items() if name.startswith(prefix)), None)
    return kind(endpoint_url=url, error=error) if kind else error


def is_unexplained(error: BaseException) -> bool:
    """Whether one more attempt by boto3's ordinary client may succeed, or give a better reason.

    That is so for answers of 500 and above, of which the CRT keeps neither code nor message; for answers that
    were cut short, or did not arrive within the CRT's 30 s, as the ordinary client waits longer; and for a
    body that did not arrive whole, which the CRT does not send again.
    """
    if isinstance(error, ClientError):
        return error.response["Error"]["Code"] in ("InternalError", "SlowDown", CUT_SHORT)
    return isinstance(error, ConnectionClosedError | ReadTimeoutError)


def _refusal(error: S3ResponseError) -> ClientError:
    text = (error.body or b"").decode(errors="replace")

    def element(name: str) -> str:
        content = re.search(f"<{name}>([^<]*)</{name}>", text)
        return content[1] if content else ""

    headers = {name.lower(): value for name, value in error.headers or ()}
    answer = _answer(
        error.status_code, element("Code") or str(error.status_code), element("Message"), headers
    )
    if bucket := element("BucketName"):
        answer["Error"]["BucketName"] = bucket
    return ClientError(answer, error.operation_name or "the request")


def _answer(status: int, code: str, message: str, headers: dict[str, str]) -> Any:  # noqa: ANN401 - botocore's own shape
    return {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": headers},
    }
