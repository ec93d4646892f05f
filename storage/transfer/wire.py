"""One kept connection to a store: signed requests, tried again where that is safe.

Every request that goes over it may be repeated: it writes or reads the same bytes at the same place.
What goes wrong becomes botocore's own exceptions, so that `storage.client.asking` has one set of words.
"""

import http.client
import re
import ssl
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Protocol, TypeVar
from urllib.parse import urlsplit

import boto3
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    EndpointConnectionError,
    NoCredentialsError,
    ReadTimeoutError,
    SSLError,
)

from storage.causes import CUT_SHORT
from storage.client import (
    CONNECT_SECONDS,
    READ_SECONDS,
    RETRIES,
    StoreAccess,
    error_code,
    pause_after,
)
from storage.transfer.signing import EMPTY_SHA256, Credentials, path_of, query_of, signed_headers

_BUSY: Final = frozenset({429, 500, 502, 503, 504})
_MAX_ANSWER_BYTES: Final = 1 << 20

T = TypeVar("T")


class StoppedError(Exception):
    """The transfer was given up elsewhere; there is nothing to say about this request."""


class Sendable(Protocol):
    """A body that can be sent again."""

    size: int

    def send(self, sock: Any) -> None:  # noqa: ANN401 - a socket or a TLS socket
        """Write all of it to the socket."""


@dataclass(frozen=True)
class Patience:
    """Seconds to wait for a connection and for each piece of an answer, and how often to try again."""

    connect_seconds: float = CONNECT_SECONDS
    read_seconds: float = READ_SECONDS
    retries: int = RETRIES


@dataclass(frozen=True)
class Request:
    """One request about an object."""

    method: str
    bucket: str
    key: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    payload: str = EMPTY_SHA256
    body: Sendable | None = None


class Endpoint:
    """Where a store listens, what its certificate must be signed by, and who asks."""

    def __init__(self, access: StoreAccess, url: str, patience: Patience) -> None:
        """Read the address from `url`, which is the access's own or the one that AWS has for its region."""
        self.patience = patience
        parts = urlsplit(url)
        self.url = url
        self.region = access.region
        self._host, self._port = parts.hostname or "", parts.port
        self._path_style = access.path_style
        # Nothing but the given authority is trusted where one is given.
        self._tls = ssl.create_default_context(cadata=access.ca) if parts.scheme == "https" else None
        self._key = access.key
        self._chain = None if access.key else boto3.Session().get_credentials()

    def credentials(self) -> Credentials:
        """The key; asked for each request, for the surroundings' keys expire and are renewed."""
        if self._key is not None:
            return Credentials(self._key.access_key, self._key.secret_key.get_secret_value())
        if self._chain is None:
            raise NoCredentialsError
        frozen = self._chain.get_frozen_credentials()
        return Credentials(frozen.access_key or "", frozen.secret_key or "", frozen.token)

    def address(self, bucket: str, key: str) -> tuple[str, str, str]:
        """Host to connect to, value of the Host header, and path."""
        host = self._host if self._path_style else f"{bucket}.{self._host}"
        named = f"{host}:{self._port}" if self._port else host
        return host, named, path_of(bucket, key, path_style=self._path_style)

    def connection(self, host: str) -> http.client.HTTPConnection:
        """Return a connection that opens itself with the first request."""
        seconds = self.patience.connect_seconds
        if self._tls is None:
            return http.client.HTTPConnection(host, self._port, timeout=seconds)
        return http.client.HTTPSConnection(host, self._port, timeout=seconds, context=self._tls)


class Wire:
    """One connection, for one thread."""

    def __init__(self, endpoint: Endpoint, stop: threading.Event) -> None:
        self._endpoint = endpoint
        self.stop = stop
        self._connections: dict[str, http.client.HTTPConnection] = {}

    def close(self) -> None:
        """Close the connection; the next request opens it again."""
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()

    def ask(self, request: Request, take: Callable[[http.client.HTTPResponse], T]) -> T:
        """Send the request, hand the store's answer to `take`, and return what that makes of it.

        Both happen again if the connection breaks or the store is busy.

        Raises:
            ClientError: The store refused.
            BotoCoreError: It can't be reached, or doesn't answer.
            StoppedError: The transfer was given up meanwhile.
        """
        last = self._endpoint.patience.retries + 1
        for attempt in range(1, last + 1):
            if self.stop.is_set():
                raise StoppedError
            try:
                return self._once(request, take)
            except (OSError, http.client.HTTPException) as error:
                self.close()
                if attempt == last or isinstance(error, ssl.SSLCertVerificationError):
                    raise self._named(error) from error
            except ClientError as error:
                if attempt == last or not _may_end_better(error):
                    raise
            except BaseException:
                # It stands in the middle of an answer, or of a body.
                self.close()
                raise
            self.stop.wait(pause_after(attempt))
        raise AssertionError("the last attempt returns or raises")

    def _once(self, request: Request, take: Callable[[http.client.HTTPResponse], T]) -> T:
        host, named, path = self._endpoint.address(request.bucket, request.key)
        connection = self._connections.get(host)
        if connection is None:
            connection = self._connections[host] = self._endpoint.connection(host)
        if connection.sock is None:
            connection.connect()
            sock: Any = connection.sock
            sock.settimeout(self._endpoint.patience.read_seconds)
        self._send(connection, request, named, path)
        answer = connection.getresponse()
        if answer.status >= 300:
            raise _refusal(request.method, answer)
        return take(answer)

    def _send(self, connection: http.client.HTTPConnection, request: Request, host: str, path: str) -> None:
        query = query_of(request.query)
        length = {"content-length": str(request.body.size)} if request.body else {}
        headers = signed_headers(
            request.method,
            path,
            query,
            {**request.headers, **length, "host": host},
            payload=request.payload,
            credentials=self._endpoint.credentials(),
            region=self._endpoint.region,
            now=datetime.now(UTC),
        )
        url = f"{path}?{query}" if query else path
        connection.putrequest(request.method, url, skip_host=True, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        if request.body:
            # A store that refuses need not read the body to its end: its answer is there to be read.
            with suppress(BrokenPipeError, ConnectionResetError):
                request.body.send(connection.sock)

    def _named(self, error: Exception) -> BotoCoreError:
        url = self._endpoint.url
        if isinstance(error, TimeoutError):
            return ReadTimeoutError(endpoint_url=url, error=error)
        if isinstance(error, ssl.SSLError):
            return SSLError(endpoint_url=url, error=error)
        if isinstance(error, http.client.HTTPException | ConnectionResetError | BrokenPipeError):
            return ConnectionClosedError(endpoint_url=url, error=error)
        return EndpointConnectionError(endpoint_url=url, error=error)


def drained(answer: http.client.HTTPResponse) -> Mapping[str, str]:
    """Read an answer whose body says nothing to its end, so that the connection can be used again."""
    answer.read(_MAX_ANSWER_BYTES)
    return {name.lower(): value for name, value in answer.getheaders()}


def _may_end_better(error: ClientError) -> bool:
    return error.response["ResponseMetadata"]["HTTPStatusCode"] in _BUSY or error_code(error) == CUT_SHORT


def _refusal(method: str, answer: http.client.HTTPResponse) -> ClientError:
    text = answer.read(_MAX_ANSWER_BYTES).decode(errors="replace")

    def said(tag: str) -> str:
        found = re.search(f"<{tag}>([^<]*)</{tag}>", text)
        return found[1] if found else ""

    error = {"Code": said("Code") or str(answer.status), "Message": said("Message") or answer.reason}
    if bucket := said("BucketName"):
        error["BucketName"] = bucket
    told: Any = {
        "Error": error,
        "ResponseMetadata": {
            "HTTPStatusCode": answer.status,
            "HTTPHeaders": {name.lower(): value for name, value in answer.getheaders()},
        },
    }
    return ClientError(told, method)
