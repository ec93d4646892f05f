"""MinIO in the cluster, and the Job that gives it buckets, policies and users.

The Job runs beside MinIO, so no machine outside has to reach it. What it is to bring about is a
ConfigMap without secrets; the users' keys are a Secret, derived from the stack's own.
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
import pulumi_kubernetes as k8s

from storage import keys
from storage.handle import StoreHandle
from storage.pods import (
    RESTRICTED,
    SCRATCH,
    confined,
    confined_pod,
    http_probe,
    metadata,
    resources,
    scratch_mount,
    scratch_volume,
)
from storage.settings import MinioSettings, StoreTenant

_ROOT_SECRET: Final = "store-root"
_USERS_SECRET: Final = "store-users"
_DESIRED: Final = "store-desired"
_GROUP: Final = 65532
"""The user and group of our images; the volume is given to it."""


@dataclass(frozen=True, kw_only=True)
class MinioStoreArgs:
    """What the operator said, and where the program wants it."""

    settings: MinioSettings
    tenants: tuple[StoreTenant, ...]
    secret: pulumi.Output[str]
    """The stack's, from which every key is derived."""

    namespace: str
    service: str
    port: int
    endpoint: str
    """URL of the Service from outside the cluster."""

    console_port: int
    labels: Mapping[str, str]
    image: str
    jobs_image: str
    images_ready: Sequence[pulumi.Resource]


@dataclass(frozen=True)
class DerivedKeys:
    """Every tenant's keys, from the stack's secret."""

    secret: pulumi.Output[str]

    def key(self, tenant: StoreTenant, role: keys.Role) -> pulumi.Output[keys.StoreKey]:
        """Return the role's key in the tenant's current generation, as a secret."""
        return self.secret.apply(
            lambda secret: keys.tenant_key(secret, tenant.name, role, tenant.key_generation)
        )

    def annotations(self, tenant: StoreTenant, role: keys.Role) -> Mapping[str, str]:
        """Return nothing: a key is all that it takes."""
        return {}


class MinioStore(pulumi.ComponentResource):
    """A store that answers and knows its buckets and users."""

    handle: StoreHandle

    def __init__(self, name: str, args: MinioStoreArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("slipway:storage:MinioStore", name, None, opts)
        self._name = name
        self._args = args
        self._labels = {
            **args.labels,
            "app.kubernetes.io/name": "minio",
            "app.kubernetes.io/component": "store",
        }
        namespace = k8s.core.v1.Namespace(
            f"{name}-namespace",
            metadata=metadata(args.namespace, {**args.labels, **RESTRICTED}),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self._within = pulumi.ResourceOptions(parent=self, depends_on=[namespace, *args.images_ready])
        root = self._root_secret()
        self._network()
        server = self._server(root)
        service = self._service(server)
        reconciled = self._reconcile([service, root])
        endpoint = f"http://{args.service}.{args.namespace}.svc.cluster.local:{args.port}"
        self.handle = StoreHandle(
            kind="minio",
            buckets=args.settings.buckets,
            region=args.settings.region,
            endpoint=args.endpoint,
            internal_endpoint=endpoint,
            path_style=True,
            ca_certificate=None,
            namespace=args.namespace,
            credentials=DerivedKeys(args.secret),
            keyless=False,
            ready=reconciled,
        )
        self.register_outputs({"internal_endpoint": endpoint})

    def _metadata(self, name: str) -> k8s.meta.v1.ObjectMetaArgs:
        return metadata(name, self._labels, namespace=self._args.namespace)

    def _root_secret(self) -> k8s.core.v1.Secret:
        generation = self._args.settings.root_key_generation

        def derive(secret: str) -> dict[str, str]:
            key = keys.root_key(secret, generation)
            return _encoded(
                {"MINIO_ROOT_USER": key.access_key, "MINIO_ROOT_PASSWORD": key.secret_key.get_secret_value()}
            )

        return k8s.core.v1.Secret(
            f"{self._name}-root",
            metadata=self._metadata(_ROOT_SECRET),
            type="Opaque",
            data=self._args.secret.apply(derive),
            opts=self._within,
        )

    def _network(self) -> None:
        """Let the platform's own namespaces in; from outside, traffic comes by way of the node."""
        k8s.networking.v1.NetworkPolicy(
            f"{self._name}-ingress",
            metadata=self._metadata(self._args.service),
            spec={
                "pod_selector": {"match_labels": self._labels},
                "policy_types": ["Ingress"],
                "ingress": [
                    {
                        "from_": [{"namespace_selector": {"match_labels": {**self._args.labels}}}],
                        "ports": [{"port": self._args.port, "protocol": "TCP"}],
                    }
                ],
            },
            opts=self._within,
        )

    def _service(self, server: pulumi.Resource) -> k8s.core.v1.Service:
        """Make the Service after the server, so that a server that fails is not waited for twice."""
        args = self._args
        ports = {"s3": args.port, "console": args.console_port}
        return k8s.core.v1.Service(
            f"{self._name}-service",
            metadata=self._metadata(args.service),
            spec={
                "selector": self._labels,
                "ports": [
                    {"name": name, "port": port, "target_port": port, "protocol": "TCP"}
                    for name, port in ports.items()
                ],
            },
            opts=pulumi.ResourceOptions.merge(self._within, pulumi.ResourceOptions(depends_on=[server])),
        )

    def _server(self, root: k8s.core.v1.Secret) -> k8s.apps.v1.StatefulSet:
        args = self._args
        return k8s.apps.v1.StatefulSet(
            f"{self._name}-server",
            metadata=self._metadata(args.service),
            spec={
                "replicas": 1,
                "service_name": args.service,
                "selector": {"match_labels": self._labels},
                "template": {
                    "metadata": {
                        "labels": self._labels,
                        # MinIO reads its administrator's key at the start only.
                        "annotations": {"slipway.dev/root-key": str(args.settings.root_key_generation)},
                    },
                    "spec": self._server_pod(),
                },
                "volume_claim_templates": [
                    {
                        "metadata": {"name": "data", "labels": self._labels},
                        "spec": {
                            "access_modes": ["ReadWriteOnce"],
                            "storage_class_name": args.settings.storage_class,
                            "resources": {"requests": {"storage": f"{args.settings.size_gib}Gi"}},
                        },
                    }
                ],
            },
            opts=pulumi.ResourceOptions.merge(self._within, pulumi.ResourceOptions(depends_on=[root])),
        )

    def _server_pod(self) -> k8s.core.v1.PodSpecArgs:
        args = self._args
        return k8s.core.v1.PodSpecArgs(
            automount_service_account_token=False,
            security_context=confined_pod(volume_group=_GROUP),
            termination_grace_period_seconds=30,
            containers=[
                k8s.core.v1.ContainerArgs(
                    name="minio",
                    image=args.image,
                    image_pull_policy="IfNotPresent",
                    args=[
                        "server",
                        "/data",
                        f"--address=:{args.port}",
                        f"--console-address=:{args.console_port}",
                    ],
                    env=[
                        *(_from_secret(name) for name in ("MINIO_ROOT_USER", "MINIO_ROOT_PASSWORD")),
                        k8s.core.v1.EnvVarArgs(name="MINIO_REGION", value=args.settings.region),
                        k8s.core.v1.EnvVarArgs(name="MINIO_UPDATE", value="off"),
                        k8s.core.v1.EnvVarArgs(name="HOME", value=SCRATCH),
                        # Below the limit, so that Go collects before the kernel kills.
                        k8s.core.v1.EnvVarArgs(name="GOMEMLIMIT", value="640MiB"),
                    ],
                    ports=[
                        k8s.core.v1.ContainerPortArgs(name="s3", container_port=args.port),
                        k8s.core.v1.ContainerPortArgs(name="console", container_port=args.console_port),
                    ],
                    startup_probe=http_probe("/minio/health/live", args.port, period=2, failures=90),
                    readiness_probe=http_probe("/minio/health/ready", args.port, period=2),
                    liveness_probe=http_probe("/minio/health/live", args.port, failures=6),
                    security_context=confined(),
                    resources=resources(cpu="100m", memory="192Mi", memory_limit="768Mi"),
                    volume_mounts=[
                        k8s.core.v1.VolumeMountArgs(name="data", mount_path="/data"),
                        scratch_mount(),
                    ],
                )
            ],
            volumes=[scratch_volume()],
        )

    def _reconcile(self, after: Sequence[pulumi.Resource]) -> k8s.batch.v1.Job:
        args = self._args
        wanted = desired_state(args.settings, args.tenants)
        users = k8s.core.v1.Secret(
            f"{self._name}-users",
            metadata=self._metadata(_USERS_SECRET),
            type="Opaque",
            data=args.secret.apply(lambda secret: _user_keys(secret, args.tenants)),
            opts=self._within,
        )
        state = k8s.core.v1.ConfigMap(
            f"{self._name}-desired",
            metadata=self._metadata(_DESIRED),
            data={"desired.json": wanted},
            opts=self._within,
        )
        labels = {**self._labels, "app.kubernetes.io/component": "reconcile"}
        return k8s.batch.v1.Job(
            f"{self._name}-reconcile",
            metadata=metadata(
                # A Job runs once and can't be changed: another desired state or another program is
                # another Job. The logical name stays, so Pulumi replaces the old one. No TTL: a Job
                # that vanished would be made again by the next `up`.
                f"store-reconcile-{_digest(wanted, args.jobs_image)}",
                labels,
                namespace=args.namespace,
            ),
            spec={
                "backoff_limit": 5,
                "template": {"metadata": {"labels": labels}, "spec": self._reconcile_pod()},
            },
            opts=pulumi.ResourceOptions.merge(
                self._within, pulumi.ResourceOptions(depends_on=[*after, users, state])
            ),
        )

    def _reconcile_pod(self) -> k8s.core.v1.PodSpecArgs:
        args = self._args
        return k8s.core.v1.PodSpecArgs(
            automount_service_account_token=False,
            restart_policy="OnFailure",
            security_context=confined_pod(),
            containers=[
                k8s.core.v1.ContainerArgs(
                    name="reconcile",
                    image=args.jobs_image,
                    image_pull_policy="IfNotPresent",
                    command=["python3", "-m", "storage.reconcile"],
                    env=[
                        k8s.core.v1.EnvVarArgs(
                            name="S3_ENDPOINT",
                            value=f"http://{args.service}.{args.namespace}.svc.cluster.local:{args.port}",
                        ),
                        k8s.core.v1.EnvVarArgs(name="S3_REGION", value=args.settings.region),
                        *(_from_secret(name) for name in ("MINIO_ROOT_USER", "MINIO_ROOT_PASSWORD")),
                    ],
                    security_context=confined(),
                    resources=resources(cpu="50m", memory="96Mi", memory_limit="256Mi"),
                    volume_mounts=[
                        k8s.core.v1.VolumeMountArgs(
                            name="desired", mount_path="/etc/slipway", read_only=True
                        ),
                        k8s.core.v1.VolumeMountArgs(
                            name="users", mount_path="/etc/slipway-users", read_only=True
                        ),
                        scratch_mount(),
                    ],
                )
            ],
            volumes=[
                k8s.core.v1.VolumeArgs(name="desired", config_map={"name": _DESIRED}),
                k8s.core.v1.VolumeArgs(name="users", secret={"secret_name": _USERS_SECRET}),
                scratch_volume(),
            ],
        )


def desired_state(settings: MinioSettings, tenants: Sequence[StoreTenant]) -> str:
    """Return what the store is to hold, as the reconcile Job reads it. No secret is in it."""
    buckets = settings.buckets
    wanted = {
        "buckets": [buckets.artifacts, buckets.models, buckets.data],
        "tenants": [tenant.model_dump() for tenant in tenants],
        "run_retention_days": settings.run_retention_days,
    }
    return json.dumps(wanted, indent=2, sort_keys=True)


def _user_keys(secret: str, tenants: Sequence[StoreTenant]) -> dict[str, str]:
    """Return the users' secret keys by access key, encoded for a Secret."""
    every = [
        keys.tenant_key(secret, tenant.name, role, generation)
        for tenant in tenants
        for generation in tenant.generations
        for role in keys.Role
    ]
    return _encoded({key.access_key: key.secret_key.get_secret_value() for key in every})


def _encoded(plain: Mapping[str, str]) -> dict[str, str]:
    return {name: base64.b64encode(value.encode()).decode() for name, value in plain.items()}


def _from_secret(name: str) -> k8s.core.v1.EnvVarArgs:
    return k8s.core.v1.EnvVarArgs(
        name=name, value_from={"secret_key_ref": {"name": _ROOT_SECRET, "key": name}}
    )


def _digest(*parts: str) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:10]
