"""A model's endpoint, compared with the version that its alias points to.

After a promotion that is killed between applying an InferenceService and moving the alias, the two
differ. The next promotion detects this, and restores the champion unless it replaces it.
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
"""No promotion can still be running after this time: its waits have shorter limits."""


class Serving(Protocol):
    """What promotion needs of a cluster; `serving.cluster.Cluster` in production."""

    def get(self, namespace: str, name: str) -> dict[str, Any] | None:
        """Return the InferenceService, or None."""

    def apply(self, manifest: dict[str, Any]) -> None:
        """Create or change it."""

    def delete(self, namespace: str, name: str) -> None:
        """Delete it, if it exists."""

    def wait_serving(
        self, namespace: str, name: str, storage_uri: str, *, report: Report, timeout: float
    ) -> None:
        """Wait until it serves only `storage_uri`; FailedError if it doesn't."""


@dataclass(frozen=True)
class ServingDrift:
    """An endpoint that does not serve the version that its alias points to."""

    served: str | None
    named: str | None
    abandoned: bool
    """Whether it was applied so long ago that no promotion can still be running."""

    def __str__(self) -> str:
        served = f"version {self.served[:12]} is served" if self.served else "nothing is served"
        record = f"the champion is {self.named[:12]}" if self.named else "no champion is on record"
        cause = (
            "an earlier promotion was cut off"
            if self.abandoned
            else "a promotion was cut off or is under way"
        )
        return f"{served}, but {record}: {cause}"


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
        """Apply a manifest and wait until its version is served."""
        self.report(f"serving {storage_uri}")
        self.cluster.apply(manifest)
        self.cluster.wait_serving(
            self.namespace, self.model, storage_uri, report=self.report, timeout=self.ready_seconds
        )

    def recorded(self, held: AliasSnapshot) -> dict[str, Any]:
        """Return the champion's manifest: its recorded lineage with the current settings.

        The recorded manifest itself may be refused: admission accepts only the resources, runtime and
        mode of the current settings, which may have changed since the promotion.
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
        """Return how the endpoint differs from its alias, or None if it doesn't."""
        live = self.cluster.get(self.namespace, self.model)
        served = _digest(live) if live else None
        named = held.record.digest if held else None
        if served == named:
            return None
        return ServingDrift(
            served, named, live is None or datetime.now(UTC) - diagnosis.applied_at(live) > ABANDONED
        )

    def reinstate(self, *, wait: bool = True) -> str:
        """Serve the version that the alias points to, or remove the endpoint if there is no alias.

        Returns:
            What was done, as a sentence for the user.

        Raises:
            FailedError: The version is a pickle, or the endpoint does not become ready.
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
            return self.reinstate()  # Another promotion moved the alias meanwhile.
        return f"Version {version.digest[:12]} serves."


def _digest(live: Mapping[str, Any]) -> str | None:
    digest = live["metadata"].get("annotations", {}).get(DIGEST)
    return str(digest) if digest else None
