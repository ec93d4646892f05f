"""The AWS CRT's S3 client for one store: its address, certificates, key and limits, and its requests.

The CRT splits large objects into parts, signs, retries and computes checksums in C, on its own threads.
`storage.transfer.failures` turns its errors into botocore's exceptions.
"""

import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlsplit

import boto3
from awscrt import auth, io, s3
from awscrt.http import HttpHeaders, HttpRequest
from botocore.exceptions import NoCredentialsError, SSLError
from s3transfer.crt import BotocoreCRTCredentialsWrapper

from storage.client import StoreAccess

PART: Final = 8 << 20
"""Bytes of a part of a large object; a smaller object goes in one request."""

MEMORY: Final = 256 << 20
"""Most bytes that the CRT keeps for the bodies of requests; it accepts no lower limit."""

CONNECTIONS: Final = 8
"""Requests at a time: enough for two cores or high latency, few enough for one small store."""


@dataclass(frozen=True)
class Bucket:
    """A bucket, the URL of its store, and the credentials."""

    access: StoreAccess
    url: str
    """The store's URL: that of `access`, or the one that AWS has for the region."""

    name: str

    @property
    def host(self) -> str:
        """Value of the Host header, with the port if one is given."""
        store = urlsplit(self.url).netloc
        return store if self.access.path_style else f"{self.name}.{store}"

    def path(self, key: str) -> str:
        """Return the encoded path of an object."""
        return quote(f"/{self.name}/{key}" if self.access.path_style else f"/{key}", safe="/-_.~")


def require_trusted(bucket: Bucket, seconds: float) -> None:
    """Check that the store's certificate is trusted, by a handshake of Python's own TLS.

    The CRT delays each failed handshake by 10 to 30 seconds, tries it six times and does not say what is
    wrong with the certificate (awscrt 0.38.0, measured 2026-11-29).

    Raises:
        SSLError: It is not trusted, with the reason; or the store does not use TLS.
    """
    parts = urlsplit(f"{urlsplit(bucket.url).scheme}://{bucket.host}")
    if parts.scheme != "https":
        return
    context = ssl.create_default_context(cadata=bucket.access.ca)
    address = (parts.hostname or "", parts.port or 443)
    try:
        with (
            socket.create_connection(address, timeout=seconds) as plain,
            context.wrap_socket(plain, server_hostname=address[0]),
        ):
            return
    except ssl.SSLEOFError:
        return
    except ssl.SSLError as error:
        raise SSLError(endpoint_url=bucket.url, error=error) from error
    except OSError:  # the CRT waits for a store that can't be reached
        return


def opened(bucket: Bucket, *, connect_seconds: float, retries: int) -> s3.S3Client:
    """Return a client of the store; nothing is sent yet.

    Raises:
        NoCredentialsError: There is no key, and the default credential chain has none.
    """
    access, secure = bucket.access, urlsplit(bucket.url).scheme == "https"
    return s3.S3Client(
        region=access.region,
        signing_config=s3.create_default_s3_signing_config(
            region=access.region, credential_provider=_credentials(access)
        ),
        tls_mode=s3.S3RequestTlsMode.ENABLED if secure else s3.S3RequestTlsMode.DISABLED,
        tls_connection_options=_tls(access) if secure else None,
        part_size=PART,
        multipart_upload_threshold=PART,
        memory_limit=MEMORY,
        max_active_connections_override=CONNECTIONS,
        connect_timeout_ms=int(connect_seconds * 1000),
        retry_config=s3.S3RetryConfig(
            max_retries=retries,
            backoff_scale_factor_ms=500,
            jitter_mode=io.ExponentialBackoffJitterMode.NONE,
        ),
    )


def _credentials(access: StoreAccess) -> auth.AwsCredentialsProvider:
    if access.key is not None:
        token = access.session_token
        return auth.AwsCredentialsProvider.new_static(
            access.key.access_key,
            access.key.secret_key.get_secret_value(),
            token.get_secret_value() if token else None,
        )
    chain = boto3.Session().get_credentials()
    if chain is None:
        raise NoCredentialsError
    return BotocoreCRTCredentialsWrapper(chain).to_crt_credentials_provider()


def _tls(access: StoreAccess) -> io.TlsConnectionOptions:
    options = io.TlsContextOptions()
    if access.ca is not None:
        # Only the given CA certificate is trusted where one is given.
        options.override_default_trust_store(access.ca.encode())
    return io.ClientTlsContext(options).new_connection_options()


def put(bucket: Bucket, key: str, path: Path, size: int, headers: Mapping[str, str]) -> dict[str, Any]:
    """Return the request that uploads a file, for `S3Client.make_request`."""
    return {
        "type": s3.S3RequestType.PUT_OBJECT,
        "request": _request("PUT", bucket, key, {"Content-Length": str(size), **headers}),
        "send_filepath": str(path),
        # In a header, which every store understands; some don't support trailers.
        "checksum_config": s3.S3ChecksumConfig(
            algorithm=s3.S3ChecksumAlgorithm.CRC64NVME, location=s3.S3ChecksumLocation.HEADER
        ),
        # Streamed, an object whose size is no multiple of PART is announced too small and refused (0.38.0).
        "fio_options": s3.S3FileIoOptions(should_stream=False),
    }


def get(bucket: Bucket, key: str, path: Path, size: int, sha256: str | None) -> dict[str, Any]:
    """Return the request that downloads an object to a file, for `S3Client.make_request`.

    `sha256` is in base64, as S3 writes it; where it is given, the CRT checks it instead of the store's own
    checksum.
    """
    known: dict[str, Any] = {}
    if sha256 is not None and size:  # the CRT can't check it for an empty object (416)
        known = {"expected_checksum": sha256, "expected_checksum_algorithm": s3.S3ChecksumAlgorithm.SHA256}
    # In a single request the answer has the whole object's checksum; GET_OBJECT sends a HEAD before.
    kind = (
        {"type": s3.S3RequestType.GET_OBJECT}
        if size > PART
        else {"type": s3.S3RequestType.DEFAULT, "operation_name": "GetObject"}
    )
    return {
        **kind,
        "request": _request("GET", bucket, key, {}),
        "checksum_config": s3.S3ChecksumConfig(validate_response=True, **known),
        "recv_filepath": str(path),
    }


def _request(method: str, bucket: Bucket, key: str, headers: Mapping[str, str]) -> HttpRequest:
    return HttpRequest(method, bucket.path(key), HttpHeaders([("Host", bucket.host), *headers.items()]))
