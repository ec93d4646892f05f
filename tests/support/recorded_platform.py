"""A whole platform under the recording engine: settings, a cluster that is not there, small parts."""

from pathlib import Path
from typing import Any

import pulumi
import pulumi_kubernetes
from support import recorded_parts
from support.engine import Engine

from infra import cluster, program
from infra.cluster.handle import ClusterHandle, Connection, Endpoints, Image, Images
from infra.cluster.registry_login import RegistryLogin
from infra.contract import PlatformOutputs
from infra.settings import config
from infra.settings.models import PlatformSettings, TenantSettings
from infra.settings.operator_secrets import OperatorSecrets
from infra.upstream import installed
from infra.upstream.bundle import BundledPart
from infra.upstream.lock import LockedPart
from infra.upstream.parts import PARTS

CANARY = "canary-Kq7ZbT2mVx9LrN4wEj6HsYpD1cUfGa8o"
"""The stack's secret in tests; nothing recorded outside a Secret may hold it or what derives from it."""
KINDS = ("minio", "kserve_controller", "gateway", "pipelines", "model_server")
KATIB = ("katib_controller", "katib_db_manager", "mariadb")
IMAGES = (*KINDS, *KATIB)


def reference(name: str) -> str:
    return f"registry.test/{name}:0123456789ab"


def images() -> Images:
    return Images(**{kind: Image(reference=reference(kind)) for kind in IMAGES})


def part(name: str, documents: list[dict]) -> BundledPart:
    """Return a part of upstream with stand-ins for its objects: the same shape, a hundredth of the size."""
    return BundledPart(
        PARTS[name], LockedPart(name=name, version=PARTS[name].version, render=(), objects=()), documents
    )


def handle(**more: Any) -> ClusterHandle:
    return ClusterHandle(
        provider=pulumi_kubernetes.Provider("kubernetes", kubeconfig="{}"),
        connection=Connection(kubeconfig="{}"),
        images=images(),
        endpoints=Endpoints(
            gateway="http://127.0.0.1:1",
            store="https://127.0.0.1:2",
            console="https://127.0.0.1:3",
            kfp="http://127.0.0.1:4",
        ),
        kubeconfig=Path("/somewhere/kubeconfig"),
        **more,
    )


def deploy(
    monkeypatch,
    platform: PlatformSettings,
    tenants: tuple[TenantSettings, ...],
    *,
    operator: OperatorSecrets | None = None,
    registry_login: str | None = None,
    engine: Engine | None = None,
    cert_manager: bool = False,
) -> tuple[Engine, PlatformOutputs]:
    """Build the platform and return what was recorded, and what it tells the outside."""

    def connect(configuration: config.Configuration) -> ClusterHandle:
        return handle(
            cert_manager=cert_manager, login=RegistryLogin(docker_config=configuration.registry_login)
        )

    monkeypatch.setattr(cluster, "connect", connect)
    monkeypatch.setattr(
        installed,
        "bundled",
        lambda names: [part(name, recorded_parts.OBJECTS[name]) for name in names],
    )
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
                    registry_login=None if registry_login is None else pulumi.Output.secret(registry_login),
                )
            )
        )

    return (engine or Engine()).deploy(run), built[0]
