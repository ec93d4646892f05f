"""A store that somebody else runs: tested before it is used, and administered only where that is asked for.

A Job in the cluster reaches it from where workloads do. With `administration: minio` it makes buckets,
policies and users first; with `none` the operator has made them. Either way it then proves that the
store does what Slipway needs and holds each tenant's keys to their rights.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
import pulumi_kubernetes as k8s

from infra.pod_defaults import (
    RESTRICTED,
    SCRATCH,
    confined,
    confined_pod,
    metadata,
    resources,
    scratch_mount,
    scratch_volume,
    secret_data,
)
from infra.stores.handle import StoreHandle, TenantCredentials
from infra.stores.minio import DerivedKeys
from infra.stores.reconcile_job import user_keys
from storage import keys
from storage.desired_state import desired_state
from storage.operator_keys import OperatorKeys
from storage.settings import ExternalSettings, StoreTenant

_ADMIN: Final = "store-admin"
_USERS: Final = "store-users"
_KEYS: Final = "store-keys"
_DESIRED: Final = "store-desired"
_AUTHORITY: Final = "store-ca"
_ADMIN_VARIABLES: Final = ("MINIO_ROOT_USER", "MINIO_ROOT_PASSWORD")


@dataclass(frozen=True, kw_only=True)
class ExternalStoreArgs:
    """What the operator said, and where the program wants the Job."""

    settings: ExternalSettings
    tenants: tuple[StoreTenant, ...]
    secret: pulumi.Output[str]
    """The stack's, from which keys are derived where Slipway makes the users."""

    admin: keys.StoreKey | None
    """The administrator's key; there where Slipway makes the users."""

    operator_keys: OperatorKeys | None
    """Every tenant's keys; there where the operator makes the users."""

    ca_certificate: str | None
    """PEM of the authority that signed the store's certificate; None for a public one."""

    namespace: str
    labels: Mapping[str, str]
    jobs_image: str
    images_ready: Sequence[pulumi.Resource]


@dataclass(frozen=True)
class GivenKeys:
    """Every tenant's keys, as the operator made them."""

    given: OperatorKeys

    def key(self, tenant: StoreTenant, role: keys.Role) -> pulumi.Output[keys.StoreKey]:
        """Return the role's key, as a secret."""
        return pulumi.Output.secret(self.given.of(tenant.name, role))

    def annotations(self, tenant: StoreTenant, role: keys.Role) -> Mapping[str, str]:
        """Return nothing: a key is all that it takes."""
        return {}


class ExternalStore(pulumi.ComponentResource):
    """A store elsewhere, known to do what it must."""

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
        self._within = pulumi.ResourceOptions(parent=self, depends_on=[namespace, *args.images_ready])
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
        wanted = desired_state(args.settings, args.tenants)
        every = _by_role(credentials, args.tenants)
        before: list[pulumi.Resource] = [
            self._config(_DESIRED, {"desired.json": wanted}),
            self._secret(_KEYS, every.apply(lambda document: secret_data({"keys.json": document}))),
        ]
        if args.ca_certificate is not None:
            before.append(self._config(_AUTHORITY, {"ca.crt": args.ca_certificate}))
        if args.admin is not None:
            before.append(self._secret(_ADMIN, pulumi.Output.secret(_admin_data(args.admin))))
            users = args.secret.apply(lambda secret: user_keys(secret, args.tenants))
            before.append(self._secret(_USERS, users))
        labels = {**self._labels, "app.kubernetes.io/component": "check"}
        return k8s.batch.v1.Job(
            f"{self._name}-check",
            metadata=k8s.meta.v1.ObjectMetaArgs(
                name=self._job_name(wanted, every), labels=labels, namespace=args.namespace
            ),
            spec={
                "backoff_limit": 2,
                "template": {"metadata": {"labels": labels}, "spec": self._pod()},
            },
            opts=pulumi.ResourceOptions.merge(self._within, pulumi.ResourceOptions(depends_on=before)),
        )

    def _job_name(self, wanted: str, every: pulumi.Output[str]) -> pulumi.Output[str]:
        """Return a name that changes with all that the Job depends on: one that ran is never changed.

        Of keys a code is in it that says nothing without the stack's secret.
        """
        args = self._args
        open_parts = json.dumps([wanted, args.jobs_image, args.ca_certificate, args.settings.endpoint])
        admin = args.admin.secret_key.get_secret_value() if args.admin else ""

        def name(told: Sequence[str]) -> str:
            secret, document = told
            said = json.dumps([open_parts, document, admin]).encode()
            return f"store-check-{hmac.new(secret.encode(), said, hashlib.sha256).hexdigest()[:10]}"

        return pulumi.Output.unsecret(pulumi.Output.all(args.secret, every).apply(name))

    def _pod(self) -> k8s.core.v1.PodSpecArgs:
        admin = self._args.admin is not None
        return k8s.core.v1.PodSpecArgs(
            automount_service_account_token=False,
            restart_policy="OnFailure",
            security_context=confined_pod(),
            # Users are there before their rights are tried.
            init_containers=[self._container("reconcile", "storage.reconcile")] if admin else None,
            containers=[self._container("check", "storage.external_check")],
            volumes=[
                *(
                    k8s.core.v1.VolumeArgs(name=name, config_map={"name": name})
                    for name in (_DESIRED, *([_AUTHORITY] if self._args.ca_certificate else []))
                ),
                *(
                    k8s.core.v1.VolumeArgs(name=name, secret={"secret_name": name})
                    for name in (_KEYS, *([_USERS] if admin else []))
                ),
                scratch_volume(),
            ],
        )

    def _container(self, name: str, module: str) -> k8s.core.v1.ContainerArgs:
        args, settings = self._args, self._args.settings
        said = {
            "S3_ENDPOINT": settings.endpoint,
            "S3_REGION": settings.region,
            "S3_PATH_STYLE": "true" if settings.path_style else "false",
            "HOME": SCRATCH,
        }
        mounts = {_DESIRED: "/etc/slipway", _KEYS: "/etc/slipway-keys"}
        if args.admin is not None:
            mounts[_USERS] = "/etc/slipway-users"
        if args.ca_certificate is not None:
            mounts[_AUTHORITY] = "/etc/slipway-ca"
            said["S3_CA_FILE"] = "/etc/slipway-ca/ca.crt"
        return k8s.core.v1.ContainerArgs(
            name=name,
            image=args.jobs_image,
            image_pull_policy="IfNotPresent",
            command=["python3", "-m", module],
            env=[
                *(k8s.core.v1.EnvVarArgs(name=each, value=value) for each, value in said.items()),
                *(
                    k8s.core.v1.EnvVarArgs(
                        name=each, value_from={"secret_key_ref": {"name": _ADMIN, "key": each}}
                    )
                    for each in (_ADMIN_VARIABLES if args.admin else ())
                ),
            ],
            security_context=confined(),
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
        return GivenKeys(args.operator_keys)
    return DerivedKeys(args.secret)


def _by_role(credentials: TenantCredentials, tenants: Sequence[StoreTenant]) -> pulumi.Output[str]:
    """Return every tenant's current keys as storage.operator_keys reads them."""
    places = [(tenant, role) for tenant in tenants for role in keys.Role]

    def document(found: Sequence[keys.StoreKey]) -> str:
        by_tenant: dict[str, dict[str, dict[str, str]]] = {tenant.name: {} for tenant in tenants}
        for (tenant, role), key in zip(places, found, strict=True):
            by_tenant[tenant.name][role.value] = {
                "access_key": key.access_key,
                "secret_key": key.secret_key.get_secret_value(),
            }
        return json.dumps(by_tenant, sort_keys=True)

    every = pulumi.Output.all(*(credentials.key(tenant, role) for tenant, role in places))
    return pulumi.Output.secret(every.apply(document))


def _admin_data(admin: keys.StoreKey) -> dict[str, str]:
    plain = (admin.access_key, admin.secret_key.get_secret_value())
    return secret_data(dict(zip(_ADMIN_VARIABLES, plain, strict=True)))
