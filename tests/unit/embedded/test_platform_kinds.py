"""What the provider's resources mean, over a machine that is only a note of what was asked."""

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from google.protobuf import struct_pb2

from embedded.plugins.platform.kinds import (
    ClusterInputs,
    ClusterKind,
    ClusterState,
    ImageInputs,
    ImageKind,
)
from slipway.core.report import Report, silent
from slipway.provider.wire import plain, wire

CLUSTER: dict[str, Any] = {"instance": "test", "forwards": [], "versions": {"kubernetes": "1.34.4"}}
IMAGE = {"instance": "test", "name": "minio", "reference": "slipway.local/minio:1"}


@dataclass
class Noted:
    """A machine that does nothing."""

    now: ClusterState = "running"
    images: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)

    def state(self, instance: str) -> ClusterState:
        return self.now

    def kubeconfig(self, instance: str) -> str:
        return "the key to everything"

    def has_image(self, instance: str, reference: str) -> bool:
        return reference in self.images

    def start(self, inputs: ClusterInputs, report: Report) -> None:
        self.asked.append("start")

    def delete(self, instance: str, report: Report) -> None:
        self.asked.append("delete")

    def ensure_image(self, inputs: ImageInputs, report: Report) -> str:
        self.images.add(inputs.reference)
        return inputs.reference

    def remove_image(self, instance: str, reference: str) -> None:
        self.asked.append(f"remove {reference}")

    def stop(self) -> None:
        pass


def test_a_running_cluster_with_the_same_inputs_is_the_same() -> None:
    assert ClusterKind(Noted()).changes(CLUSTER, dict(CLUSTER)) == []


@pytest.mark.parametrize("state", ["stopped", "broken", "absent"])
def test_any_other_state_calls_for_an_update(state: ClusterState) -> None:
    [change] = ClusterKind(Noted(now=state)).changes(CLUSTER, CLUSTER)
    assert (change.path, change.replaces, change.of_input) == ("state", False, False)
    assert state in change.why, "the person is told what is wrong"


@pytest.mark.parametrize("changed", ["forwards", "versions"])
def test_changed_inputs_are_updates(changed: str) -> None:
    new = {**CLUSTER, changed: [{"port": 1}] if changed == "forwards" else {"kubernetes": "1.35.0"}}
    [change] = ClusterKind(Noted()).changes(CLUSTER, new)
    assert (change.path, change.replaces) == (changed, False)


@pytest.mark.parametrize("kind", [ClusterKind, ImageKind])
def test_another_instance_is_another_resource(kind: type[ClusterKind] | type[ImageKind]) -> None:
    inputs = CLUSTER if kind is ClusterKind else IMAGE
    [change] = kind(Noted()).changes(inputs, {**inputs, "instance": "other"})
    assert change.replaces


def test_a_planned_cluster_has_no_known_kubeconfig() -> None:
    planned = ClusterKind(Noted(now="absent")).planned(CLUSTER)
    assert planned["state"] == "running"
    assert "kubeconfig" not in planned


def test_the_kubeconfig_is_marked_secret() -> None:
    made = ClusterKind(Noted()).make(CLUSTER, None, silent)
    assert made.secrets == {"kubeconfig"}
    assert made.id == "test"


def test_an_absent_cluster_is_not_found_and_leaves_no_remnant() -> None:
    kind = ClusterKind(Noted(now="absent"))
    assert kind.find("test", CLUSTER) is None
    assert kind.remnant(CLUSTER) is None


def test_an_image_in_place_is_the_same() -> None:
    assert ImageKind(Noted(images={IMAGE["reference"]})).changes(IMAGE, IMAGE) == []


def test_a_lost_image_is_an_update_while_the_cluster_runs() -> None:
    [change] = ImageKind(Noted()).changes(IMAGE, IMAGE)
    assert (change.path, change.replaces) == ("reference", False)
    assert ImageKind(Noted(now="stopped")).changes(IMAGE, IMAGE) == [], "nothing can be said of it then"


def test_an_image_is_removed_only_from_a_running_cluster() -> None:
    for state, asked in (("running", ["remove slipway.local/minio:1"]), ("stopped", []), ("absent", [])):
        world = Noted(now=state)  # type: ignore[arg-type]
        ImageKind(world).remove(dict(IMAGE), silent)
        assert world.asked == asked


@pytest.mark.parametrize(
    ("inputs", "path"),
    [
        (
            {**CLUSTER, "forwards": [{"port": "x", "namespace": "a", "service": "b", "servicePort": 1}]},
            "forwards.0.port",
        ),
        ({"forwards": []}, "instance"),
        ({**CLUSTER, "memory": 3}, "memory"),
    ],
)
def test_inputs_that_cannot_be_are_named(inputs: dict[str, Any], path: str) -> None:
    assert [fault[0] for fault in ClusterKind(Noted()).faults(inputs)] == [path]
    assert ClusterKind(Noted()).faults(CLUSTER) == [], "the control"


def test_properties_survive_thewire() -> None:
    inputs = {"port": 20000, "ratio": 0.5, "on": True, "none": None, "list": [1, {"a": "b"}], "key": "hidden"}
    struct = wire(inputs, frozenset({"key"}))
    assert plain(struct) == inputs
    assert isinstance(plain(struct)["port"], int)


def test_a_secret_is_marked_on_the_wire_and_nothing_else() -> None:
    struct = wire({"open": "a", "key": "b"}, frozenset({"key"}))
    assert struct.fields["open"].WhichOneof("kind") == "string_value"
    assert struct.fields["key"].WhichOneof("kind") == "struct_value"
    assert json.dumps("b") in str(struct_pb2.Struct.FromString(struct.SerializeToString()))
