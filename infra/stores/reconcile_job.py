"""The Job in MinIO's namespace that creates its buckets, policies and users (storage/reconcile.py)."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
import pulumi_kubernetes as k8s

from infra.cluster.registry_login import RegistryLogin
from infra.names import STORE_CA, STORE_DESIRED, STORE_ROOT, STORE_USERS
from infra.pod_defaults import (
    container_security_context,
    metadata,
    pod_security_context,
    resources,
    scratch_mount,
    scratch_volume,
    secret_data,
)
from storage import keys
from storage.desired_state import CA, DESIRED, USERS
from storage.settings import StoreTenant

ROOT_VARIABLES: Final = ("MINIO_ROOT_USER", "MINIO_ROOT_PASSWORD")


@dataclass(frozen=True, kw_only=True)
class ReconcileJobArgs:
    """The store's endpoint and desired state; ConfigMaps and Secrets have the names above."""

    namespace: str
    labels: Mapping[str, str]
    image: str
    login: RegistryLogin
    endpoint: str
    region: str
    private_ca: bool
    """Whether the store's certificate is signed by the CA in the ConfigMap."""

    desired: str
    """Content of the ConfigMap; contains no secret."""


def reconcile_job(name: str, args: ReconcileJobArgs, opts: pulumi.ResourceOptions) -> k8s.batch.v1.Job:
    """Declare the Job; once it has completed, the store has the desired state."""
    labels = {**args.labels, "app.kubernetes.io/component": "reconcile"}
    # A Job runs once and is immutable: another desired state or another image needs another Job.
    # The logical name stays the same, so Pulumi replaces the old one. No TTL: the next `up` would
    # recreate a Job that Kubernetes had removed.
    digest = _digest(args.desired, args.image, args.endpoint)
    return k8s.batch.v1.Job(
        name,
        metadata=metadata(f"store-reconcile-{digest}", labels, namespace=args.namespace),
        spec={"backoff_limit": 5, "template": {"metadata": {"labels": labels}, "spec": _pod(args)}},
        opts=opts,
    )


def root_variables() -> list[k8s.core.v1.EnvVarArgs]:
    """Return the environment variables of a container with the administrator's key."""
    return [
        k8s.core.v1.EnvVarArgs(name=name, value_from={"secret_key_ref": {"name": STORE_ROOT, "key": name}})
        for name in ROOT_VARIABLES
    ]


def _pod(args: ReconcileJobArgs) -> k8s.core.v1.PodSpecArgs:
    variables = {"S3_ENDPOINT": args.endpoint, "S3_REGION": args.region}
    sources = {"desired": str(DESIRED.parent), "users": str(USERS)}
    volumes = [
        k8s.core.v1.VolumeArgs(name="desired", config_map={"name": STORE_DESIRED}),
        k8s.core.v1.VolumeArgs(name="users", secret={"secret_name": STORE_USERS}),
    ]
    if args.private_ca:
        variables["S3_CA_FILE"] = str(CA)
        sources["authority"] = str(CA.parent)
        volumes.append(k8s.core.v1.VolumeArgs(name="authority", config_map={"name": STORE_CA}))
    return k8s.core.v1.PodSpecArgs(
        automount_service_account_token=False,
        restart_policy="OnFailure",
        image_pull_secrets=args.login.references,
        security_context=pod_security_context(),
        containers=[
            k8s.core.v1.ContainerArgs(
                name="reconcile",
                image=args.image,
                image_pull_policy="IfNotPresent",
                command=["python3", "-m", "storage.reconcile"],
                env=[
                    *(k8s.core.v1.EnvVarArgs(name=key, value=value) for key, value in variables.items()),
                    *root_variables(),
                ],
                security_context=container_security_context(),
                resources=resources(cpu="50m", memory="96Mi", memory_limit="256Mi"),
                volume_mounts=[*_mounts(sources), scratch_mount()],
            )
        ],
        volumes=[*volumes, scratch_volume()],
    )


def _mounts(sources: Mapping[str, str]) -> Sequence[k8s.core.v1.VolumeMountArgs]:
    return [
        k8s.core.v1.VolumeMountArgs(name=name, mount_path=path, read_only=True)
        for name, path in sources.items()
    ]


def _digest(*parts: str) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:10]


def user_keys(secret: str, tenants: Sequence[StoreTenant]) -> dict[str, str]:
    """Return a Secret's data: secret keys by access key, during a rotation of both generations."""
    store_keys = [
        keys.tenant_key(secret, tenant.name, role, generation)
        for tenant in tenants
        for generation in tenant.generations
        for role in keys.StoreRole
    ]
    return secret_data({key.access_key: key.secret_key.get_secret_value() for key in store_keys})
