"""A real kubelet pulls by digest from a registry with a private CA and a login, with a Secret made for it."""

import base64
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client
from pydantic import SecretStr
from support import certificates
from support.cluster import api_client, eventually, running_cluster
from support.image_registry import TestRegistry, image_registry

from embedded.cluster.network import enter_command
from embedded.cluster.paths import ClusterPaths
from embedded.instance import Instance
from infra.kubernetes_api import KubernetesApi
from infra.stack.live_cluster import LiveCluster
from infra.upstream.install import probes
from oci import pull_secrets
from oci.login import Login
from oci.references import Reference, parse, parse_place
from slipway.core.errors import FailedError
from slipway.core.report import Report, silent
from slipway.operations import images_push, images_verify
from slipway.operations.images_registry import Connection

pytestmark = pytest.mark.contract


@contextmanager
def quiet(_title: str) -> Iterator[Report]:
    yield silent


@dataclass(frozen=True)
class Node:
    """A cluster, the registry on its node's loopback, and an image in that registry."""

    cluster: Instance
    registry: TestRegistry
    image: Reference

    @property
    def core(self) -> client.CoreV1Api:
        return client.CoreV1Api(api_client(self.cluster))

    def run(self, name: str, image: str, secret: str | None) -> None:
        pod = {
            "metadata": {"name": name},
            "spec": {
                "containers": [{"name": "main", "image": image, "imagePullPolicy": "Always"}],
                "imagePullSecrets": [{"name": secret}] if secret else [],
            },
        }
        self.core.create_namespaced_pod("default", pod)

    def status(self, name: str) -> Any:
        [status] = self.core.read_namespaced_pod(name, "default").status.container_statuses
        return status

    def waiting(self, name: str) -> str:
        """Wait until the kubelet has tried to pull; return what it says."""

        def look() -> str | None:
            state = self.status(name).state.waiting
            return state.message if state and state.reason == "ErrImagePull" else None

        return eventually(look)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    storage = tmp_path_factory.mktemp("storage")
    with image_registry(tmp_path_factory.mktemp("outside"), storage=storage) as outside:
        connection = Connection(login=outside.login, ca_file=outside.ca_file)
        place = parse_place(f"{outside.address}/slipway")
        [pushed] = images_push.push(place, connection, quiet, only=["pause"]).images
    # Nothing outside can be reached from the node, so the registry moves to it.
    with running_cluster("slt-pull") as cluster:
        within = enter_command(cluster)
        folder = tmp_path_factory.mktemp("inside")
        with image_registry(folder, storage=storage, within=within) as registry:
            trust(cluster, registry)
            image = parse(pushed.reference)
            yield Node(cluster, registry, Reference(registry.address, image.repository, digest=image.digest))


def trust(
    cluster: Instance, registry: TestRegistry, *, at: str | None = None, ca_file: Path | None = None
) -> None:
    folder = ClusterPaths(cluster).registries / registry.address
    folder.mkdir(parents=True, exist_ok=True)
    url, ca = json.dumps(f"https://{at or registry.address}"), json.dumps(str(ca_file or registry.ca_file))
    (folder / "hosts.toml").write_text(
        f"server = {url}\n[host.{url}]\ncapabilities = ['pull', 'resolve']\nca = {ca}\n"
    )


def pull_secret(node: Node, name: str, login: Login) -> None:
    content = pull_secrets.docker_config({node.registry.address: login})
    encoded = base64.b64encode(content.encode()).decode()
    secret = {
        "metadata": {"name": name},
        "type": pull_secrets.SECRET_TYPE,
        "data": {pull_secrets.SECRET_KEY: encoded},
    }
    node.core.create_namespaced_secret("default", secret)


def test_a_node_pulls_by_digest_with_the_secret(node):
    pull_secret(node, "regcred", node.registry.login)
    node.run("with-secret", str(node.image), "regcred")
    status = eventually(lambda: found if (found := node.status("with-secret")).ready else None)
    assert status.image_id == str(node.image), "the node reports the digest that was pushed"
    pods = LiveCluster.open(node.cluster.kubeconfig).read("/api/v1/namespaces/default/pods")
    mine = [each for each in pods["items"] if each["metadata"]["name"] == "with-secret"]
    assert images_verify.compare(mine, [node.image]).unlisted == []
    other = parse(f"{node.image.name}@sha256:{'0' * 64}")
    [unlisted] = images_verify.compare(mine, [other]).unlisted
    assert (unlisted.pod, unlisted.digest) == ("with-secret", node.image.digest)


def test_a_node_without_the_login_pulls_nothing(node):
    node.run("without-secret", str(node.image), None)
    assert "401 Unauthorized" in node.waiting("without-secret")


def test_a_node_with_another_password_pulls_nothing(node):
    pull_secret(node, "wrong", Login(node.registry.username, SecretStr("not-the-password")))
    node.run("wrong-secret", str(node.image), "wrong")
    assert "401 Unauthorized" in node.waiting("wrong-secret")


def test_what_cannot_be_pulled_ends_the_wait_with_the_reason(node, tmp_path, monkeypatch):
    """What `up` waits for first, with each fault of a registry and afterwards without one."""
    monkeypatch.setattr(probes, "_UNPULLED_SECONDS", 0.5)
    other = tmp_path / "other.pem"
    other.write_text(certificates.new_ca().pem)
    pull_secret(node, "refused", Login(node.registry.username, SecretStr("not-the-password")))
    pull_secret(node, "known", node.registry.login)

    def run(name: str, secret: str) -> str:
        labels = {"app": name}
        container = {"name": "main", "image": str(node.image), "imagePullPolicy": "Always"}
        spec = {"containers": [container], "imagePullSecrets": [{"name": secret}]}
        template = {"metadata": {"labels": labels}, "spec": spec}
        body = {
            "metadata": {"name": name},
            "spec": {"selector": {"matchLabels": labels}, "template": template},
        }
        client.AppsV1Api(api_client(node.cluster)).create_namespaced_deployment("default", body)
        wanted = probes.Reference(apiVersion="apps/v1", kind="Deployment", namespace="default", name=name)
        api = KubernetesApi.open(node.cluster.kubeconfig)
        try:
            probes.wait_ready(api, [wanted], [], seconds=120, report=silent)
        except FailedError as error:
            assert error.why.startswith(f"Deployment default/{name}: 0 of 1 updated pods are available (pod ")
            return error.why
        finally:
            api.close()
        return ""

    assert "401 Unauthorized" in run("no-login", "refused")
    trust(node.cluster, node.registry, ca_file=other)
    assert "x509: certificate signed by unknown authority" in run("no-trust", "known")
    trust(node.cluster, node.registry, at="127.0.0.1:1")
    assert "connection refused" in run("no-registry", "known")
    trust(node.cluster, node.registry)
    assert run("no-fault", "known") == "", "the control"


def test_a_digest_that_the_registry_does_not_have_is_not_run(node):
    missing = "sha256:" + "0" * 64
    pull_secret(node, "again", node.registry.login)
    node.run("other-digest", f"{node.image.name}@{missing}", "again")
    assert missing in node.waiting("other-digest")
    [answer, *_] = re.findall(
        rf'"HEAD /v2/slipway/pause/manifests/{missing} HTTP/1.1" (404)', node.registry.log
    )
    assert answer == "404", "with the login; the message is that of a further attempt without the CA"
