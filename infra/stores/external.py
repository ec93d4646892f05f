"""An external store: verified before it is used, and administered only if the settings say so.

A Job in the cluster reaches the store over the same network as workloads. With `administration: minio` it
first creates buckets, policies and users; with `none` the operator has created them. In both cases it
then verifies that the store meets Slipway's requirements and enforces the permissions of each key.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
import pulumi_kubernetes as k8s

from infra.cluster.registry_login import RegistryLogin
from infra.names import CA_KEY, STORE_CA, STORE_DESIRED, STORE_USERS
from infra.pod_defaults import (
    RESTRICTED,
    SCRATCH,
    container_security_context,
    metadata,
    pod_security_context,
    resources,
    scratch_mount,
    scratch_volume,
    secret_data,
)
from infra.stores.handle import StoreHandle, TenantCredentials
from infra.stores.minio import DerivedKeys
from infra.stores.reconcile_job import ROOT_VARIABLES, user_keys
from storage import keys
from storage.desired_state import CA, DESIRED, KEYS, USERS, desired_state
from storage.operator_keys import OperatorKeys
from storage.settings import ExternalSettings, StoreTenant

_ADMIN: Final = "store-admin"
_KEYS: Final = "store-keys"


@dataclass(frozen=True, kw_only=True)
class ExternalStoreArgs:
    """Settings and keys of the store, and the place of the Job."""

    settings: ExternalSettings
    tenants: tuple[StoreTenant, ...]
    secret: pulumi.Output[str]
    """The stack's secret, from which keys are derived if Slipway creates the users."""

    admin: keys.StoreKey | None
    """The administrator's key; set if Slipway creates the users."""

    operator_keys: OperatorKeys | None
    """Every tenant's keys; set if the operator creates the users."""

    ca_certificate: str | None
    """CA certificate of the store, PEM; None for a public CA."""

    namespace: str
    labels: Mapping[str, str]
    jobs_image: str
    images_ready: Sequence[pulumi.Resource]
    login: RegistryLogin
    """With which nodes pull the image."""


@dataclass(frozen=True)
class OperatorProvidedKeys:
    """Credentials of tenants from the keys that the operator provided."""

    operator_keys: OperatorKeys

    def key(self, tenant: StoreTenant, role: keys.StoreRole) -> pulumi.Output[keys.StoreKey]:
        """Return the role's key as a secret."""
        return pulumi.Output.secret(self.operator_keys.of(tenant.name, role))

    def annotations(self, tenant: StoreTenant, role: keys.StoreRole) -> Mapping[str, str]:
        """Return no annotations: workloads use a key."""
        return {}


class ExternalStore(pulumi.ComponentResource):
    """An external store that was verified by a Job."""

    handle: StoreHandle

    def __init__(
        self, name: str, args: ExternalStoreArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("slipway:storage:ExternalStore", name, None, opts)
        self._name = name
        self._args = args
        self._labels = {
            **args.labels,
            "app.kubernetes.io/name": "external-store",
            "app.kubernetes.io/component": "store",
        }
        namespace = k8s.core.v1.Namespace(
            f"{name}-namespace",
            metadata=metadata(args.namespace, {**args.labels, **RESTRICTED}),
            opts=pulumi.ResourceOptions(parent=self),
        )
        pulled = args.login.declare(
            name, args.namespace, self._labels, pulumi.ResourceOptions(parent=self, depends_on=[namespace])
        )
        self._within = pulumi.ResourceOptions(
            parent=self, depends_on=[namespace, *pulled, *args.images_ready]
        )
        credentials = _credentials(args)
        checked = self._job(credentials)
        settings = args.settings
        self.handle = StoreHandle(
            kind="external",
            buckets=settings.buckets,
            region=settings.region,
            endpoint=settings.endpoint,
            internal_endpoint=settings.endpoint,
            path_style=settings.path_style,
            ca_certificate=args.ca_certificate,
            namespace=None,
            credentials=credentials,
            keyless=False,
            ready=checked,
        )
        self.register_outputs({"internal_endpoint": settings.endpoint})

    def _metadata(self, name: str) -> k8s.meta.v1.ObjectMetaArgs:
        return metadata(name, self._labels, namespace=self._args.namespace)

    def _secret(self, name: str, data: pulumi.Input[Mapping[str, str]]) -> k8s.core.v1.Secret:
        return k8s.core.v1.Secret(
            f"{self._name}-{name.removeprefix('store-')}",
            metadata=self._metadata(name),
            type="Opaque",
            data=data,
            opts=self._within,
        )

    def _config(self, name: str, data: Mapping[str, str]) -> k8s.core.v1.ConfigMap:
        return k8s.core.v1.ConfigMap(
            f"{self._name}-{name.removeprefix('store-')}",
            metadata=self._metadata(name),
            data={**data},
            opts=self._within,
        )

    def _job(self, credentials: TenantCredentials) -> k8s.batch.v1.Job:
        args = self._args
        desired = desired_state(args.settings, args.tenants)
        tenant_keys = _by_role(credentials, args.tenants)
        dependencies: list[pulumi.Resource] = [
            self._config(STORE_DESIRED, {"desired.json": desired}),
            self._secret(_KEYS, tenant_keys.apply(lambda document: secret_data({"keys.json": document}))),
        ]
        if args.ca_certificate is not None:
            dependencies.append(self._config(STORE_CA, {CA_KEY: args.ca_certificate}))
        if args.admin is not None:
            dependencies.append(self._secret(_ADMIN, pulumi.Output.secret(_admin_data(args.admin))))
            users = args.secret.apply(lambda secret: user_keys(secret, args.tenants))
            dependencies.append(self._secret(STORE_USERS, users))
        labels = {**self._labels, "app.kubernetes.io/component": "check"}
        return k8s.batch.v1.Job(
            f"{self._name}-check",
            metadata=k8s.meta.v1.ObjectMetaArgs(
                name=self._job_name(desired, tenant_keys), labels=labels, namespace=args.namespace
            ),
            spec={
                "backoff_limit": 2,
                "template": {"metadata": {"labels": labels}, "spec": self._pod()},
            },
            opts=pulumi.ResourceOptions.merge(self._within, pulumi.ResourceOptions(depends_on=dependencies)),
        )

    def _job_name(self, desired: str, tenant_keys: pulumi.Output[str]) -> pulumi.Output[str]:
        """Return a name that changes with every input of the Job, since a completed Job is immutable.

        The name contains an HMAC with the stack's secret, which reveals nothing about the keys.
        """
        args = self._args
        plain_inputs = json.dumps([desired, args.jobs_image, args.ca_certificate, args.settings.endpoint])
        admin = args.admin.secret_key.get_secret_value() if args.admin else ""

        def name(values: Sequence[str]) -> str:
            secret, document = values
            message = json.dumps([plain_inputs, document, admin]).encode()
            return f"store-check-{hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()[:10]}"

        return pulumi.Output.unsecret(pulumi.Output.all(args.secret, tenant_keys).apply(name))

    def _pod(self) -> k8s.core.v1.PodSpecArgs:
        admin = self._args.admin is not None
        return k8s.core.v1.PodSpecArgs(
            automount_service_account_token=False,
            restart_policy="OnFailure",
            image_pull_secrets=self._args.login.references,
            security_context=pod_security_context(),
            # Users are created before their permissions are verified.
            init_containers=[self._container("reconcile", "storage.reconcile")] if admin else None,
            containers=[self._container("check", "storage.external_check")],
            volumes=[
                *(
                    k8s.core.v1.VolumeArgs(name=name, config_map={"name": name})
                    for name in (STORE_DESIRED, *([STORE_CA] if self._args.ca_certificate else []))
                ),
                *(
                    k8s.core.v1.VolumeArgs(name=name, secret={"secret_name": name})
                    for name in (_KEYS, *([STORE_USERS] if admin else []))
                ),
                scratch_volume(),
            ],
        )

    def _container(self, name: str, module: str) -> k8s.core.v1.ContainerArgs:
        args, settings = self._args, self._args.settings
        variables = {
            "S3_ENDPOINT": settings.endpoint,
            "S3_REGION": settings.region,
            "S3_PATH_STYLE": "true" if settings.path_style else "false",
            "HOME": SCRATCH,
        }
        mounts = {STORE_DESIRED: str(DESIRED.parent), _KEYS: str(KEYS.parent)}
        if args.admin is not None:
            mounts[STORE_USERS] = str(USERS)
        if args.ca_certificate is not None:
            mounts[STORE_CA] = str(CA.parent)
            variables["S3_CA_FILE"] = str(CA)
        return k8s.core.v1.ContainerArgs(
            name=name,
            image=args.jobs_image,
            image_pull_policy="IfNotPresent",
            command=["python3", "-m", module],
            env=[
                *(k8s.core.v1.EnvVarArgs(name=each, value=value) for each, value in variables.items()),
                *(
                    k8s.core.v1.EnvVarArgs(
                        name=each, value_from={"secret_key_ref": {"name": _ADMIN, "key": each}}
                    )
                    for each in (ROOT_VARIABLES if args.admin else ())
                ),
            ],
            security_context=container_security_context(),
            resources=resources(cpu="50m", memory="96Mi", memory_limit="512Mi"),
            volume_mounts=[
                *(
                    k8s.core.v1.VolumeMountArgs(name=each, mount_path=path, read_only=True)
                    for each, path in mounts.items()
                ),
                scratch_mount(),
            ],
        )


def _credentials(args: ExternalStoreArgs) -> TenantCredentials:
    if args.operator_keys is not None:
        return OperatorProvidedKeys(args.operator_keys)
    return DerivedKeys(args.secret)


def _by_role(credentials: TenantCredentials, tenants: Sequence[StoreTenant]) -> pulumi.Output[str]:
    """Return every tenant's current keys in the format of storage.operator_keys."""
    users = [(tenant, role) for tenant in tenants for role in keys.StoreRole]

    def document(store_keys: Sequence[keys.StoreKey]) -> str:
        by_tenant: dict[str, dict[str, dict[str, str]]] = {tenant.name: {} for tenant in tenants}
        for (tenant, role), key in zip(users, store_keys, strict=True):
            by_tenant[tenant.name][role.value] = {
                "access_key": key.access_key,
                "secret_key": key.secret_key.get_secret_value(),
            }
        return json.dumps(by_tenant, sort_keys=True)

    outputs = pulumi.Output.all(*(credentials.key(tenant, role) for tenant, role in users))
    return pulumi.Output.secret(outputs.apply(document))


def _admin_data(admin: keys.StoreKey) -> dict[str, str]:
    values = (admin.access_key, admin.secret_key.get_secret_value())
    return secret_data(dict(zip(ROOT_VARIABLES, values, strict=True)))
