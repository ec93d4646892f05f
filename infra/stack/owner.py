"""Whether a cluster has the platform of another stack: asked before anything is made there."""

from collections.abc import Callable
from typing import Final

from infra.kubernetes_api import KubernetesApi
from infra.names import OWNER, OWNER_NAMESPACE
from slipway.core.errors import UsageError

_RECORD: Final = f"/api/v1/namespaces/{OWNER_NAMESPACE}/configmaps/{OWNER}"


def refuse_other_owner(api: KubernetesApi, identity: Callable[[], str]) -> None:
    """Refuse a cluster whose platform belongs to another stack.

    Args:
        api: of the cluster.
        identity: returns this stack's identity (`storage.keys.stack_identity`); only called where the
            cluster has a platform, since it costs a run of the Pulumi CLI.

    Raises:
        UsageError: It belongs to another stack.
        FailedError: The cluster refuses, or does not answer.
    """
    record = api.get(_RECORD)
    if record is None:
        return
    data = record.get("data") or {}
    if data.get("identity") != identity():
        raise UsageError(
            f"The cluster has a platform already, of stack {data.get('stack', 'unknown')!r}.",
            why="It has the same namespaces and definitions as this stack's would have, so there is room for "
            "one.",
            fix="Use another cluster, or destroy that stack first. If it is this stack with another secret, "
            "restore its settings file as it was.",
        )
