"""Authentication at one registry: a password with each request, or a token from its authorization server.

The registry says which in the header WWW-Authenticate of a 401. A token is valid for some repositories and
actions, so it is kept for the scope that it was requested for. A password is only sent to the registry or
the authorization server that the registry names, and only over TLS (or to this machine, if plain HTTP was
asked for).
"""

import base64
import re
import threading
from collections.abc import Mapping
from typing import Final

import httpx

from oci import failures
from oci.login import Login
from slipway.core.errors import FailedError, UsageError

_CLIENT: Final = "slipway"
_PARAMETER: Final = re.compile(r'(\w+)="([^"]*)"')

Scope = tuple[str, str]
"""A repository, and `pull` or `push`."""


class Access:
    """The account at one registry, and the tokens that were obtained with it."""

    def __init__(self, registry: str, login: Login | None, *, plain_http: bool = False) -> None:
        self.login = login
        self._registry = registry
        self._plain_http = plain_http
        self._headers: dict[Scope, str] = {}
        self._lock = threading.Lock()

    def header(self, scope: Scope) -> str | None:
        """Return the header Authorization for requests of this scope, as far as it is known."""
        return self._headers.get(scope)

    def answer(self, http: httpx.Client, response: httpx.Response, scope: Scope) -> bool:
        """Authenticate as a 401 demands; return whether there is something new to send.

        Raises:
            UsageError: The login is wrong, or the password would be sent in the clear.
            FailedError: The authorization server failed.
        """
        sent = response.request.headers.get("authorization")
        with self._lock:
            if self._headers.get(scope) != sent:
                return True  # another thread was faster
            header = self._authenticate(http, response.headers.get_list("www-authenticate"), scope)
            if header is None or header == sent:
                return False
            self._headers[scope] = header
        return True

    def _authenticate(self, http: httpx.Client, challenges: list[str], scope: Scope) -> str | None:
        for challenge in challenges:
            kind, _, rest = challenge.partition(" ")
            parameters = dict(_PARAMETER.findall(rest))
            if kind.lower() == "bearer" and parameters.get("realm"):
                return f"Bearer {self._token(http, parameters, scope)}"
            if kind.lower() == "basic" and self.login and not self.login.is_identity_token:
                return _basic(self.login)
        return None

    def _token(self, http: httpx.Client, challenge: Mapping[str, str], scope: Scope) -> str:
        realm = httpx.URL(challenge["realm"])
        if realm.scheme != "https" and not self._plain_http:
            raise UsageError(
                f"The registry {self._registry} asks for the login over plain HTTP.",
                why=f"Its authorization server is {realm.host}, without TLS; the password would be readable.",
                fix="Have the registry's administrator give the authorization server a TLS address.",
            )
        repository, action = scope
        wanted = (
            challenge.get("scope") or f"repository:{repository}:pull{',push' if action == 'push' else ''}"
        )
        query = {"service": challenge.get("service", ""), "scope": wanted}
        try:
            response = self._request_token(http, realm, query)
        except httpx.HTTPError as error:
            raise failures.unreachable(error, realm.netloc.decode()) from error
        if response.status_code in {400, 401, 403} and self.login:
            raise failures.wrong_login(self._registry, f"{failures.details(response)}.")
        try:
            document = response.raise_for_status().json()
            return str(document.get("token") or document["access_token"])
        except (httpx.HTTPStatusError, ValueError, KeyError) as error:
            raise FailedError(
                f"The authorization server of {self._registry} gave no token.",
                why=f"{realm.host} answered {response.status_code}: {failures.details(response)}.",
                fix="Run the same command again; if it stays so, ask the registry's administrator.",
            ) from error

    def _request_token(self, http: httpx.Client, realm: httpx.URL, query: dict[str, str]) -> httpx.Response:
        if self.login and self.login.is_identity_token:
            secret = self.login.password.get_secret_value()
            form = {**query, "grant_type": "refresh_token", "client_id": _CLIENT, "refresh_token": secret}
            return http.post(realm, data=form)
        headers = {"authorization": _basic(self.login)} if self.login else {}
        scopes = [("scope", each) for each in query["scope"].split()]
        return http.get(realm, params=[("service", query["service"]), *scopes], headers=headers)


def _basic(login: Login) -> str:
    pair = f"{login.username}:{login.password.get_secret_value()}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"
