"""The REST client: the only place that talks to the API server."""

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from embedded.plugins.kubernetes.kubeconfig import Connection
from embedded.plugins.kubernetes.tokens import Kind

Object = dict[str, Any]

_PAUSES: Final = (0.1, 0.3, 0.6, 1.0, 1.5, 2.0, 2.5)
"""Between attempts: a restarting API server is back within seconds, a missing one is reported in eight."""
_TIMEOUT: Final = httpx.Timeout(40.0, connect=5.0)
"""An admission webhook may take thirty seconds."""
_BUSY: Final = frozenset({429, 502, 503, 504})
_LOOK: Final = 1.0
"""How long a watch may be silent before its reader looks at the clock and at cancellation."""


class UnreachableError(Exception):
    """No answer from the API server."""

    def __init__(self, server: str, cause: str) -> None:
        self.server = server
        super().__init__(f"the Kubernetes API at {server} can't be reached: {cause}")


class ApiError(Exception):
    """The API server said no."""

    def __init__(self, code: int, status: Mapping[str, Any]) -> None:
        self.code = code
        self.reason = str(status.get("reason", ""))
        self.message = str(status.get("message", "")) or f"HTTP {code}"
        self.details: Mapping[str, Any] = status.get("details") or {}
        super().__init__(self.message)

    @property
    def causes(self) -> list[Mapping[str, Any]]:
        """What is wrong, field by field."""
        return list(self.details.get("causes") or [])


class NoKindError(Exception):
    """The cluster does not know the kind."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        super().__init__(f"the cluster has no kind {kind.name} in {kind.api_version}")


@dataclass(frozen=True)
class Mapped:
    """Where objects of a kind live."""

    path: str
    plural: str
    namespaced: bool

    def url(self, namespace: str | None, name: str = "") -> str:
        """Return the path of an object, or of all of them."""
        scope = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return f"{self.path}{scope}/{self.plural}" + (f"/{name}" if name else "")


@dataclass(frozen=True)
class Target:
    """One object, or those that a selector finds."""

    kind: Kind
    namespace: str | None = None
    name: str = ""
    labels: str = ""
    fields: str = ""


class Client:
    """Calls the API server; safe to use from many threads."""

    def __init__(self, connection: Connection, cancelled: threading.Event) -> None:
        self.server = connection.server
        self.namespace = connection.namespace
        host = urlsplit(connection.server).hostname or ""
        self._http = httpx.Client(
            base_url=connection.server,
            headers={**connection.headers, "User-Agent": "slipway"},
            verify=connection.tls or True,
            timeout=_TIMEOUT,
            limits=httpx.Limits(max_connections=64, max_keepalive_connections=32),
            # A proxy from the environment never leads to this machine.
            trust_env=host not in {"127.0.0.1", "localhost", "::1"},
        )
        self._cancelled = cancelled
        self._kinds: dict[str, dict[str, Mapped]] = {}
        self._lock = threading.Lock()

    def find(self, kind: Kind) -> Mapped:
        """Return where objects of the kind live; asks the server once per API version.

        Raises:
            NoKindError: when the server does not know it, even if asked again.
        """
        with self._lock:
            known = self._kinds.get(kind.api_version, {})
            if kind.name not in known:
                known = self._kinds[kind.api_version] = self._discover(kind)
        if kind.name not in known:
            raise NoKindError(kind)
        return known[kind.name]

    def _discover(self, kind: Kind) -> dict[str, Mapped]:
        root = f"/apis/{kind.api_version}" if kind.group else f"/api/{kind.api_version}"
        try:
            listed = self._call("GET", root)["resources"]
        except ApiError as error:
            if error.code == 404:
                return {}
            raise
        return {
            item["kind"]: Mapped(root, item["name"], item["namespaced"])
            for item in listed
            if "/" not in item["name"]
        }

    def get(self, target: Target) -> Object | None:
        """Return the object, or None."""
        try:
            return self._call("GET", self.find(target.kind).url(target.namespace, target.name))
        except ApiError as error:
            if error.code == 404:
                return None
            raise

    def list(self, target: Target) -> tuple[list[Object], str]:
        """Return what the target finds, and the version to watch from."""
        url = self.find(target.kind).url(target.namespace)
        answer = self._call("GET", url, params=_query(target))
        # Items of a list come without apiVersion and kind.
        mark = {"apiVersion": target.kind.api_version, "kind": target.kind.name}
        return [{**mark, **item} for item in answer.get("items") or []], answer["metadata"]["resourceVersion"]

    def apply(self, target: Target, body: Object, manager: str, *, force: bool, dry_run: bool) -> Object:
        """Create or change the object by server-side apply."""
        params = {"fieldManager": manager, "force": "true" if force else "false", "fieldValidation": "Strict"}
        if dry_run:
            params["dryRun"] = "All"
        return self._call(
            "PATCH",
            self.find(target.kind).url(target.namespace, target.name),
            params=params,
            headers={"Content-Type": "application/apply-patch+yaml"},
            content=json.dumps(body),
        )

    def delete(self, target: Target, *, uid: str, propagation: str) -> bool:
        """Ask for the object's deletion; False if it (with this uid) isn't there any more."""
        body: Object = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation}
        if uid:
            body["preconditions"] = {"uid": uid}
        try:
            url = self.find(target.kind).url(target.namespace, target.name)
            self._call("DELETE", url, content=json.dumps(body))
        except ApiError as error:
            if error.code == 404 or (error.code == 409 and uid and "UID" in error.message):
                return False
            raise
        return True

    def await_change(self, target: Target, version: str, seconds: float) -> None:
        """Return when something of the target has changed since `version`, or after a while."""
        url = self.find(target.kind).url(target.namespace)
        params = {"watch": "true", "resourceVersion": version, "timeoutSeconds": "5", **_query(target)}
        timeout = httpx.Timeout(min(_LOOK, max(seconds, 0.05)), connect=5.0)
        try:
            with self._http.stream("GET", url, params=params, timeout=timeout) as answer:
                if answer.status_code == 200:
                    next(answer.iter_lines(), None)
                    return
        except httpx.TimeoutException:
            return
        except httpx.TransportError:
            pass
        # The watch could not be had (too old a version, a restarting server): look again soon.
        self._cancelled.wait(min(0.5, max(seconds, 0.05)))

    def _call(self, method: str, url: str, **request: Any) -> Object:  # noqa: ANN401 - as httpx takes them
        answer = self._retried(lambda: self._http.request(method, url, **request))
        try:
            body: Object = answer.json()
        except ValueError:
            body = {"message": f"{method} {url}: HTTP {answer.status_code}, no JSON"}
        if answer.status_code >= 400:
            raise ApiError(answer.status_code, body)
        return body

    def _retried(self, ask: Callable[[], httpx.Response]) -> httpx.Response:
        """Ask until there is an answer. Every request here may be repeated without harm."""
        cause = ""
        for pause in (*_PAUSES, None):
            try:
                answer = ask()
                if answer.status_code not in _BUSY or pause is None:
                    return answer
                pause = max(pause, min(_retry_after(answer), 5.0))  # noqa: PLW2901
            except httpx.TransportError as error:
                cause = str(error) or type(error).__name__
            if pause is None or self._cancelled.wait(pause):
                break
        raise UnreachableError(self.server, cause or "it is too busy")


def deadline(seconds: float) -> float:
    """Return the moment on the monotonic clock that is so far away."""
    return time.monotonic() + seconds


def _query(target: Target) -> dict[str, str]:
    query = {}
    if target.labels:
        query["labelSelector"] = target.labels
    if target.name or target.fields:
        query["fieldSelector"] = target.fields or f"metadata.name={target.name}"
    return query


def _retry_after(answer: httpx.Response) -> float:
    value = answer.headers.get("Retry-After", "")
    return float(value) if value.isdigit() else 0.0
