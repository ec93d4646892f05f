"""A minimal client of the cluster's API server.

It uses httpx because importing the generated `kubernetes` client takes 60 MiB and over a second, in
each of three processes, for a dozen calls (2026-11-22).
"""

import json
import ssl
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import httpx

from embedded.cluster.paths import ClusterPaths
from slipway.core.errors import FailedError

FIELD_MANAGER: Final = "slipway-embedded"
Object = dict[str, Any]
_PLURALS: Final = {
    "Service": "services",
    "EndpointSlice": "endpointslices",
    "StorageClass": "storageclasses",
    "ClusterRole": "clusterroles",
    "ClusterRoleBinding": "clusterrolebindings",
    "PersistentVolume": "persistentvolumes",
    "Event": "events",
}


def tls_context(paths: ClusterPaths, client: str) -> ssl.SSLContext:
    """TLS settings that trust the cluster's CA and authenticate as `client`."""
    context = ssl.create_default_context(cafile=str(paths.pki.certificate("ca")))
    context.load_cert_chain(paths.pki.certificate(client), paths.pki.key(client))
    return context


def url_of(manifest: Mapping[str, Any]) -> str:
    """Path of an object, of the kinds that this package applies."""
    version, kind, metadata = manifest["apiVersion"], manifest["kind"], manifest["metadata"]
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    namespace = f"/namespaces/{metadata['namespace']}" if "namespace" in metadata else ""
    return f"{root}{namespace}/{_PLURALS[kind]}/{metadata['name']}"


class Api:
    """Synchronous client."""

    def __init__(self, paths: ClusterPaths, server: str, client: str = "admin") -> None:
        self._http = httpx.Client(
            base_url=server, verify=tls_context(paths, client), timeout=10.0, trust_env=False
        )

    def __enter__(self) -> "Api":
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def get(self, path: str) -> Object | None:
        """The object at `path`; None if it does not exist."""
        response = self._http.get(path)
        return None if response.status_code == 404 else _object(response)

    def apply(self, manifest: Mapping[str, Any]) -> Object:
        """Create or update an object by server-side apply."""
        response = self._http.patch(
            url_of(manifest),
            params={"fieldManager": FIELD_MANAGER, "force": "true"},
            headers={"Content-Type": "application/apply-patch+yaml"},
            content=json.dumps(manifest),
        )
        return _object(response)


class AsyncApi:
    """Asynchronous client."""

    def __init__(self, paths: ClusterPaths, server: str, client: str) -> None:
        self._http = httpx.AsyncClient(
            base_url=server, verify=tls_context(paths, client), timeout=10.0, trust_env=False
        )

    async def get(self, path: str) -> Object | None:
        """The object at `path`; None if it does not exist."""
        response = await self._http.get(path)
        return None if response.status_code == 404 else _object(response)

    async def create(self, path: str, manifest: Mapping[str, Any]) -> bool:
        """Create an object; return False if it exists already."""
        response = await self._http.post(path, json=manifest)
        if response.status_code == 409:
            return False
        _object(response)
        return True

    async def merge(self, path: str, changes: Mapping[str, Any]) -> None:
        """Merge changes into the object at `path`."""
        kind = {"Content-Type": "application/merge-patch+json"}
        _object(await self._http.patch(path, headers=kind, content=json.dumps(changes)))

    async def delete(self, path: str) -> None:
        """Delete an object if it exists."""
        response = await self._http.delete(path)
        if response.status_code != 404:
            _object(response)

    async def changes(self, path: str, version: str) -> AsyncIterator[Object]:
        """Watch a collection from `version` on, until the server ends the watch."""
        parameters = {"watch": "true", "resourceVersion": version, "allowWatchBookmarks": "true"}
        timeout = httpx.Timeout(10.0, read=None)
        async with self._http.stream("GET", path, params=parameters, timeout=timeout) as response:
            async for line in response.aiter_lines():
                yield json.loads(line)


def _object(response: httpx.Response) -> Object:
    if response.is_success:
        return dict(response.json())
    try:
        message = response.json().get("message", response.text)
    except ValueError:
        message = response.text
    raise FailedError(
        f"The API server refused {response.request.method} {response.request.url.path}.",
        why=f"{response.status_code}: {message}",
    )
