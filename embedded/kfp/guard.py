"""What is refused before any route sees it: requests that a web page could have made.

There is no login, so whatever a browser on the same machine or network can be made to send counts. A page of
another origin is told by `Origin` or `Sec-Fetch-Site`; a page that rebinds its own name to this server's
address is told by `Host`; and bodies are only taken in types that a page can't send without asking first
(Fetch standard: CORS-safelisted request headers). `multipart/form-data` is one that it can, so uploads rest
on the first two alone.
"""

import ipaddress
import re
from collections.abc import Iterable
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from embedded.kfp import failures
from embedded.kfp.failures import INVALID_ARGUMENT, PERMISSION_DENIED, ApiError

_UPLOADS: Final = ("/apis/v2beta1/pipelines/upload", "/apis/v2beta1/pipelines/upload_version")
_HOST: Final = re.compile(r"(?:([a-z0-9._-]+)|\[([0-9a-f:.]+)\])(?::[0-9]{1,5})?")
_OURS: Final = ("same-origin", "none")
"""Values of Sec-Fetch-Site: the page of runs itself, and an address that a person typed."""

_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; "
    "base-uri 'none'; form-action 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""On every answer: nothing runs, nothing is embedded elsewhere, nothing is kept."""


class Guard:
    """ASGI middleware: refuses with KFP's error body, and adds the headers that protect an answer."""

    def __init__(self, app: ASGIApp, hosts: Iterable[str] = ()) -> None:
        """`hosts` are the names by which the server is reached, beside `localhost` and addresses.

        Loopback addresses and the address that a connection came to need no naming: a browser that names
        an address in `Host` has loaded its page from that address.
        """
        self._app = app
        self._hosts = frozenset({"localhost", *(host.lower().rstrip(".") for host in hosts)})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def protected(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        try:
            self._check(scope)
        except ApiError as error:
            await failures.response(error)(scope, receive, protected)
            return
        await self._app(scope, receive, protected)

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not self._known(_hostname(host), scope):
            raise _refused(
                f"the server is not reached by the name {host[:100]!r}: use one of "
                f"{', '.join(sorted(self._hosts))}, or start it with --allow-host"
            )
        origin = headers.get("origin")
        if origin is not None and not _same_origin(origin, host):
            raise _refused(f"requests from pages of another origin are refused: {origin[:100]!r}")
        if headers.get("sec-fetch-site", "none").lower() not in _OURS:
            raise _refused("requests from pages of another site are refused")
        _check_type(scope["path"], headers)

    def _known(self, name: str, scope: Scope) -> bool:
        if name in self._hosts:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return address.is_loopback or name == (scope.get("server") or ("",))[0]


def _hostname(host: str) -> str:
    match = _HOST.fullmatch(host.lower())
    return (match[1] or match[2]).rstrip(".") if match else ""


def _same_origin(origin: str, host: str) -> bool:
    scheme, separator, rest = origin.partition("://")
    # Whoever ends TLS in front of this server leaves the port out where it is the scheme's own.
    return bool(separator) and scheme in ("http", "https") and rest.lower() == host.lower()


def _check_type(path: str, headers: Headers) -> None:
    if headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers:
        return
    wanted = "multipart/form-data" if path.rstrip("/") in _UPLOADS else "application/json"
    kind = headers.get("content-type", "").split(";")[0].strip().lower()
    if kind != wanted:
        raise ApiError(INVALID_ARGUMENT, f"the body's type is {kind[:80]!r}; it must be {wanted}", status=415)


def _refused(message: str) -> ApiError:
    return ApiError(PERMISSION_DENIED, message)
