"""The Job that gives a MinIO its buckets, policies and users, run beside it (storage/reconcile.py)."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
import pulumi_kubernetes as k8s

from infra.pod_defaults import (
    confined,
    confined_pod,
    metadata,
    resources,
    scratch_mount,
    scratch_volume,
    secret_data,
)
from storage import keys
from storage.settings import StoreTenant

ROOT_SECRET: Final = "store-root"
ROOT_VARIABLES: Final = ("MINIO_ROOT_USER", "MINIO_ROOT_PASSWORD")
USERS_SECRET: Final = "store-users"
DESIRED: Final = "store-desired"
AUTHORITY: Final = "store-ca"
AUTHORITY_KEY: Final = "ca.crt"
_AUTHORITY_FOLDER: Final = "/etc/slipway-ca"


@dataclass(frozen=True, kw_only=True)
class ReconcileJobArgs:
    """Where the store answers, and what it is to hold; the objects are those of the names above."""

    namespace: str
    labels: Mapping[str, str]
    image: str
    endpoint: str
    region: str
    private_authority: bool
    """Whether the store's certificate is signed by the authority in the ConfigMap."""

    desired: str
    """What the ConfigMap holds; no secret."""


def reconcile_job(name: str, args: ReconcileJobArgs, opts: pulumi.ResourceOptions) -> k8s.batch.v1.Job:
    """Declare the Job; once it is made, the store is as desired."""
    labels = {**args.labels, "app.kubernetes.io/component": "reconcile"}
    # A Job runs once and can't be changed: another desired state or another program is another Job.
    # The logical name stays, so Pulumi replaces the old one. No TTL: a Job that vanished would be made
    # again by the next `up`.
    digest = _digest(args.desired, args.image, args.endpoint)
    return k8s.batch.v1.Job(
        name,
        metadata=metadata(f"store-reconcile-{digest}", labels, namespace=args.namespace),
        spec={"backoff_limit": 5, "template": {"metadata": {"labels": labels}, "spec": _pod(args)}},
        opts=opts,
    )


def root_variables() -> list[k8s.core.v1.EnvVarArgs]:
    """Return the administrator's key as a container's environment."""
    return [
        k8s.core.v1.EnvVarArgs(name=name, value_from={"secret_key_ref": {"name": ROOT_SECRET, "key": name}})
        for name in ROOT_VARIABLES
    ]


def _pod(args: ReconcileJobArgs) -> k8s.core.v1.PodSpecArgs:
    variables = {"S3_ENDPOINT": args.endpoint, "S3_REGION": args.region}
    sources = {"desired": "/etc/slipway", "users": "/etc/slipway-users"}
    volumes = [
        k8s.core.v1.VolumeArgs(name="desired", config_map={"name": DESIRED}),
        k8s.core.v1.VolumeArgs(name="users", secret={"secret_name": USERS_SECRET}),
    ]
    if args.private_authority:
        variables["S3_CA_FILE"] = f"{_AUTHORITY_FOLDER}/{AUTHORITY_KEY}"
        sources["authority"] = _AUTHORITY_FOLDER
        volumes.append(k8s.core.v1.VolumeArgs(name="authority", config_map={"name": AUTHORITY}))
    return k8s.core.v1.PodSpecArgs(
        automount_service_account_token=False,
        restart_policy="OnFailure",
        security_context=confined_pod(),
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
                security_context=confined(),
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
    """Return a Secret's data: users' secret keys by access key; of a tenant that rotates, the former too."""
    every = [
        keys.tenant_key(secret, tenant.name, role, generation)
        for tenant in tenants
        for generation in tenant.generations
        for role in keys.Role
    ]
    return secret_data({key.access_key: key.secret_key.get_secret_value() for key in every})
