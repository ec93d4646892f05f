"""The provider `slipway` under the real CLI: what `up` makes of a cluster and its images."""

import shlex
import signal
import sys
from pathlib import Path

import pytest
from support import platform_world
from support.pulumi_cli import Project
from support.waiting import PATIENCE_SECONDS, eventually

from embedded.plugins.selection import PROVIDER_VERSION

pytestmark = pytest.mark.contract

PROGRAM = """\
import os
import pulumi
from infra.cluster.embedded import EmbeddedCluster, EmbeddedImage
port = int(os.environ.get("PORT", "20000"))
forward = {"port": port, "namespace": "gateway", "service": "gateway", "servicePort": 8080}
cluster = EmbeddedCluster("cluster", instance_name="test", forwards=[forward])
if not os.environ.get("NO_IMAGE"):
    on = pulumi.ResourceOptions(depends_on=[cluster], deleted_with=cluster)
    reference = os.environ.get("REFERENCE", "slipway.local/minio:1")
    EmbeddedImage("minio", instance_name="test", reference=reference, opts=on)
pulumi.export("state", cluster.state)
pulumi.export("kubeconfig", cluster.kubeconfig)
"""


class World:
    """The folder that the provider takes for the machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()

    def calls(self) -> list[str]:
        path = self.folder / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def forget(self) -> None:
        (self.folder / "calls").unlink(missing_ok=True)

    def is_now(self, state: str) -> None:
        (self.folder / "state").write_text(state)

    def say(self, word: str) -> None:
        (self.folder / word).touch()

    def unsay(self, word: str) -> None:
        (self.folder / word).unlink()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "world")


@pytest.fixture
def project(tmp_path: Path, world: World) -> Project:
    made = Project(tmp_path, {"WORLD": str(world.folder)})
    launcher = tmp_path / f"home/plugins/resource-slipway-v{PROVIDER_VERSION}/pulumi-resource-slipway"
    launcher.parent.mkdir()
    script = shlex.quote(str(platform_world.__file__))
    launcher.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -P {script} "$@"\n')
    launcher.chmod(0o755)
    (tmp_path / "program.py").write_text(PROGRAM)
    return made


def test_the_second_up_changes_nothing(project: Project, world: World) -> None:
    first = project.up().fine()
    assert "starting etcd" in first.text, "progress must reach the person who waits"
    assert world.calls() == ["start test [20000]", "image slipway.local/minio:1"]
    world.forget()
    assert project.changes() == {}
    project.up().fine()
    assert world.calls() == []


def test_a_stopped_cluster_is_started_by_up(project: Project, world: World) -> None:
    project.up().fine()
    world.forget()
    world.is_now("stopped")
    assert project.changes() == {"update": 1}
    text = project.up().fine().text
    assert "the cluster is stopped; it will be started" in text
    assert world.calls() == ["start test [20000]"]
    assert project.changes() == {}


def test_changed_forwards_are_an_update_and_no_replacement(project: Project, world: World) -> None:
    project.up().fine()
    world.forget()
    project.env["PORT"] = "20020"
    assert project.changes() == {"update": 1}
    project.up().fine()
    assert world.calls() == ["start test [20020]"]


def test_an_image_that_was_lost_or_changed_is_made_again(project: Project, world: World) -> None:
    project.up().fine()
    world.forget()
    next((world.folder / "images").iterdir()).unlink()
    project.up().fine()
    project.env["REFERENCE"] = "slipway.local/minio:2"
    assert project.changes() == {"update": 1}, "pods of the old image run on"
    project.up().fine()
    assert world.calls() == ["image slipway.local/minio:1", "image slipway.local/minio:2"]


def test_destroy_takes_the_cluster_and_not_each_image(project: Project, world: World) -> None:
    project.up().fine()
    world.forget()
    project.destroy().fine()
    assert world.calls() == ["delete test"]
    assert project.state() == []


def test_an_image_that_the_program_drops_is_removed(project: Project, world: World) -> None:
    project.up().fine()
    world.forget()
    project.env["NO_IMAGE"] = "1"
    project.up().fine()
    assert world.calls() == ["remove slipway.local/minio:1"]


def test_the_kubeconfig_is_a_secret_everywhere(project: Project) -> None:
    assert "with a key in it" not in project.up().fine().text
    stored = (project.folder / "backend").rglob("*.json")
    assert all(b"with a key in it" not in path.read_bytes() for path in stored)
    shown = project.run("stack", "output", "kubeconfig", "--show-secrets", "-s", "test").fine().text
    assert "with a key in it" in shown, "the control: it is there"


def test_a_refusal_is_one_message_and_leaves_nothing(project: Project, world: World) -> None:
    world.say("refuse")
    text = project.up().failed().text
    assert "Port 20000 is taken. nginx holds it. Stop nginx." in text
    assert "Traceback" not in text
    assert "rpc error" not in text
    assert not any(each["type"] == "slipway:embedded:Cluster" for each in project.state())


def test_destroy_finds_half_a_cluster(project: Project, world: World) -> None:
    world.say("break")
    assert "etcd does not start. The disk is full. Free some space." in project.up().failed().text
    assert project.resource("cluster")["outputs"]["state"] == "broken"
    world.forget()
    project.destroy().fine()
    assert world.calls() == ["delete test"]


def test_half_a_cluster_is_finished_by_the_next_up(project: Project, world: World) -> None:
    world.say("break")
    project.up().failed()
    world.unsay("break")
    project.up().fine()
    assert project.changes() == {}


def test_refresh_sees_a_stopped_cluster_and_one_that_is_gone(project: Project, world: World) -> None:
    project.up().fine()
    world.is_now("stopped")
    project.refresh().fine()
    assert project.resource("cluster")["outputs"]["state"] == "stopped"
    (world.folder / "state").unlink()
    project.refresh().fine()
    assert not any(each["type"] == "slipway:embedded:Cluster" for each in project.state())


def test_an_interrupted_start_is_finished_later(project: Project, world: World) -> None:
    world.say("hang")
    process = project.start("up", "-s", "test", "--yes", "--skip-preview")
    eventually(world.calls)
    process.send_signal(signal.SIGINT)
    text, _ = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode != 0
    assert "Stopped on request." in text
    world.unsay("hang")
    project.up().fine()
    assert project.changes() == {}


@pytest.mark.parametrize(
    ("argument", "field"),
    [('instance_name=""', "forwards"), ('forwards=[{"port": "many"}]', "forwards.0.port")],
)
def test_inputs_that_cannot_be_are_named(project: Project, world: World, argument: str, field: str) -> None:
    inputs = {"instance_name": '"test"', "forwards": '[{"port": "many"}]'}
    name, _, value = argument.partition("=")
    inputs[name] = value
    call = ", ".join(f"{key}={each}" for key, each in inputs.items())
    (project.folder / "program.py").write_text(
        f'from infra.cluster.embedded import EmbeddedCluster\nEmbeddedCluster("cluster", {call})\n'
    )
    assert field in project.preview().failed().text
    assert world.calls() == []
