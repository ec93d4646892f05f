"""What a person is told when the cluster says no. Pure."""

from collections.abc import Sequence
from typing import Any

from embedded.plugins.kubernetes.client import ApiError, NoKindError, Target
from embedded.plugins.kubernetes.names import identity
from slipway.core.errors import FailedError


def described(target: Target) -> str:
    """Return `Deployment team-a/server`."""
    return f"{target.kind.name} {identity(target.namespace, target.name)}"


def already_there(target: Target, managers: Sequence[str]) -> FailedError:
    """Refuse to take over what somebody else has made."""
    return FailedError(
        f"{described(target)} already exists (AlreadyExists).",
        why=f"It is managed by {', '.join(managers) or 'nobody'}, not by this resource.",
        fix=f"Import it (`pulumi import`, id {identity(target.namespace, target.name)}), delete it, or set "
        "PULUMI_K8S_UPSERT_EXISTING_OBJECTS=true to take it over.",
    )


def unknown_kind(error: NoKindError) -> FailedError:
    """Say that a kind is missing."""
    return FailedError(
        f"The cluster knows no kind {error.kind.name} in {error.kind.api_version}.",
        why="Its CustomResourceDefinition is not installed.",
        fix="Let the resource depend on the one that installs it.",
    )


def by_server(target: Target, error: ApiError) -> FailedError:
    """Explain what the API server refused."""
    what = f"{described(target)} was refused by the API server ({error.code} {error.reason})."
    details = error.details
    if error.code == 404 and details.get("kind") == "namespaces":
        return FailedError(
            f"{described(target)} was not created: namespace {target.namespace} does not exist.",
            fix="Create the namespace first and take its name from that resource: so Pulumi knows the order.",
        )
    fix = ""
    if error.code == 422 and "immutable" in error.message:
        fix = "Replace the object: `pulumi up --replace URN`."
    return FailedError(what, why=error.message, fix=fix)


def holding(left: dict[str, Any]) -> str:
    """Say what keeps an object from going."""
    metadata = left["metadata"]
    finalizers = [*(metadata.get("finalizers") or []), *((left.get("spec") or {}).get("finalizers") or [])]
    conditions = [
        f"{item.get('reason')}: {item.get('message')}"
        for item in (left.get("status") or {}).get("conditions") or []
        if left.get("kind") == "Namespace" and item.get("status") == "True"
    ]
    if conditions:
        return "; ".join(conditions)
    return f"finalizers {', '.join(finalizers)}" if finalizers else "it is shutting down"


def not_deleted(target: Target, held: str, *, cancelled: bool) -> FailedError:
    """Say that an object won't go."""
    how = "when the run was cancelled" if cancelled else "after the timeout"
    return FailedError(
        f"{described(target)} is still there {how}.",
        why=f"What holds it: {held}.",
        fix="It is marked for deletion; run again to wait on, or remove a finalizer that nobody serves.",
    )
