"""A stack's cluster as it is now. Pulumi only knows what the stack's state records."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import urllib3
from kubernetes import config
from kubernetes.client import ApiClient
from kubernetes.client.exceptions import ApiException
from kubernetes.config.config_exception import ConfigException

from infra.stack.declared import DeclaredObject
from slipway.core.errors import FailedError, UsageError

_SECONDS: Final = 10
_PAGE: Final = 500
_NAMES_ONLY: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
"""Lists only metadata of objects: no Secret's value is ever requested."""

Object = dict[str, Any]


class LiveCluster:
    """Reads a cluster; changes nothing."""

    def __init__(self, api: ApiClient) -> None:
        """Send no request yet."""
        self._api = api
        self._plurals: dict[str, dict[str, str]] = {}

    @classmethod
    def open(cls, kubeconfig: Path | str | None, context: str | None = None) -> "LiveCluster":
        """Open a cluster as kubectl does.

        Raises:
            UsageError: there is no such kubeconfig or context.
        """
        try:
            api = config.new_client_from_config(
                config_file=None if kubeconfig is None else str(kubeconfig), context=context
            )
        except (ConfigException, OSError) as error:
            raise UsageError(
                f"The cluster can't be reached by kubeconfig {kubeconfig or '(default)'}.",
                why=str(error),
                fix="Name a kubeconfig and a context that exist.",
            ) from error
        api.rest_client.pool_manager.connection_pool_kw["retries"] = False
        return cls(api)

    def read(self, path: str) -> Object | None:
        """Return the object or list at a path of the API, or None where there is none.

        Raises:
            FailedError: the cluster refuses, or does not answer.
        """
        return self._get(path, "application/json")

    def missing(self, objects: Iterable[DeclaredObject]) -> list[DeclaredObject]:
        """Return those of the objects that the cluster doesn't have.

        Lists the names of each kind, which takes about two requests per kind.

        Raises:
            FailedError: the cluster refuses, or does not answer.
        """
        by_kind: dict[tuple[str, str], list[DeclaredObject]] = {}
        for each in objects:
            by_kind.setdefault((each.api_version, each.kind), []).append(each)
        return [
            each
            for (version, kind), declared in by_kind.items()
            for names in [self._names(version, kind)]
            for each in declared
            if (each.namespace, each.name) not in names
        ]

    def _names(self, version: str, kind: str) -> set[tuple[str, str]]:
        plural = self._plural(version, kind)
        if plural is None:
            return set()
        return {
            (item["metadata"].get("namespace", ""), item["metadata"]["name"])
            for page in self._pages(f"{_root(version)}/{plural}")
            for item in page["items"] or ()
        }

    def _plural(self, version: str, kind: str) -> str | None:
        """Return a kind's plural name in the API; None where its definition is missing too."""
        if version not in self._plurals:
            known = self.read(_root(version)) or {"resources": []}
            self._plurals[version] = {
                each["kind"]: each["name"] for each in known["resources"] if "/" not in each["name"]
            }
        return self._plurals[version].get(kind)

    def _pages(self, path: str) -> Iterator[Object]:
        token = ""
        while True:
            page = self._get(f"{path}?limit={_PAGE}&continue={token}", _NAMES_ONLY) or {"items": []}
            yield page
            token = page.get("metadata", {}).get("continue", "")
            if not token:
                return

    def _get(self, path: str, accept: str) -> Object | None:
        try:
            document: Object = self._api.call_api(
                path,
                "GET",
                header_params={"Accept": accept},
                auth_settings=["BearerToken"],
                response_type="object",
                _return_http_data_only=True,
                _request_timeout=_SECONDS,
            )
        except ApiException as error:
            if error.status == 404:
                return None
            raise FailedError(
                "The cluster refused a request.", why=f"GET {path}: {error.status} {error.reason}."
            ) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise FailedError(
                "The cluster does not answer.",
                why=f"{self._api.configuration.host}: {type(error).__name__}.",
                fix="Check that it runs and can be reached from here.",
            ) from error
        return document


def _root(version: str) -> str:
    return f"/apis/{version}" if "/" in version else f"/api/{version}"
