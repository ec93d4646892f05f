"""What a machine needs for a cluster of kind: each refusal, and that a fit machine passes."""

import socket
import textwrap

import pytest
import yaml

from infra.cluster.kind import engine, requirements
from infra.cluster.kind.engine import Engine
from infra.cluster.kind.facts import ClusterInputs, PortInput, configuration, kubernetes_version
from slipway.core.errors import FailedError, UsageError

IMAGE = "docker.io/kindest/node:v1.34.11@sha256:" + "a" * 64
VERSION = "kind v0.33.0 go1.26.8 linux/amd64"


def inputs(image=IMAGE):
    return ClusterInputs(
        name="mine",
        owner="/here/Pulumi.kind.yaml",
        nodeImage=image,
        ports=(PortInput(port=18080, nodePort=30080),),
    )


def arguments(image):
    [patch] = configuration(inputs(image))["kubeadmConfigPatches"]
    return yaml.safe_load(patch)["apiServer"]["extraArgs"]


def test_the_configuration_opens_ports_on_this_machine_alone():
    [node] = configuration(inputs())["nodes"]
    assert node["image"] == IMAGE
    assert node["extraPortMappings"] == [
        {"listenAddress": "127.0.0.1", "hostPort": 18080, "containerPort": 30080, "protocol": "TCP"}
    ]


def test_arguments_are_a_map_until_1_35_and_a_list_from_1_36():
    expected = {
        "service-account-issuer": "https://kubernetes.default.svc.cluster.local",
        "service-account-signing-key-file": "/etc/kubernetes/pki/sa.key",
    }
    assert arguments(IMAGE.replace("1.34.11", "1.35.6")) == expected
    assert arguments(IMAGE.replace("1.34.11", "1.36.4")) == [
        {"name": name, "value": value} for name, value in expected.items()
    ]


@pytest.mark.parametrize("image", ["kindest/node:v1.34.11", "kindest/node@sha256:" + "a" * 64])
def test_a_node_image_has_a_version_and_a_digest(image):
    assert kubernetes_version(IMAGE) == (1, 34), "the control"
    with pytest.raises(ValueError, match="nor a digest"):
        kubernetes_version(image)


def limits(folder, instances, watches):
    (folder / "max_user_instances").write_text(f"{instances}\n")
    (folder / "max_user_watches").write_text(f"{watches}\n")
    return folder


def test_low_limits_of_inotify_are_refused_with_the_command(tmp_path):
    requirements.check_inotify(limits(tmp_path, 512, 524288))
    with pytest.raises(UsageError) as caught:
        requirements.check_inotify(limits(tmp_path, 128, 8192))
    assert "fs.inotify.max_user_instances is 128, fs.inotify.max_user_watches is 8192" in caught.value.what
    assert (
        "sysctl -w fs.inotify.max_user_instances=512 fs.inotify.max_user_watches=524288" in caught.value.fix
    )
    with pytest.raises(UsageError, match=r"sysctl -w fs.inotify.max_user_instances=512 \(and"):
        requirements.check_inotify(limits(tmp_path, 511, 524288))


def test_limits_of_another_kernel_are_not_read(tmp_path):
    requirements.check_inotify(tmp_path / "absent")


def test_an_engine_with_too_little_memory_is_refused():
    requirements.check_memory("docker", 6 << 30)
    with pytest.raises(UsageError, match=r"docker has 3\.8 GiB.*needs 6 GiB.*Docker Desktop"):
        requirements.check_memory("docker", 4_080_000_000)


@pytest.mark.parametrize("version", ["kind v0.32.0 go1.25 linux/amd64", "kind version", ""])
def test_an_old_kind_is_refused(version):
    requirements.check_version(VERSION)
    with pytest.raises(UsageError, match=r"too old.*kind 0\.33 and its node images.*quick-start"):
        requirements.check_version(version)


def test_a_port_in_use_is_refused():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        with pytest.raises(UsageError, match=f"Port {port} of 127.0.0.1.*`endpoints`"):
            requirements.check_ports([port])
    requirements.check_ports([port])


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """Put container tools of scripts on PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))

    def put(name, script):
        path = tmp_path / name
        path.write_text("#!/bin/sh\n" + textwrap.dedent(script))
        path.chmod(0o755)

    return put


def test_the_first_tool_whose_engine_answers_is_used(programs):
    programs("docker", "echo 'Cannot connect to the Docker daemon.' >&2; exit 1")
    programs("podman", "exit 0")
    assert engine.find() == Engine("podman")
    with pytest.raises(UsageError, match=r"`docker info`: Cannot connect to the Docker daemon\. Start it"):
        engine.find("docker")


def test_a_machine_without_a_container_tool_is_refused(programs):
    with pytest.raises(UsageError, match=r"no docker or podman or nerdctl.*apt-get install podman"):
        engine.find()


def test_nodes_are_read_with_their_state(programs):
    programs(
        "podman", r"printf 'b\tmine-worker\tExited (0) 2 minutes ago\na\tmine-control-plane\tUp 2 minutes\n'"
    )
    first, second = Engine("podman").nodes("mine")
    assert (first.id, first.name, first.running) == ("a", "mine-control-plane", True)
    assert (second.id, second.running) == ("b", False)


def test_a_failing_tool_is_named_with_its_reason(programs):
    programs("podman", "echo 'Error: no space left on device' >&2; exit 125")
    with pytest.raises(FailedError, match=r"`podman ps` failed\. Error: no space left on device\."):
        Engine("podman").nodes("mine")
