"""CustomResourceDefinitions in a real cluster: apply, wait until served, compare, delete."""

import json
import os
from collections.abc import Iterable, Mapping
from typing import Any, Final

from infra.kubernetes_api import JSON, METADATA, METADATA_LIST, KubernetesApi
from infra.upstream.install.shared_names import MANAGER, TAKE_OVER
from slipway.core.errors import FailedError, UsageError
from slipway.core.report import Report
from slipway.core.waiting import changes, poll

ESTABLISHED_SECONDS: Final = 300
"""An API server that gets every part's definitions at once takes a minute or two on two busy cores."""
_SHOWN: Final = 3
_PATH: Final = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


class DefinitionsApi:
    """The definitions of one cluster."""

    def __init__(self, api: KubernetesApi) -> None:
        """Send no request yet."""
        self._api = api

    def exists(self, name: str) -> bool:
        """Return whether the cluster has the definition."""
        return self._api.get(f"{_PATH}/{name}", METADATA) is not None

    def is_applied(self, name: str, content: bytes | None) -> bool:
        """Return whether applying `content` would change nothing; None: whether Slipway has applied any."""
        live = self._api.get(f"{_PATH}/{name}", METADATA)
        if live is None or not _ours(live):
            return False
        if content is None:
            return True
        would_be = self._api.apply(f"{_PATH}/{name}", json.loads(content), manager=MANAGER, dry_run=True)
        return _compared(live) == _compared(would_be)

    def refuse_foreign(self, names: Iterable[str]) -> None:
        """Refuse to overwrite what another maker has installed.

        Raises:
            UsageError: A definition exists that Slipway never applied.
        """
        if os.environ.get(TAKE_OVER) == "true":
            return
        for name in names:
            live = self._api.get(f"{_PATH}/{name}", METADATA)
            if live is not None and not _ours(live):
                makers = ", ".join(sorted(_managers(live))) or "unknown"
                raise UsageError(
                    f"The cluster has a CustomResourceDefinition {name} already.",
                    why=f"It was made by {makers}, not by Slipway, which would overwrite it.",
                    fix="Use a cluster without it, or delete it first: its objects go with it.",
                )

    def refuse_used(self, names: Iterable[str]) -> None:
        """Refuse to delete definitions while objects of their kinds exist.

        Raises:
            UsageError: Such an object exists.
        """
        for name in names:
            used = self._objects(name)
            if used:
                raise UsageError(
                    f"Objects of {name} exist: {', '.join(used)}.",
                    why="The API server deletes them together with their definition.",
                    fix="Delete them first, then run the same command again.",
                )

    def apply(self, name: str, content: bytes) -> None:
        """Create the definition, or make it what `content` says."""
        self._api.apply(f"{_PATH}/{name}", json.loads(content), manager=MANAGER)

    def wait_established(self, names: Iterable[str], report: Report) -> None:
        """Wait until the API server serves the kinds.

        Raises:
            FailedError: It does not in time, or their names are in use; names the definition and the reason.
        """
        told = changes(report)
        waiting = dict.fromkeys(names, "")

        def look() -> bool:
            """Return whether there is nothing to wait for any more."""
            for name in list(waiting):
                fault, final = self._fault(name)
                if final:
                    waiting.clear()
                    waiting[name] = fault
                    return True
                if fault:
                    waiting[name] = fault
                else:
                    del waiting[name]
            return not waiting

        poll(
            look,
            seconds=ESTABLISHED_SECONDS,
            interval=0.5,
            meanwhile=lambda _: told(f"waiting until {next(iter(waiting))} is established"),
        )
        if waiting:
            name, fault = next(iter(waiting.items()))
            raise FailedError(f"CustomResourceDefinition {name} is not established.", why=fault)

    def delete(self, names: Iterable[str]) -> None:
        """Delete those that Slipway applied, and wait until they are gone.

        Raises:
            FailedError: One is still there after that time.
        """
        ours = [name for name in names if self._is_ours(name)]
        for name in ours:
            self._api.delete(f"{_PATH}/{name}")
        left = poll(
            lambda: [name for name in ours if self.exists(name)],
            lambda left: not left,
            seconds=ESTABLISHED_SECONDS,
            interval=0.5,
        )
        if left:
            raise FailedError(f"CustomResourceDefinition {left[0]} is still being deleted.")

    def _is_ours(self, name: str) -> bool:
        live = self._api.get(f"{_PATH}/{name}", METADATA)
        return live is not None and _ours(live)

    def _fault(self, name: str) -> tuple[str, bool]:
        """Return why the definition is not established, empty if it is, and whether that is final."""
        document = self._api.get(f"{_PATH}/{name}", JSON)
        if document is None:
            return "It was deleted by another writer.", True
        conditions = {each["type"]: each for each in document.get("status", {}).get("conditions") or ()}
        if conditions.get("Established", {}).get("status") == "True":
            return "", False
        for kind, status in (("NamesAccepted", "False"), ("NonStructuralSchema", "True")):
            if conditions.get(kind, {}).get("status") == status:
                return f"{kind}: {conditions[kind].get('message', 'no reason is given')}.", True
        return "The API server has not established it yet.", False

    def _objects(self, name: str) -> list[str]:
        """Return the first few objects of a definition that Slipway applied, as `namespace/name`."""
        definition = self._api.get(f"{_PATH}/{name}", JSON)
        if definition is None or not _ours(definition):
            return []
        spec = definition["spec"]
        served = [each["name"] for each in spec["versions"] if each["served"]]
        if not served:
            return []
        path = f"/apis/{spec['group']}/{served[0]}/{spec['names']['plural']}?limit={_SHOWN}"
        items = (self._api.get(path, METADATA_LIST) or {}).get("items") or ()
        return [_full_name(each["metadata"]) for each in items]


def _full_name(metadata: Mapping[str, Any]) -> str:
    namespace = metadata.get("namespace")
    return f"{namespace}/{metadata['name']}" if namespace else str(metadata["name"])


def _managers(live: Mapping[str, Any]) -> set[str]:
    fields = live["metadata"].get("managedFields") or ()
    return {str(each.get("manager")) for each in fields if each.get("subresource") != "status"}


def _ours(live: Mapping[str, Any]) -> bool:
    return MANAGER in _managers(live)


def _compared(document: Mapping[str, Any]) -> tuple[Any, ...]:
    metadata = document["metadata"]
    return metadata.get("generation"), metadata.get("labels"), metadata.get("annotations")
