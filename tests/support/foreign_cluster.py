"""A cluster that Slipway did not make for the stack, and a registry from which its nodes pull.

It is an embedded cluster with none of the platform's images in its image store. What else is in it belongs
to somebody else.
"""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from support.checkout import Checkout, Finished
from support.cluster import instance_for, running_cluster
from support.image_registry import TestRegistry, image_registry

from embedded import session
from embedded.cluster.network import enter_command
from embedded.cluster.paths import ClusterPaths
from embedded.instance import Instance
from infra.kubernetes_api import KubernetesApi

CONTEXT = "team"
OTHERS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("/api/v1/namespaces", {"kind": "Namespace", "metadata": {"name": "other-team"}}),
    (
        "/api/v1/namespaces/other-team/configmaps",
        {"kind": "ConfigMap", "metadata": {"name": "theirs"}, "data": {"key": "value"}},
    ),
    (
        "/apis/storage.k8s.io/v1/storageclasses",
        {"kind": "StorageClass", "metadata": {"name": "theirs"}, "provisioner": "example.org/none"},
    ),
    (
        "/apis/rbac.authorization.k8s.io/v1/clusterroles",
        {"kind": "ClusterRole", "metadata": {"name": "their-readers"}, "rules": []},
    ),
)
"""Objects of somebody else, by the list that they are created in."""
_CHANGES_BY_ITSELF = ("events", "leases", "endpoints", "endpointslices", "componentstatuses")


@dataclass(frozen=True)
class ForeignCluster:
    """The cluster, its registry, and a checkout with the environment of a person who uses both."""

    instance: Instance
    registry: TestRegistry
    folder: Path
    checkout: Checkout

    @property
    def place(self) -> str:
        return f"{self.registry.address}/slipway"

    @property
    def kubeconfig(self) -> Path:
        return self.folder / "team.kubeconfig"

    @property
    def accounts(self) -> Path:
        """The file in which container tools keep logins."""
        return self.folder / "auth.json"

    @property
    def env(self) -> dict[str, str]:
        """Pulumi with its plugins and a backend; nothing that leads to the cluster."""
        prepared = session.environment(self.instance)
        kept = {name: value for name, value in prepared.items() if name.startswith(("PULUMI_", "PATH"))}
        return {**kept, "REGISTRY_AUTH_FILE": str(self.accounts)}

    def slipway(self, *arguments: str, **env: str) -> Finished:
        return self.checkout.slipway(*arguments, env={**self.env, **env})

    @contextmanager
    def api(self) -> Iterator[KubernetesApi]:
        opened = KubernetesApi.open(self.instance.kubeconfig)
        try:
            yield opened
        finally:
            opened.close()

    def others(self) -> dict[str, str]:
        """Return the objects of somebody else as the API server has them, byte for byte."""
        with self.api() as api:
            found = {f"{path}/{body['metadata']['name']}" for path, body in OTHERS}
            found.add("/apis/storage.k8s.io/v1/storageclasses/standard")
            return {path: json.dumps(api.get(path)) for path in sorted(found)}

    def everything(self) -> set[str]:
        """Return the name of each object of the cluster, but of those that come and go by themselves."""
        with self.api() as api:
            return {
                f"{version}/{resource}/{each['metadata'].get('namespace', '')}/{each['metadata']['name']}"
                for version, resource in _resources(api)
                for each in (api.get(f"{_root(version)}/{resource}") or {}).get("items") or ()
            }


@contextmanager
def foreign_cluster(name: str, folder: Path, checkout: Checkout) -> Iterator[ForeignCluster]:
    """Run the cluster and its registry during the block; nothing is left afterwards."""
    shutil.rmtree(session.selection.folder(instance_for(name)), ignore_errors=True)
    with running_cluster(name) as instance:
        host = str(instance.addresses.node)
        # In the network namespace of the node, which can't reach the machine; the machine reaches it.
        registry_folder = folder / "registry"
        registry_folder.mkdir()
        with image_registry(registry_folder, host=host, within=enter_command(instance)) as registry:
            made = ForeignCluster(instance, registry, folder, checkout)
            trust(made)
            registry.auth_file(made.accounts)
            _write_kubeconfig(made)
            with made.api() as api:
                for path, body in OTHERS:
                    version = path.removeprefix("/apis/").removeprefix("/api/")
                    api.create(path, {**body, "apiVersion": _version(version)})
            try:
                yield made
            finally:
                session.remove(instance)


def trust(cluster: ForeignCluster, ca_file: Path | None = None) -> None:
    """Let the node trust the registry's CA, or another one."""
    registry = cluster.registry
    folder = ClusterPaths(cluster.instance).registries / registry.address
    folder.mkdir(parents=True, exist_ok=True)
    url, ca = json.dumps(f"https://{registry.address}"), json.dumps(str(ca_file or registry.ca_file))
    (folder / "hosts.toml").write_text(
        f"server = {url}\n[host.{url}]\ncapabilities = ['pull', 'resolve']\nca = {ca}\n"
    )


def _write_kubeconfig(cluster: ForeignCluster) -> None:
    """Write a person's kubeconfig: the cluster's context is not the current one."""
    document: dict[str, Any] = yaml.safe_load(cluster.instance.kubeconfig.read_text())
    mine = document["contexts"][0]["context"]
    document["contexts"] = [
        {"name": "elsewhere", "context": {**mine, "cluster": "elsewhere"}},
        {"name": CONTEXT, "context": mine},
    ]
    document["clusters"].append({"name": "elsewhere", "cluster": {"server": "https://127.0.0.1:1"}})
    document["current-context"] = "elsewhere"
    cluster.kubeconfig.write_text(yaml.safe_dump(document))


def _resources(api: KubernetesApi) -> Iterator[tuple[str, str]]:
    groups: Mapping[str, Any] = api.get("/apis") or {}
    versions = ["v1", *(each["preferredVersion"]["groupVersion"] for each in groups["groups"])]
    for version in versions:
        for each in (api.get(_root(version)) or {}).get("resources") or ():
            plain = "/" not in each["name"] and "list" in each["verbs"]
            if plain and each["name"] not in _CHANGES_BY_ITSELF:
                yield version, each["name"]


def _root(version: str) -> str:
    return f"/apis/{version}" if "/" in version else f"/api/{version}"


def _version(path: str) -> str:
    first, second, *_ = path.split("/")
    return first if first == "v1" else f"{first}/{second}"
