"""What the two resources of the local cluster mean: pure decisions over a `World`.

Both exist because a bare machine has neither a cluster to connect to nor a registry to pull from.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

from pydantic import BaseModel, ConfigDict

from slipway.core.report import Report
from slipway.provider.kinds import Change, Kind, Made, Properties, model_faults

ClusterState = Literal["running", "broken", "stopped", "absent"]


class ForwardInput(BaseModel):
    """A port of 127.0.0.1 that leads to a Service."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    port: int
    namespace: str
    service: str
    servicePort: int  # noqa: N815  properties are in camel case throughout Pulumi


class ClusterInputs(BaseModel):
    """The program's inputs for the cluster."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    instance: str
    forwards: tuple[ForwardInput, ...] = ()
    versions: Mapping[str, str] = {}


class ImageInputs(BaseModel):
    """The program's inputs for an image."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    instance: str
    name: str
    reference: str


class World(Protocol):
    """The machine, as far as the resources need it."""

    def state(self, instance: str) -> ClusterState:
        """The state of the cluster; quick."""

    def kubeconfig(self, instance: str) -> str:
        """The administrator's kubeconfig of the cluster; empty where it was never started."""

    def has_image(self, instance: str, reference: str) -> bool:
        """Whether a running cluster has the image; quick."""

    def start(self, inputs: ClusterInputs, report: Report) -> None:
        """Start the cluster, with these forwards."""

    def delete(self, instance: str, report: Report) -> None:
        """Delete the cluster."""

    def ensure_image(self, inputs: ImageInputs, report: Report) -> str:
        """Build the image and import it into the cluster; return its reference."""

    def remove_image(self, instance: str, reference: str) -> None:
        """Remove the image from the cluster."""

    def stop(self) -> None:
        """Stop running work and start no more."""


class ClusterKind:
    """`slipway:embedded:Cluster`: real Kubernetes on a machine that has no cluster to connect to."""

    def __init__(self, world: World) -> None:
        """Work in `world`."""
        self._world = world

    def faults(self, inputs: Properties) -> Sequence[tuple[str, str]]:
        """See Kind."""
        return model_faults(ClusterInputs, inputs)

    def planned(self, inputs: Properties) -> Properties:
        """See Kind."""
        return {**inputs, "state": "running"}

    def changes(self, old: Properties, new: Properties) -> Sequence[Change]:
        """See Kind: a stopped or broken cluster is a difference, so that `up` repairs it."""
        if old.get("instance") != new.get("instance"):
            return [Change("instance", replaces=True)]
        changes = [Change(path) for path in ("forwards", "versions") if old.get(path) != new.get(path)]
        state = self._world.state(str(new["instance"]))
        if state != "running":
            changes.append(Change("state", why=f"the cluster is {state}; it will be started", of_input=False))
        return changes

    def find(self, identity: str, inputs: Properties) -> Made | None:
        """See Kind."""
        state = self._world.state(identity)
        if state == "absent":
            return None
        return self._made(ClusterInputs.model_validate({"instance": identity, **inputs}), state)

    def make(self, inputs: Properties, before: Properties | None, report: Report) -> Made:
        """See Kind."""
        wanted = ClusterInputs.model_validate(inputs)
        self._world.start(wanted, report)
        return self._made(wanted, "running")

    def remove(self, outputs: Properties, report: Report) -> None:
        """See Kind."""
        self._world.delete(str(outputs["instance"]), report)

    def remnant(self, inputs: Properties) -> Made | None:
        """See Kind."""
        return self.find(str(inputs["instance"]), inputs)

    def _made(self, inputs: ClusterInputs, state: ClusterState) -> Made:
        return Made(
            id=inputs.instance,
            outputs={
                **inputs.model_dump(mode="json"),
                "state": state,
                "kubeconfig": self._world.kubeconfig(inputs.instance),
            },
            secrets=frozenset({"kubeconfig"}),
        )


class ImageKind:
    """`slipway:embedded:Image`: an image built on a machine that has no registry to pull from."""

    def __init__(self, world: World) -> None:
        """Work in `world`."""
        self._world = world

    def faults(self, inputs: Properties) -> Sequence[tuple[str, str]]:
        """See Kind."""
        return model_faults(ImageInputs, inputs)

    def planned(self, inputs: Properties) -> Properties:
        """See Kind."""
        return dict(inputs)

    def changes(self, old: Properties, new: Properties) -> Sequence[Change]:
        """See Kind: never a replacement, because pods of the old reference still run."""
        if old.get("instance") != new.get("instance"):
            return [Change("instance", replaces=True)]
        changes = [Change(path) for path in ("name", "reference") if old.get(path) != new.get(path)]
        wanted = ImageInputs.model_validate(new)
        # While the cluster is stopped this is unknown; its images are still there after a start.
        if not changes and self._world.state(wanted.instance) == "running" and not self._has(wanted):
            changes.append(Change("reference", why="the cluster has lost the image; it will be imported"))
        return changes

    def find(self, identity: str, inputs: Properties) -> Made | None:
        """See Kind."""
        known = ImageInputs.model_validate(inputs)
        if self._world.state(known.instance) == "running" and not self._has(known):
            return None
        return Made(identity, known.model_dump())

    def make(self, inputs: Properties, before: Properties | None, report: Report) -> Made:
        """See Kind."""
        wanted = ImageInputs.model_validate(inputs)
        reference = self._world.ensure_image(wanted, report)
        return Made(wanted.name, {**wanted.model_dump(), "reference": reference})

    def remove(self, outputs: Properties, report: Report) -> None:
        """See Kind: a deleted cluster has no images, so only a running one has something to remove."""
        known = ImageInputs.model_validate(outputs)
        if self._world.state(known.instance) == "running":
            self._world.remove_image(known.instance, known.reference)

    def remnant(self, inputs: Properties) -> Made | None:
        """See Kind: a failed build leaves nothing that a delete must remove."""
        return None

    def _has(self, wanted: ImageInputs) -> bool:
        return self._world.has_image(wanted.instance, wanted.reference)


def kinds(world: World) -> Mapping[str, Kind]:
    """Return the types of resources by token, working in `world`."""
    return {"slipway:embedded:Cluster": ClusterKind(world), "slipway:embedded:Image": ImageKind(world)}
