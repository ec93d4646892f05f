"""What the resources of a cluster of kind mean, over a machine whose programs only note what was asked."""

import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from infra.cluster.kind import cluster_kind, folder, image_kind, preflight, requirements
from infra.cluster.kind.cluster_kind import ClusterKind
from infra.cluster.kind.engine import Engine, Node
from infra.cluster.kind.image_kind import ImageKind
from infra.stack import check
from slipway.core.errors import FailedError, UsageError
from slipway.core.report import silent

IMAGE = "docker.io/kindest/node:v1.34.11@sha256:" + "a" * 64
OWNER = "/here/Pulumi.kind.yaml"
INPUTS: dict[str, Any] = {
    "name": "mine",
    "owner": OWNER,
    "nodeImage": IMAGE,
    "ports": [{"port": 18080, "nodePort": 30080}],
}


@dataclass
class Machine:
    """A container tool and a kind that keep their nodes in a list."""

    name: str = "podman"
    here: list[Node] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    fails: bool = False
    made: int = 0

    def nodes(self, cluster: str) -> tuple[Node, ...]:
        return tuple(self.here)

    def start(self, node: Node) -> None:
        self.asked.append(f"start {node.name}")
        self.here = [Node(each.id, each.name, running=True) for each in self.here]

    def stops(self) -> None:
        self.here = [Node(each.id, each.name, running=False) for each in self.here]

    def is_replaced(self) -> None:
        self.here = [Node("of somebody else", "mine-control-plane", running=True)]

    def version(self) -> str:
        return "kind v0.33.0 go1.26.8 linux/amd64"

    def create(self, engine: Engine, inputs: object, kubeconfig: Path, report: object) -> None:
        self.asked.append("create")
        self.made += 1
        self.here = [Node(f"node {self.made}", "mine-control-plane", running=True)]
        if self.fails:
            raise FailedError("`kind create` failed.")
        self.export_kubeconfig(engine, "mine", kubeconfig)

    def delete(self, engine: Engine, cluster: str, kubeconfig: Path, report: object = silent) -> None:
        self.asked.append("delete")
        self.here = []

    def export_kubeconfig(self, engine: Engine, cluster: str, path: Path) -> None:
        path.write_text("a key to everything")
        path.chmod(0o644)


class Opened:
    """The API of a cluster that is ready."""

    def close(self) -> None:
        pass


@pytest.fixture
def machine(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setattr(requirements, "check", lambda *_: None)
    monkeypatch.setattr(cluster_kind, "_is_ready", lambda _: True)
    monkeypatch.setattr(cluster_kind.KubernetesApi, "of_content", lambda _: Opened())
    return Machine()


@pytest.fixture
def kind(machine):
    return ClusterKind(machine, lambda wanted=None: machine)


def test_a_made_cluster_has_a_private_and_secret_kubeconfig(kind, machine):
    made = kind.make(INPUTS, None, silent)
    assert (made.id, made.outputs["state"], made.secrets) == ("mine", "running", {"kubeconfig"})
    assert made.outputs["kubeconfig"] == "a key to everything"
    assert stat.S_IMODE(folder.kubeconfig("mine").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.folder("mine").stat().st_mode) == 0o700
    assert machine.asked == ["create"]
    assert kind.changes(INPUTS, INPUTS) == []


def test_a_cluster_of_somebody_else_is_refused_and_stays(kind, machine):
    machine.is_replaced()
    with pytest.raises(UsageError, match="cluster mine that this stack did not make"):
        kind.make(INPUTS, None, silent)
    kind.remove(INPUTS, silent)
    assert machine.asked == []


def test_a_cluster_that_was_replaced_under_its_name_is_refused(kind, machine):
    kind.make(INPUTS, None, silent)
    machine.is_replaced()
    with pytest.raises(UsageError, match="no longer exists"):
        kind.changes(INPUTS, INPUTS)
    with pytest.raises(UsageError, match="this stack did not make"):
        kind.make(INPUTS, None, silent)
    kind.remove(INPUTS, silent)
    assert machine.asked == ["create"]
    assert not folder.folder("mine").exists()


def test_a_stopped_node_is_a_difference_and_is_started(kind, machine):
    kind.make(INPUTS, None, silent)
    machine.stops()
    [change] = kind.changes(INPUTS, INPUTS)
    assert (change.path, change.replaces, change.of_input) == ("state", False, False)
    assert kind.make(INPUTS, {}, silent).outputs["state"] == "running"
    assert machine.asked == ["create", "start mine-control-plane"]
    assert stat.S_IMODE(folder.kubeconfig("mine").stat().st_mode) == 0o600


def test_what_a_failed_creation_left_is_known_and_made_again(kind, machine):
    machine.fails = True
    with pytest.raises(FailedError, match="kind create"):
        kind.make(INPUTS, None, silent)
    remnant = kind.remnant(INPUTS)
    assert remnant is not None
    assert remnant.outputs["state"] == "stopped"
    machine.fails = False
    kind.make(INPUTS, remnant.outputs, silent)
    assert machine.asked == ["create", "delete", "create"]


def test_what_a_failed_creation_left_is_deleted(kind, machine):
    machine.fails = True
    with pytest.raises(FailedError):
        kind.make(INPUTS, None, silent)
    kind.remove(INPUTS, silent)
    assert machine.asked == ["create", "delete"]
    assert kind.remnant(INPUTS) is None


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"nodeImage": IMAGE.replace("34", "35")}, "can't change its node image"),
        ({"ports": []}, "can't change its ports"),
        ({"name": "other"}, "can't become other"),
    ],
)
def test_a_change_that_would_delete_data_is_refused(kind, changed, named):
    kind.make(INPUTS, None, silent)
    with pytest.raises(UsageError, match=named) as caught:
        kind.changes(INPUTS, {**INPUTS, **changed})
    assert "slipway destroy" in caught.value.fix


def test_a_deleted_cluster_is_named_with_the_way_out(kind, machine):
    kind.make(INPUTS, None, silent)
    assert kind.find("mine", INPUTS) is not None
    machine.here = []
    with pytest.raises(UsageError, match=r"no longer exists.*slipway destroy"):
        kind.changes(INPUTS, INPUTS)
    assert kind.find("mine", INPUTS) is None


def test_a_cluster_of_another_stack_is_refused_and_stays(kind, machine):
    kind.make(INPUTS, None, silent)
    other = {**INPUTS, "owner": "/there/Pulumi.kind.yaml"}
    with pytest.raises(UsageError, match=r"belongs to another stack.*/here/Pulumi\.kind\.yaml"):
        kind.make(other, None, silent)
    with pytest.raises(UsageError, match="belongs to another stack"):
        preflight.refuse_machine("mine", str(other["owner"]), None, [18080])
    assert kind.remnant(other) is None
    kind.remove(other, silent)
    assert machine.asked == ["create"]
    assert kind.find("mine", INPUTS) is not None


def test_destroy_takes_the_cluster_and_its_folder(kind, machine):
    kind.make(INPUTS, None, silent)
    kind.remove(INPUTS, silent)
    assert machine.asked == ["create", "delete"]
    assert not folder.folder("mine").exists()
    kind.remove(INPUTS, silent)
    assert machine.asked == ["create", "delete"], "a second time there is nothing to delete"


def test_wrong_inputs_are_named(kind):
    assert kind.faults(INPUTS) == []
    assert [path for path, _ in kind.faults({**INPUTS, "memory": 3})] == ["memory"]
    assert [path for path, _ in kind.faults({**INPUTS, "nodeImage": "kindest/node:v1.34.11"})] == [
        "nodeImage"
    ]


def test_up_looks_at_the_machine_before_the_cluster_is_made(kind, machine, monkeypatch):
    looked: list[object] = []
    monkeypatch.setattr(preflight, "find", lambda _: machine)
    monkeypatch.setattr(preflight.KindCommand, "version", lambda _: "kind v0.33.0")
    monkeypatch.setattr(requirements, "check", lambda *given: looked.append(given))
    preflight.refuse_machine("mine", OWNER, None, [18080])
    assert looked == [(machine, "kind v0.33.0", [18080])]
    machine.is_replaced()
    with pytest.raises(UsageError, match="this stack did not make"):
        preflight.refuse_machine("mine", OWNER, None, [18080])
    machine.here = []
    kind.make(INPUTS, None, silent)
    looked.clear()
    preflight.refuse_machine("mine", OWNER, None, [18080])
    assert looked == [], "its own ports are in use then"


def test_settings_of_kind_are_compared_with_the_machine(tmp_path, monkeypatch):
    (tmp_path / "tenants").mkdir()
    (tmp_path / "Pulumi.kind.yaml").write_text(
        "config:\n  slipway:secret: {secure: v1:a:b}\n  slipway:platform:\n"
        "    {environment: kind, kfp: {kind: embedded}, cluster: {name: mine, engine: podman}}\n"
    )
    asked: list[object] = []
    monkeypatch.setattr(
        check,
        "refuse_machine",
        lambda name, owner, engine, ports: asked.append((name, owner, engine, [*ports])),
    )
    state = {"version": 3, "deployment": {}}
    check.refuse_settings(tmp_path / "Pulumi.kind.yaml", state, pytest.fail, pytest.fail, look=False)
    assert asked == [("mine", str(tmp_path / "Pulumi.kind.yaml"), "podman", [18080, 18081, 18083])]


PICTURE = {"cluster": "mine", "name": "minio", "reference": "slipway.local/minio:1"}


@pytest.fixture
def images(machine, kind, monkeypatch):
    monkeypatch.setattr(image_kind, "find", lambda _: machine)
    monkeypatch.setattr(Machine, "ctr", lambda _, node: ["exec", node, "ctr"], raising=False)
    kind.make(INPUTS, None, silent)
    return ImageKind(
        lambda name, command, _: (
            machine.asked.append(f"load {name} {' '.join(command)}") or PICTURE["reference"]
        ),
        lambda reference, _: "load minio exec mine-control-plane ctr" in machine.asked,
    )


def test_an_image_is_loaded_once_and_again_if_it_is_lost(images, machine):
    [change] = images.changes(PICTURE, PICTURE)
    assert (change.path, change.replaces) == ("reference", False)
    images.make(PICTURE, None, silent)
    assert images.changes(PICTURE, PICTURE) == []
    machine.stops()
    machine.asked.clear()
    assert images.changes(PICTURE, PICTURE) == [], "nothing can be said of a stopped node"


def test_an_image_that_came_out_as_another_is_refused(images):
    with pytest.raises(FailedError, match=r"came out as slipway\.local/minio:1\."):
        images.make({**PICTURE, "reference": "slipway.local/minio:2"}, None, silent)
