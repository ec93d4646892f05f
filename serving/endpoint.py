"""A model's endpoint, held against what its alias names.

A promotion that is killed between applying an InferenceService and moving the alias leaves the two
apart. The next one notices; what it does not replace, it puts back.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol

from infra.contract import PlatformOutputs
from serving import artifact, diagnosis, inference
from serving.inference import DIGEST
from slipway.core.errors import FailedError
from slipway.core.report import Report
from storage.registry.records import AliasSnapshot
from storage.registry.registry import Registry

CHAMPION: Final = "champion"
READY_SECONDS: Final = 300.0
ABANDONED: Final = timedelta(seconds=2 * READY_SECONDS)
"""Nobody still works on what was applied so long ago: waiting and asking are bounded by less."""


class Serving(Protocol):
    """What promotion asks of a cluster; `serving.cluster.Cluster` in earnest."""

    def get(self, namespace: str, name: str) -> dict[str, Any] | None:
        """The InferenceService, or None."""

    def apply(self, manifest: dict[str, Any]) -> None:
        """Create or change it."""

    def delete(self, namespace: str, name: str) -> None:
        """Delete it, if it is there."""

    def wait_serving(
        self, namespace: str, name: str, storage_uri: str, *, report: Report, timeout: float
    ) -> None:
        """Wait until it serves `storage_uri` and nothing else; FailedError if it doesn't."""


@dataclass(frozen=True)
class ServingDrift:
    """An endpoint that does not serve what its alias names."""

    served: str | None
    named: str | None
    abandoned: bool
    """Applied so long ago that no promotion can be under way with it."""

    def __str__(self) -> str:
        there = f"version {self.served[:12]} is served" if self.served else "nothing is served"
        record = f"the champion is {self.named[:12]}" if self.named else "no champion is on record"
        cause = (
            "an earlier promotion was cut off"
            if self.abandoned
            else "a promotion was cut off or is under way"
        )
        return f"{there}, but {record}: {cause}"


@dataclass
class ModelEndpoint:
    """The endpoint of one of a tenant's models."""

    cluster: Serving
    registry: Registry
    outputs: PlatformOutputs
    tenant: str
    model: str
    report: Report
    ready_seconds: float = READY_SECONDS

    @property
    def namespace(self) -> str:
        """Namespace of the tenant."""
        return self.outputs.tenant(self.tenant).namespace

    def serve(self, manifest: dict[str, Any], storage_uri: str) -> None:
        """Apply a manifest and wait until what it names serves."""
        self.report(f"serving {storage_uri}")
        self.cluster.apply(manifest)
        self.cluster.wait_serving(
            self.namespace, self.model, storage_uri, report=self.report, timeout=self.ready_seconds
        )

    def recorded(self, held: AliasSnapshot) -> dict[str, Any]:
        """The manifest of the champion: its recorded lineage in the form of today's settings.

        The recorded manifest itself may be refused: admission takes the resources, runtime and mode of
        the present settings, and they may have changed since the promotion.
        """
        version = self.registry.show(self.model, held.record.digest)
        entry = self.registry.read_history(self.model, held.record.history)
        try:
            annotations = entry.details.manifest["metadata"]["annotations"] if entry else {}
            served = inference.ServedVersion.recorded(
                annotations, model=self.model, storage_uri=version.storage_uri
            )
        except (KeyError, TypeError, ValueError) as error:
            raise FailedError(
                f"The log of {self.model} does not hold the manifest of its champion.",
                why=f"Entry {held.record.history} has no complete lineage.",
            ) from error
        return inference.manifest(self.outputs, self.tenant, served)

    def drift(self, held: AliasSnapshot | None) -> ServingDrift | None:
        """How the endpoint departs from its alias, or None where it doesn't."""
        live = self.cluster.get(self.namespace, self.model)
        served = _digest(live) if live else None
        named = held.record.digest if held else None
        if served == named:
            return None
        return ServingDrift(
            served, named, live is None or datetime.now(UTC) - diagnosis.applied_at(live) > ABANDONED
        )

    def reinstate(self, *, wait: bool = True) -> str:
        """Serve what the alias names, or nothing if it names nothing; says which.

        Raises:
            FailedError: The alias names a pickle, or the endpoint does not come up.
        """
        held = self.registry.read_alias(self.model, CHAMPION)
        if held is None:
            self.cluster.delete(self.namespace, self.model)
            return "No version served before, so the endpoint was removed."
        version = self.registry.show(self.model, held.record.digest)
        artifact.require_servable(file.path for file in version.files)
        manifest = self.recorded(held)
        if not wait:
            self.cluster.apply(manifest)
            return f"Version {version.digest[:12]} was applied again."
        self.serve(manifest, version.storage_uri)
        if self.registry.read_alias(self.model, CHAMPION) != held:
            return self.reinstate()  # Another promotion won meanwhile.
        return f"Version {version.digest[:12]} serves."


def _digest(live: Mapping[str, Any]) -> str | None:
    found = live["metadata"].get("annotations", {}).get(DIGEST)
    return str(found) if found else None
