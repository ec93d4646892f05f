"""`dev`: the platform on a cluster that Slipway did not make, with images from a registry.

The cluster has a StorageClass, and objects of somebody else. Its node trusts the registry's private CA, and
knows no login. The tests are one story, in this order.
"""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import SecretStr
from support.checkout import Finished, checkout
from support.foreign_cluster import CONTEXT, ForeignCluster, foreign_cluster

from infra.settings.config import REGISTRY_LOGIN_KEY
from infra.settings.models import ImageReferences
from infra.stack.stack import Stack
from oci import pull_secrets
from oci.login import Login

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(3600)]
STACK = ("--stack", "dev")
NODE_PORTS = {"gateway": 31080, "store": 31443}
ROWS = "petal_width,petal_length,sepal_width,sepal_length\n0.2,1.4,3.5,5.1\n2.3,5.2,3.0,6.7\n"


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForeignCluster]:
    fresh = checkout(tmp_path_factory.mktemp("foreign"))
    with foreign_cluster("slt-foreign", tmp_path_factory.mktemp("team"), fresh) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def before(team: ForeignCluster) -> tuple[dict[str, str], set[str]]:
    return team.others(), team.everything()


@contextmanager
def opened(team: ForeignCluster) -> Iterator[list[str]]:
    """Run `slipway open dev` during the block; yield the first line that it prints."""
    process = subprocess.Popen(
        [sys.executable, "-m", "slipway", "open", "dev"],
        cwd=team.checkout.path,
        env={**team.checkout.env, **team.env},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("127.0.0.1:"), line
        yield [line]
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 0


def init(team: ForeignCluster, *arguments: str) -> Finished:
    return team.slipway("init", "dev", *arguments, "--json")


def settings_file(team: ForeignCluster) -> Path:
    return team.checkout.path / "Pulumi.dev.yaml"


def change(team: ForeignCluster, edit: Callable[[dict[str, Any]], None]) -> None:
    document = yaml.safe_load(settings_file(team).read_text())
    edit(document["config"]["slipway:platform"])
    settings_file(team).write_text(yaml.safe_dump(document, sort_keys=False))


def predict(team: ForeignCluster, folder: Path) -> Finished:
    rows = folder / "rows.csv"
    rows.write_text(ROWS)
    return team.slipway("model", "predict", "iris", "--data", str(rows), *STACK, "--json")


def test_examples_of_the_template_are_refused_by_name(team: ForeignCluster, before: object) -> None:
    made = init(team)
    assert made.code == 0, made.err
    left = ["cluster.context", *(f"images.{name}" for name in ImageReferences.model_fields)]
    assert made.json["missing"] == left
    for command in ("preview", "up"):
        refused = team.slipway(command, "dev")
        assert refused.code == 2, refused.err
        assert f"Pulumi.dev.yaml: {', '.join(left)}: still an example of the template." in refused.err


def test_images_that_were_not_pushed_are_named(team: ForeignCluster) -> None:
    written = settings_file(team).read_bytes()
    refused = init(team, "--registry", team.place, "--ca-file", str(team.registry.ca_file))
    assert refused.code == 2, refused.err
    assert f"The registry does not have {team.place}/" in refused.json["error"]
    assert settings_file(team).read_bytes() == written


def test_the_images_are_pushed(team: ForeignCluster) -> None:
    pushed = team.slipway("images", "push", team.place, "--ca-file", str(team.registry.ca_file), "--json")
    assert pushed.code == 0, pushed.err
    assert len(pushed.json["images"]) == len(ImageReferences.model_fields)


def test_init_finds_everything_out(team: ForeignCluster) -> None:
    cluster = ("--context", CONTEXT, "--kubeconfig", str(team.kubeconfig))
    done = init(team, *cluster, "--registry", team.place, "--ca-file", str(team.registry.ca_file))
    assert done.code == 0, done.err
    assert done.json["missing"] == []
    found = done.json["settings"]
    assert found["cluster.context"] == CONTEXT
    assert found["store.storage_class"] == found["kfp.storage_class"] == "standard"
    for name in ImageReferences.model_fields:
        assert found[f"images.{name}"].startswith(f"{team.place}/{name.replace('_', '-')}:")
    written = settings_file(team).read_text()
    assert "# docs/settings.md" in written or "docs/settings.md lists every setting" in written
    assert team.registry.password not in written
    assert team.registry.username not in written
    again = init(team)
    assert again.code == 0, again.err
    assert settings_file(team).read_text() == written, "nothing has to be said twice"


def test_a_login_that_nodes_cannot_use_is_named(team: ForeignCluster) -> None:
    """The registry refuses the kubelet, not this machine."""
    stack = Stack("dev", team.checkout.path, team.env)
    right = stack.stack_settings.secret(REGISTRY_LOGIN_KEY)
    wrong = Login(team.registry.username, SecretStr("not-the-password"))
    stack.stack_settings.store_secret(
        REGISTRY_LOGIN_KEY, SecretStr(pull_secrets.docker_config({team.registry.address: wrong}))
    )
    failed = team.slipway("up", "dev")
    stack.stack_settings.store_secret(REGISTRY_LOGIN_KEY, right)
    assert failed.code == 1, failed.err
    assert "gateway-pulled" in failed.err
    assert "Deployment slipway-gateway/gateway: 0 of 1 updated pods are available (pod gateway-" in failed.err
    assert "401 Unauthorized" in failed.err
    assert "not-the-password" not in failed.err + failed.out
    with team.api() as api:
        namespaces = {each["metadata"]["name"] for each in (api.get("/api/v1/namespaces") or {})["items"]}
    assert "slipway-gateway" in namespaces
    assert "slipway-store" not in namespaces, "nothing else was begun"


def test_up_goes_on_and_shows_no_login(team: ForeignCluster) -> None:
    done = team.slipway("up", "dev", "--json")
    assert done.code == 0, done.out[-2000:] + done.err[-6000:]
    outputs = team.slipway("outputs", "dev", "--json")
    assert outputs.code == 0, outputs.err
    assert (outputs.json["context"], outputs.json["environment"]) == (CONTEXT, "dev")
    for text in (done.out, done.err, outputs.out):
        assert team.registry.password not in text
    with team.api() as api:
        for namespace in ("slipway-gateway", "slipway-store", "kubeflow", "team-a"):
            secret = api.get(f"/api/v1/namespaces/{namespace}/secrets/regcred") or {}
            assert secret["type"] == "kubernetes.io/dockerconfigjson"


def test_every_image_came_from_the_registry(team: ForeignCluster) -> None:
    with team.api() as api:
        pods = (api.get("/api/v1/pods") or {})["items"]
    images = {
        status["imageID"] for pod in pods for status in (pod.get("status") or {}).get("containerStatuses", ())
    }
    assert images
    assert all(image.startswith(f"{team.place}/") for image in images), images


def test_a_second_up_changes_nothing(team: ForeignCluster) -> None:
    again = team.slipway("up", "dev", "--json")
    assert again.code == 0, again.err
    assert set(again.json["changes"]) == {"same"}


def test_the_gated_pipeline_promotes_what_answers(team: ForeignCluster, tmp_path: Path) -> None:
    run = ("pipeline", "run", "iris", "--model", "iris", "--promote", *STACK, "--json")
    with opened(team):
        refused = team.slipway(*run, "--threshold", "0.9999")
        assert refused.code == 1, "the gate is closed"
        assert "0.9999" in refused.json["decision"]
        done = team.slipway(*run)
        assert done.code == 0, done.err
        assert done.json["version"], done.json["decision"]
        asked = predict(team, tmp_path)
        assert asked.code == 0, asked.err
        assert asked.json["labels"] == ["setosa", "virginica"]
    closed = predict(team, tmp_path)
    assert closed.code == 1, "the control: without `slipway open` there is no way in"


def test_a_port_of_the_nodes_answers_too(team: ForeignCluster, tmp_path: Path) -> None:
    def publish(platform: dict[str, Any]) -> None:
        kfp = platform["endpoints"]["kfp"]
        host = str(team.instance.addresses.node)
        platform["endpoints"] = {"kind": "node-port", "host": host, **NODE_PORTS, "kfp_port": kfp}

    refused = team.slipway("destroy", "dev", "--yes")
    assert refused.code == 2, refused.err
    assert "store.protect_volumes" in refused.err
    change(team, publish)
    change(team, lambda platform: platform["store"].update(protect_volumes=False))
    done = team.slipway("up", "dev", "--json")
    assert done.code == 0, done.err
    asked = predict(team, tmp_path)
    assert asked.code == 0, asked.err
    assert asked.json["labels"] == ["setosa", "virginica"]
    listed = team.slipway("model", "list", *STACK, "--json")
    assert listed.code == 0, listed.err
    with opened(team) as [line]:
        assert line.endswith("is kfp: Service kubeflow/ml-pipeline\n"), "published by no node"
        runs = team.slipway("pipeline", "list", *STACK, "--json")
        assert runs.code == 0, runs.err
        assert len(runs.json["runs"]) == 2


def test_destroy_leaves_what_was_there(team: ForeignCluster, before: tuple[dict[str, str], set[str]]) -> None:
    with team.api() as api:
        served = "/apis/serving.kserve.io/v1beta1/namespaces/team-a/inferenceservices"
        assert (api.get(served) or {})["items"], "a tenant's InferenceService, which no stack knows"
    done = team.slipway("destroy", "dev", "--yes", "--json")
    assert done.code == 0, done.err
    others, everything = before
    assert team.others() == others
    assert team.everything() == everything
