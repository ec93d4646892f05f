"""A whole platform under the recording engine: settings, a cluster that is not there, small manifests."""

import json
from pathlib import Path

import pulumi
import pulumi_kubernetes
from support.engine import Engine

from infra import cluster, program
from infra.cluster.handle import ClusterHandle, Connection, Endpoints, Image, Images
from infra.components.kserve.objects import CRDS
from infra.contract import PlatformOutputs
from infra.settings import config
from infra.settings.models import PlatformSettings, TenantSettings
from infra.settings.operator_secrets import OperatorSecrets

CANARY = "canary-Kq7ZbT2mVx9LrN4wEj6HsYpD1cUfGa8o"
"""The stack's secret in tests; nothing recorded outside a Secret may hold it or what derives from it."""
KINDS = ("minio", "kserve_controller", "gateway", "pipelines", "model_server")


def reference(name: str) -> str:
    return f"registry.test/{name}:0123456789ab"


def write_manifests(folder: Path) -> Path:
    """Write stand-ins for what controller-gen makes: the same shape, a hundredth of the size."""
    (folder / "crds").mkdir(parents=True)
    for plural in CRDS:
        definition = {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": f"{plural}.serving.kserve.io", "annotations": {"generator": "test"}},
            "spec": {
                "group": "serving.kserve.io",
                "names": {"plural": plural, "kind": plural.title()},
                "scope": "Namespaced",
                "versions": [],
            },
        }
        (folder / "crds" / f"{plural}.json").write_text(json.dumps(definition))
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}]
    role = {"kind": "ClusterRole", "metadata": {"name": "kserve-manager-role"}, "rules": rules}
    (folder / "role.json").write_text(json.dumps(role))
    return folder


def handle(manifests: Path) -> ClusterHandle:
    return ClusterHandle(
        provider=pulumi_kubernetes.Provider("kubernetes", kubeconfig="{}"),
        connection=Connection(kubeconfig="{}"),
        images=Images(**{kind: Image(reference=reference(kind)) for kind in KINDS}),
        kserve_manifests=manifests,
        endpoints=Endpoints(
            gateway="http://127.0.0.1:1",
            store="https://127.0.0.1:2",
            console="https://127.0.0.1:3",
            kfp="http://127.0.0.1:4",
        ),
        kubeconfig=Path("/somewhere/kubeconfig"),
    )


def deploy(
    monkeypatch,
    manifests: Path,
    platform: PlatformSettings,
    tenants: tuple[TenantSettings, ...],
    *,
    operator: OperatorSecrets | None = None,
    engine: Engine | None = None,
) -> tuple[Engine, PlatformOutputs]:
    """Build the platform and return what was recorded, and what it tells the outside."""
    monkeypatch.setattr(cluster, "connect", lambda _settings: handle(manifests))
    built: list[PlatformOutputs] = []

    def run() -> None:
        secret = pulumi.Output.secret(CANARY)
        built.append(
            program.build(
                config.Configuration(
                    stack="test",
                    platform=platform,
                    tenants=tenants,
                    secret=secret,
                    operator=operator or OperatorSecrets(),
                )
            )
        )

    return (engine or Engine()).deploy(run), built[0]
