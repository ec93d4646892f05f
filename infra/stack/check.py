"""Checks settings against what their stack has created: against its state first, then its cluster."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from infra.cluster.kind.preflight import refuse_machine
from infra.names import STORE_SERVICE
from infra.settings import config
from infra.settings.endpoints import GatewayApiEndpoints
from infra.settings.models import DevSettings, KindSettings, PlatformSettings
from infra.stack.declared import DeclaredObject, declared_objects, outputs_of
from infra.stack.earlier_keys import refuse_earlier_keys
from infra.stack.foreign import refuse_foreign
from infra.stack.live_cluster import LiveCluster
from infra.stack.owner import refuse_other_owner
from infra.stack.placeholders import refuse_placeholders
from infra.stack.preflight import refuse_storage, refuse_unsuitable
from infra.stack.volumes import (
    DesiredClaim,
    ExistingClaim,
    Place,
    differ,
    refuse_layout,
    refuse_volumes,
    wanted_claims,
)
from infra.upstream import installed
from slipway.core.errors import SlipwayError
from storage.settings import MinioSettings

Open = Callable[[], LiveCluster]
_RESTART: Final = "Run `slipway local stop` and `slipway local start`, after which it does"


def refuse_settings(
    settings: Path,
    exported: Mapping[str, Any],
    live: Open,
    identity: Callable[[], str],
    *,
    look: bool,
) -> None:
    """Compare a stack's settings and tenants with what it has created.

    Args:
        settings: the stack's file; the tenants' are beside it.
        exported: the stack's state, as `Stack.export` returns it.
        live: opens its cluster; that of `local` only where the state shows a volume that differs from the
            settings.
        identity: as of `refuse_other_owner`.
        look: read the local cluster in any case.

    Raises:
        UsageError: replaced keys would be valid again, a volume can't become what the settings want, the
            machine can't have a cluster of kind (`refuse_machine`), or a team's cluster is refused
            (`refuse_cluster`).
        FailedError: the cluster refuses, or does not answer.
    """
    platform = config.load_file(settings)
    tenants = config.load_tenants(settings.parent / "tenants")
    refuse_earlier_keys(outputs_of(exported), settings.name, platform.store, tenants)
    made = list(declared_objects(exported))
    if isinstance(platform.store, MinioSettings):
        for server in _of_kind("StatefulSet", made):
            if server.name == STORE_SERVICE:
                refuse_layout(platform.store, server.inputs, settings.name)
    remembered = {
        (each.namespace, each.name): ExistingClaim.of(each.inputs)
        for each in _of_kind("PersistentVolumeClaim", made)
    }
    wanted = wanted_claims(platform)
    if isinstance(platform, KindSettings):
        kind, ports = platform.cluster, platform.published.values()
        refuse_machine(kind.name, str(settings.resolve()), kind.engine, ports)
    if isinstance(platform, DevSettings):
        cluster = refuse_cluster(platform, settings.name, live, identity)
        refuse_foreign(
            cluster.api,
            made,
            tenants=[each.name for each in tenants],
            definitions=installed.definitions(installed.names(platform)),
        )
    elif remembered and (look or differ(wanted, remembered)):
        _refuse_local_sizes(wanted, remembered, settings.name, live)


def open_live(platform: PlatformSettings, env: Mapping[str, str]) -> LiveCluster:
    """Open the cluster of a stack.

    Args:
        platform: the stack's settings.
        env: the environment of its tools, which names the kubeconfig of a local one.

    Raises:
        UsageError: its kubeconfig or context does not exist.
    """
    if isinstance(platform, DevSettings):
        return LiveCluster.open(platform.cluster.kubeconfig, platform.cluster.context)
    return LiveCluster.open(env.get("KUBECONFIG"))


def _of_kind(kind: str, made: Iterable[DeclaredObject]) -> list[DeclaredObject]:
    return [each for each in made if each.kind == kind]


def _refuse_local_sizes(
    wanted: tuple[DesiredClaim, ...], remembered: Mapping[Place, ExistingClaim], file: str, live: Open
) -> None:
    try:
        cluster = live()
        existing = live_claims(cluster, wanted)
    except SlipwayError:
        # `up` starts a stopped cluster, and volumes of its own StorageClass can grow.
        refuse_volumes(wanted, remembered, lambda _: True, file)
        return
    refuse_volumes(wanted, existing, lambda name: can_grow(cluster, name), file, how_to_allow=_RESTART)


def refuse_cluster(platform: DevSettings, file: str, live: Open, identity: Callable[[], str]) -> LiveCluster:
    """Compare the settings of a team's cluster with that cluster, before anything is made there.

    Args:
        platform: the stack's settings.
        file: the name of the stack's file in messages.
        live: opens the cluster.
        identity: as of `refuse_other_owner`.

    Returns:
        The cluster, for further questions.

    Raises:
        UsageError: settings are still the template's examples, the cluster has another stack's platform or is
            unsuitable, or a volume can't become what the settings want.
        FailedError: the cluster refuses, or does not answer.
    """
    refuse_placeholders(platform, file)
    wanted, cluster = wanted_claims(platform), live()
    endpoints = platform.endpoints
    refuse_unsuitable(
        cluster.api,
        cert_manager=platform.cluster.cert_manager,
        gateway_class=endpoints.gateway_class if isinstance(endpoints, GatewayApiEndpoints) else None,
    )
    refuse_other_owner(cluster.api, identity)
    existing = live_claims(cluster, wanted)
    refuse_storage(cluster.api, [each for each in wanted if each.place not in existing])
    refuse_volumes(wanted, existing, lambda name: can_grow(cluster, name), file)
    return cluster


def live_claims(cluster: LiveCluster, wanted: Iterable[DesiredClaim]) -> dict[Place, ExistingClaim]:
    """Return those of the wanted claims that the cluster has.

    Raises:
        FailedError: the cluster refuses, or does not answer.
    """
    claims = {}
    for each in wanted:
        namespace, name = each.place
        claim = cluster.read(f"/api/v1/namespaces/{namespace}/persistentvolumeclaims/{name}")
        if claim is not None:
            claims[each.place] = ExistingClaim.of(claim)
    return claims


def can_grow(cluster: LiveCluster, storage_class: str | None) -> bool:
    """Return whether volumes of a StorageClass can grow; those without one, or of a deleted one, can't.

    Raises:
        FailedError: the cluster refuses, or does not answer.
    """
    if not storage_class:
        return False
    document = cluster.read(f"/apis/storage.k8s.io/v1/storageclasses/{storage_class}")
    return bool(document and document.get("allowVolumeExpansion"))
