"""A client of the cluster's own API server, as small as what this package needs of it.

On httpx and not the generated `kubernetes` client: that takes 60 MiB and over a second to import,
in each of three processes, for a dozen calls (2026-11-22).
"""

import json
import ssl
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import httpx

from embedded.cluster.places import Places
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


def trust(places: Places, client: str) -> ssl.SSLContext:
    """The cluster's CA to trust and the certificate of `client` to show."""
    context = ssl.create_default_context(cafile=str(places.pki.certificate("ca")))
    context.load_cert_chain(places.pki.certificate(client), places.pki.key(client))
    return context


def url_of(manifest: Mapping[str, Any]) -> str:
    """Path of an object of one of the kinds that this package applies."""
    version, kind, metadata = manifest["apiVersion"], manifest["kind"], manifest["metadata"]
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    space = f"/namespaces/{metadata['namespace']}" if "namespace" in metadata else ""
    return f"{root}{space}/{_PLURALS[kind]}/{metadata['name']}"


class Api:
    """Calls from a program that waits for each of them."""

    def __init__(self, places: Places, server: str, client: str = "admin") -> None:
        self._http = httpx.Client(
            base_url=server, verify=trust(places, client), timeout=10.0, trust_env=False
        )

    def __enter__(self) -> "Api":
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def get(self, path: str) -> Object | None:
        """The object at `path`, or None where there is none."""
        answer = self._http.get(path)
        return None if answer.status_code == 404 else _object(answer)

    def apply(self, manifest: Mapping[str, Any]) -> Object:
        """Make it so, by server-side apply."""
        answer = self._http.patch(
            url_of(manifest),
            params={"fieldManager": FIELD_MANAGER, "force": "true"},
            headers={"Content-Type": "application/apply-patch+yaml"},
            content=json.dumps(manifest),
        )
        return _object(answer)


class AsyncApi:
    """Calls from a program that does several things at once."""

    def __init__(self, places: Places, server: str, client: str) -> None:
        self._http = httpx.AsyncClient(
            base_url=server, verify=trust(places, client), timeout=10.0, trust_env=False
        )

    async def get(self, path: str) -> Object | None:
        """The object at `path`, or None where there is none."""
        answer = await self._http.get(path)
        return None if answer.status_code == 404 else _object(answer)

    async def create(self, path: str, manifest: Mapping[str, Any]) -> bool:
        """Make an object; False when it is there already."""
        answer = await self._http.post(path, json=manifest)
        if answer.status_code == 409:
            return False
        _object(answer)
        return True

    async def merge(self, path: str, changes: Mapping[str, Any]) -> None:
        """Merge changes into the object at `path`."""
        kind = {"Content-Type": "application/merge-patch+json"}
        _object(await self._http.patch(path, headers=kind, content=json.dumps(changes)))

    async def delete(self, path: str) -> None:
        """Delete an object; one that is gone is fine."""
        answer = await self._http.delete(path)
        if answer.status_code != 404:
            _object(answer)

    async def changes(self, path: str, version: str) -> AsyncIterator[Object]:
        """Watch a collection from `version` on; ends when the server ends it."""
        parameters = {"watch": "true", "resourceVersion": version, "allowWatchBookmarks": "true"}
        timeout = httpx.Timeout(10.0, read=None)
        async with self._http.stream("GET", path, params=parameters, timeout=timeout) as answer:
            async for line in answer.aiter_lines():
                yield json.loads(line)


def _object(answer: httpx.Response) -> Object:
    if answer.is_success:
        return dict(answer.json())
    try:
        message = answer.json().get("message", answer.text)
    except ValueError:
        message = answer.text
    raise FailedError(
        f"The API server refused {answer.request.method} {answer.request.url.path}.",
        why=f"{answer.status_code}: {message}",
    )
