"""What a team's cluster has already and Slipway did not make: asked before anything is made there."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from infra.kubernetes_api import METADATA, KubernetesApi
from infra.names import (
    GATEWAY_NAMESPACE,
    KFP_NAMESPACE,
    KSERVE_NAMESPACE,
    OWNER_NAMESPACE,
    PART_OF,
    STORE_NAMESPACE,
)
from infra.stack.declared import DeclaredObject
from infra.upstream.install.definitions_api import DefinitionsApi
from slipway.core.errors import UsageError

_OF_THE_PLATFORM: Final = (
    OWNER_NAMESPACE,
    STORE_NAMESPACE,
    KSERVE_NAMESPACE,
    KFP_NAMESPACE,
    GATEWAY_NAMESPACE,
)
_FIXED_NAME: Final = "Use a cluster without it: the names of the platform's own namespaces are fixed."
_TENANTS_NAME: Final = "Give the tenant another name, or use a cluster without that namespace."


def refuse_foreign(
    api: KubernetesApi,
    made: Iterable[DeclaredObject],
    *,
    tenants: Iterable[str],
    definitions: Iterable[str],
) -> None:
    """Refuse a cluster in which another maker has what `up` would make.

    Args:
        api: of the cluster.
        made: objects in the stack's state.
        tenants: names of the tenants' namespaces.
        definitions: names of the CustomResourceDefinitions that the platform installs.

    Raises:
        UsageError: A namespace or a definition is another maker's.
        FailedError: The cluster refuses, or does not answer.
    """
    ours = {(each.kind, each.name) for each in made}
    for names, fix in ((_OF_THE_PLATFORM, _FIXED_NAME), (tenants, _TENANTS_NAME)):
        for name in names:
            live = api.get(f"/api/v1/namespaces/{name}", METADATA)
            if live is not None and ("Namespace", name) not in ours and not _of_killed_run(live):
                raise UsageError(
                    f"The cluster has a namespace {name} already.",
                    why="Slipway did not make it, and would change who may do what in it.",
                    fix=fix,
                )
    DefinitionsApi(api).refuse_foreign(
        name for name in definitions if ("CustomResourceDefinition", name) not in ours
    )


def _of_killed_run(live: Mapping[str, Any]) -> bool:
    """Return whether a namespace that the state does not have was made by an `up` that was killed."""
    return PART_OF.items() <= (live["metadata"].get("labels") or {}).items()
