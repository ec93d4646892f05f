"""Existing volumes: refuses, by name, settings that they can't follow. Pure.

A claim's size can only grow, and only where its StorageClass allows that; its class never changes. The API
server reports that too, but only in the middle of an `up`.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from infra.names import (
    KFP_NAMESPACE,
    KFP_SERVICE,
    STORE_CONSOLE_PORT,
    STORE_NAMESPACE,
    STORE_PORT,
    STORE_SERVICE,
)
from infra.settings.models import PlatformSettings
from infra.stores.minio_layout import MinioLayout
from slipway.core.errors import UsageError
from storage.settings import MinioSettings

GIB: Final = 1 << 30
_PAGE: Final = "docs/stores.md, Size of volumes"
Place = tuple[str, str]
"""Namespace and name of a claim."""


@dataclass(frozen=True, kw_only=True)
class DesiredClaim:
    """A claim as the settings want it."""

    place: Place
    setting: str
    """Of its size."""

    gib: int
    storage_class: str | None = None
    """None leaves the choice to the cluster."""

    @property
    def class_setting(self) -> str:
        """The setting of its StorageClass."""
        return f"{self.setting.partition('.')[0]}.storage_class"


@dataclass(frozen=True, kw_only=True)
class ExistingClaim:
    """An existing claim."""

    requested: int
    """Bytes that it requests."""

    capacity: int
    """Bytes that it has: more than requested where the driver rounds, less while it grows."""

    storage_class: str | None
    bound: bool = True

    @classmethod
    def of(cls, claim: Mapping[str, Any]) -> "ExistingClaim":
        """Read a claim: a live one, or its inputs in a stack's state."""
        spec, status = claim["spec"], claim.get("status") or {}
        requested = in_bytes(spec["resources"]["requests"]["storage"])
        capacity = (status.get("capacity") or {}).get("storage")
        return cls(
            requested=requested,
            capacity=in_bytes(capacity) if capacity else requested,
            storage_class=spec.get("storageClassName"),
            bound=status.get("phase", "Bound") == "Bound",
        )


def wanted_claims(platform: PlatformSettings) -> tuple[DesiredClaim, ...]:
    """Return every claim that the program makes, as these settings want it."""
    kfp = DesiredClaim(
        place=(KFP_NAMESPACE, f"{KFP_SERVICE}-data"),
        setting="kfp.size_gib",
        gib=platform.kfp.size_gib,
        storage_class=platform.kfp.storage_class,
    )
    store = platform.store
    if not isinstance(store, MinioSettings):
        return (kfp,)
    layout = MinioLayout(
        nodes=store.nodes,
        drives_per_node=store.drives_per_node,
        service=STORE_SERVICE,
        namespace=STORE_NAMESPACE,
        port=STORE_PORT,
        console_port=STORE_CONSOLE_PORT,
    )
    return (
        kfp,
        *(
            DesiredClaim(
                place=(STORE_NAMESPACE, name),
                setting="store.size_gib",
                gib=store.size_gib,
                storage_class=store.storage_class,
            )
            for name in layout.claims
        ),
    )


def differ(wanted: Iterable[DesiredClaim], held: Mapping[Place, ExistingClaim]) -> bool:
    """Return whether an existing claim differs from what is wanted."""
    return any(
        held[each.place].requested != each.gib * GIB or _other_class(each, held[each.place])
        for each in wanted
        if each.place in held
    )


def refuse_volumes(
    wanted: Iterable[DesiredClaim],
    held: Mapping[Place, ExistingClaim],
    growable: Callable[[str | None], bool],
    file: str,
    how_to_allow: str = "Allow it there if its driver can (allowVolumeExpansion: true)",
) -> None:
    """Compare what the settings want with the existing claims.

    Args:
        wanted: every claim, as the settings want it.
        held: existing claims; others can still be created with any size.
        growable: returns whether volumes of a StorageClass can grow.
        file: the name of the stack's file in messages.
        how_to_allow: what to do about a StorageClass that can't, as the beginning of a sentence.

    Raises:
        UsageError: a claim can't become what is wanted.
    """
    for each in wanted:
        if (claim := held.get(each.place)) is None:
            continue
        name, has, size = "/".join(each.place), f"{claim.requested / GIB:g}", each.gib * GIB
        back = f"{each.setting.rpartition('.')[2]}: {has}"
        if _other_class(each, claim):
            raise UsageError(
                f"{file}: store.storage_class: volume {name} is of StorageClass {claim.storage_class}.",
                why=f"A volume keeps its class; {each.storage_class} would be another volume, and empty.",
                fix=f"Set storage_class: {claim.storage_class}, or move the data: {_PAGE}.",
            )
        # The request of a failed growth may be reduced, down to what the volume has.
        if size == claim.requested or claim.capacity < size < claim.requested:
            continue
        if size < claim.requested:
            raise UsageError(
                f"{file}: {each.setting}: volume {name} can't shrink from {has} to {each.gib} GiB.",
                why="Kubernetes makes no volume smaller.",
                fix=f"Set {back}, or move the data to a new volume: {_PAGE}.",
            )
        change = f"{file}: {each.setting}: volume {name} can't grow from {has} to {each.gib} GiB"
        if not claim.bound:
            raise UsageError(
                f"{change} now.", why="It is not bound yet.", fix=f"Set {back} until it is bound."
            )
        if not growable(claim.storage_class):
            raise UsageError(
                f"{change}.",
                why=f"Its StorageClass {claim.storage_class or '(none)'} does not allow volumes to grow.",
                fix=f"{how_to_allow}, set {back}, or move the data to a new volume: {_PAGE}.",
            )


def refuse_layout(store: MinioSettings, stateful_set: Mapping[str, Any], file: str) -> None:
    """Refuse numbers of nodes or drives that differ from the store's: MinIO keeps its first layout.

    Args:
        store: the settings.
        stateful_set: the inputs of the store's StatefulSet in the stack's state.
        file: the name of the stack's file in messages.

    Raises:
        UsageError: a number differs.
    """
    spec = stateful_set["spec"]
    has = (int(spec["replicas"]), len(spec["volumeClaimTemplates"]))
    if has == (store.nodes, store.drives_per_node):
        return
    raise UsageError(
        f"{file}: store: it was made with nodes: {has[0]} and drives_per_node: {has[1]}, "
        f"not {store.nodes} and {store.drives_per_node}.",
        why="MinIO fixes its data layout once; with other nodes or drives it does not start.",
        fix=f"Set nodes: {has[0]} and drives_per_node: {has[1]}, or move the data: {_PAGE}.",
    )


def _other_class(wanted: DesiredClaim, claim: ExistingClaim) -> bool:
    # Where no class is named, the cluster chooses one, and only the cluster knows which.
    known = wanted.storage_class is not None and claim.storage_class is not None
    return known and wanted.storage_class != claim.storage_class


def in_bytes(quantity: str) -> int:
    """Return a Kubernetes quantity as a number of bytes."""
    if plain := re.fullmatch(r"([0-9]+)Gi", quantity):
        return int(plain[1]) * GIB
    # The client takes a second to import, and what the program itself declares is in GiB.
    from kubernetes.utils.quantity import parse_quantity  # noqa: PLC0415

    return int(parse_quantity(quantity))
