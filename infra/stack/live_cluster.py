"""A stack's cluster as it is now. Pulumi only knows what the stack's state records."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from infra.kubernetes_api import METADATA_LIST, KubernetesApi, Object, root
from infra.stack.declared import DeclaredObject

_PAGE: Final = 500


class LiveCluster:
    """Reads a cluster; changes nothing."""

    def __init__(self, api: KubernetesApi) -> None:
        """Send no request yet."""
        self.api = api

    @classmethod
    def open(cls, kubeconfig: Path | str | None, context: str | None = None) -> "LiveCluster":
        """Open a cluster; arguments and errors as of `KubernetesApi.open`."""
        return cls(KubernetesApi.open(kubeconfig, context))

    def read(self, path: str) -> Object | None:
        """Return the object or list at a path of the API, or None where there is none.

        Raises:
            FailedError: the cluster refuses, or does not answer.
        """
        return self.api.get(path)

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
        plural = self.api.plural(version, kind)
        if plural is None:
            return set()
        return {
            (item["metadata"].get("namespace", ""), item["metadata"]["name"])
            for page in self._pages(f"{root(version)}/{plural}")
            for item in page["items"] or ()
        }

    def _pages(self, path: str) -> Iterator[Object]:
        token = ""
        while True:
            page = self.api.get(f"{path}?limit={_PAGE}&continue={token}", METADATA_LIST) or {"items": []}
            yield page
            token = page.get("metadata", {}).get("continue", "")
            if not token:
                return
