"""A stack of `kind` on the real kind and podman: from two commands to a served model, and all away again."""

import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import kind_node
from support.checkout import Checkout, Finished, checkout
from support.podman import Podman, podman

from embedded import images
from infra.versions import KUBERNETES
from slipway.operations import upstream_parts

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(3600)]
NODE = "slipway-control-plane"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Podman]:
    """podman with the image of a node, beside a container of somebody else."""
    folder = tmp_path_factory.mktemp("podman")
    # In the namespace nothing can be downloaded.
    upstream_parts.build(tools=["kind", "kubeadm", "kubectl", "pulumi"])
    for name in images.IMAGES:
        images.build(name)
    digest = kind_node.write_node_layout(folder / "node")
    with podman(folder) as running:
        pulled = running.run("pull", "--quiet", "oci:node")
        running.run("tag", pulled, f"{kind_node.NAME}:v{KUBERNETES}")
        image = f"{kind_node.NAME}@{digest}"
        running.run("run", "--detach", "--name=other", "--net=none", "--entrypoint=sleep", image, "86400")
        yield running


@pytest.fixture(scope="module")
def clone(engine: Podman, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout whose template names the image of the tests."""
    fresh = checkout(tmp_path_factory.mktemp("clone"))
    template = fresh.path / "stacks/kind.yaml"
    [digest] = {*engine.run("image", "ls", "--format={{.Digest}}").split()}
    image = f"{kind_node.NAME}:v{KUBERNETES}@{digest}"
    text = template.read_text()
    assert "      name: slipway\n" in text
    template.write_text(text.replace("name: slipway\n", f"name: slipway\n      node_image: {image}\n"))
    return fresh


def slipway(clone: Checkout, engine: Podman, *words: str) -> Finished:
    return clone.slipway(*words, env=engine.env, within=engine.within)


def test_a_cluster_of_somebody_else_is_refused(clone: Checkout, engine: Podman) -> None:
    image = f"{kind_node.NAME}:v{KUBERNETES}"
    label = "--label=io.x-k8s.kind.cluster=slipway"
    engine.run("run", "--detach", f"--name={NODE}", label, "--net=none", "--entrypoint=sleep", image, "86400")
    assert slipway(clone, engine, "init", "kind").code == 0
    refused = slipway(clone, engine, "up", "kind")
    assert (refused.code, "cluster slipway that this stack did not make" in refused.err) == (2, True)
    assert engine.run("ps", "--format={{.Names}}").split() == ["other", NODE]
    engine.run("rm", "--force", "--time=0", NODE)


@pytest.fixture(scope="module")
def first_up(clone: Checkout, engine: Podman) -> Finished:
    made = slipway(clone, engine, "init", "kind")
    assert made.code == 0, made.err
    done = slipway(clone, engine, "up", "kind", "--json")
    assert done.code == 0, f"{done.out[-3000:]}\n{done.err[-6000:]}"
    return done


@pytest.fixture(scope="module")
def kubeconfig(first_up: Finished, clone: Checkout, engine: Podman) -> Path:
    assert first_up.code == 0
    return Path(slipway(clone, engine, "outputs", "kind", "kubeconfig", "--json").json)


def test_the_kubeconfig_is_private_and_beside_the_users_own(kubeconfig: Path, engine: Podman) -> None:
    assert stat.S_IMODE(kubeconfig.stat().st_mode) == 0o600
    assert kubeconfig.is_relative_to(engine.folder)
    own = Path.home() / ".kube/config"
    assert not own.exists() or "kind-slipway" not in own.read_text()


def test_tokens_name_the_issuer_that_other_parts_expect(kubeconfig: Path, engine: Podman) -> None:
    assert kubeconfig.is_file()
    manifest = engine.run("exec", NODE, "cat", "/etc/kubernetes/manifests/kube-apiserver.yaml")
    arguments = [line.strip() for line in manifest.splitlines()]
    assert "- --service-account-issuer=https://kubernetes.default.svc.cluster.local" in arguments
    assert "- --service-account-signing-key-file=/etc/kubernetes/pki/sa.key" in arguments


def test_a_model_is_trained_promoted_and_served(first_up: Finished, clone: Checkout, engine: Podman) -> None:
    assert first_up.code == 0
    done = slipway(
        clone, engine, "pipeline", "run", "iris", "--model=iris", "--stack=kind", "--promote", "--json"
    )
    assert done.code == 0, done.err
    assert done.json["version"], done.json["decision"]
    assert done.json["endpoint"].startswith("http://127.0.0.1:18080/")


def test_a_second_up_changes_nothing(first_up: Finished, clone: Checkout, engine: Podman) -> None:
    assert first_up.code == 0
    again = slipway(clone, engine, "up", "kind", "--json")
    assert again.code == 0, again.err
    assert set(again.json["changes"]) == {"same"}


def test_a_stopped_node_is_started_with_its_data(
    first_up: Finished, clone: Checkout, engine: Podman, tmp_path: Path
) -> None:
    assert first_up.code == 0
    engine.run("stop", "--time=2", NODE)
    started = slipway(clone, engine, "up", "kind", "--json")
    assert started.code == 0, started.err
    assert started.json["changes"]["update"] == 1
    assert set(started.json["changes"]) == {"same", "update"}
    versions = slipway(clone, engine, "model", "list", "--stack=kind", "--json")
    assert versions.code == 0, versions.err
    assert "iris" in json.dumps(versions.json)


def test_destroy_takes_the_cluster_and_nothing_else(
    first_up: Finished, clone: Checkout, engine: Podman
) -> None:
    assert first_up.code == 0
    done = slipway(clone, engine, "destroy", "kind", "--yes", "--json")
    assert done.code == 0, done.err
    assert engine.run("ps", "--all", "--format={{.Names}}").split() == ["other"]
    assert engine.run("volume", "ls", "--quiet") == ""
    assert not (engine.folder / "data/slipway/kind/slipway").exists()
    assert clone.git_status().split() == ["M", "stacks/kind.yaml"]
