"""Refuse requests that a web page could have sent, before they reach a route.

There is no authentication, so a page in a browser on the same machine or network could otherwise use the API.
Pages of another origin are detected by `Origin` or `Sec-Fetch-Site`, DNS rebinding by `Host`. Bodies are only
accepted in content types that require a CORS preflight (Fetch standard: CORS-safelisted request headers).
`multipart/form-data` does not, so uploads rely on the first two checks.
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
"""Accepted values of Sec-Fetch-Site: the server's own page, and an address entered by the user."""

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
"""Headers of every response: no scripts, no embedding in other pages, no caching."""


class Guard:
    """ASGI middleware: refuses requests with KFP's error body, and adds security headers to responses."""

    def __init__(self, app: ASGIApp, hosts: Iterable[str] = ()) -> None:
        """`hosts` are the accepted host names, in addition to `localhost` and addresses.

        Loopback addresses and the local address of the connection are always accepted: a browser that sends
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
                f"unknown host name {host[:100]!r}: use one of "
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
    # A TLS-terminating proxy omits the default port of the scheme.
    return bool(separator) and scheme in ("http", "https") and rest.lower() == host.lower()


def _check_type(path: str, headers: Headers) -> None:
    if headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers:
        return
    expected = "multipart/form-data" if path.rstrip("/") in _UPLOADS else "application/json"
    kind = headers.get("content-type", "").split(";")[0].strip().lower()
    if kind != expected:
        raise ApiError(
            INVALID_ARGUMENT, f"the content type is {kind[:80]!r}; it must be {expected}", status=415
        )


def _refused(message: str) -> ApiError:
    return ApiError(PERMISSION_DENIED, message)
