"""A tenant: a namespace with members, ServiceAccounts, limits, network policies and store keys."""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as k8s

from infra import tenancy
from infra.cluster.registry_login import RegistryLogin
from infra.components.tenant.roles import grant
from infra.contract import TenantOutputs
from infra.names import (
    CA_KEY,
    COLLECTOR_SECRET,
    EDITOR,
    EDITOR_SECRET,
    LAUNCHER_CONFIG,
    PART_OF,
    PROMOTER_SECRET,
    RUNNER,
    RUNNER_SECRET,
    SERVER,
    SERVER_SECRET,
    STORAGE_CONFIG,
    STORE_CA,
    VIEWER,
)
from infra.pod_defaults import RESTRICTED, metadata, secret_data
from infra.settings.models import TenantSettings
from infra.stores.handle import StoreHandle
from storage import keys
from storage.settings import StoreTenant

_SECRETS: Mapping[keys.StoreRole, str] = {
    keys.StoreRole.RUNNER: RUNNER_SECRET,
    keys.StoreRole.SERVER: SERVER_SECRET,
    keys.StoreRole.EDITOR: EDITOR_SECRET,
    keys.StoreRole.PROMOTER: PROMOTER_SECRET,
    keys.StoreRole.COLLECTOR: COLLECTOR_SECRET,
}


@dataclass(frozen=True, kw_only=True)
class TenantArgs:
    """The tenant's settings and the store."""

    settings: TenantSettings
    store: StoreHandle
    login: RegistryLogin
    """With which nodes pull the images of the tenant's pods."""

    @property
    def store_tenant(self) -> StoreTenant:
        """The tenant in the form that `storage` uses."""
        return self.settings.store_tenant


class Tenant(pulumi.ComponentResource):
    """A tenant that can run pipelines and serve models."""

    outputs: TenantOutputs

    def __init__(self, name: str, args: TenantArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("slipway:components:Tenant", name, None, opts)
        self._name = name
        self._tenant = args.settings
        self._labels = {
            **PART_OF,
            "app.kubernetes.io/name": "tenant",
            "app.kubernetes.io/component": "tenant",
            "slipway.dev/tenant": args.settings.name,
        }
        namespace = k8s.core.v1.Namespace(
            f"{name}-namespace",
            metadata=metadata(args.settings.name, {**self._labels, **RESTRICTED}),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self._within = pulumi.ResourceOptions(parent=self, depends_on=[namespace])
        self._limits()
        self._network(args.store)
        self._secrets(args)
        self._ca_config_map(args.store)
        args.login.declare(name, args.settings.name, self._labels, self._within)
        self._accounts(args)
        grant(name, args.settings, self._metadata, self._within)
        self._launcher(args.store)
        self.outputs = _outputs(args)
        self.register_outputs({"namespace": self.outputs.namespace})

    def _metadata(self, name: str) -> k8s.meta.v1.ObjectMetaArgs:
        return metadata(name, self._labels, namespace=self._tenant.name)

    def _limits(self) -> None:
        quota, defaults = self._tenant.quota, self._tenant.defaults
        k8s.core.v1.ResourceQuota(
            f"{self._name}-quota",
            metadata=self._metadata("quota"),
            spec={
                "hard": {
                    "requests.cpu": quota.cpu,
                    "requests.memory": quota.memory,
                    "requests.storage": quota.storage,
                    "pods": str(quota.pods),
                }
            },
            opts=self._within,
        )
        k8s.core.v1.LimitRange(
            f"{self._name}-defaults",
            metadata=self._metadata("defaults"),
            spec={
                "limits": [
                    {
                        "type": "Container",
                        "default": {"cpu": defaults.cpu_limit, "memory": defaults.memory_limit},
                        "default_request": {"cpu": defaults.cpu_request, "memory": defaults.memory_request},
                    }
                ]
            },
            opts=self._within,
        )

    def _network(self, store: StoreHandle) -> None:
        for policy, spec in tenancy.network_policies(
            store.namespace, store.port, store.identity_agent
        ).items():
            k8s.networking.v1.NetworkPolicy(
                f"{self._name}-network-{policy}",
                metadata=self._metadata(policy),
                spec=spec,
                opts=self._within,
            )

    def _secrets(self, args: TenantArgs) -> None:
        """Declare a Secret with each role's key; the key is derived and stored nowhere else."""
        store = args.store
        for role, secret_name in _SECRETS.items():
            key = store.credentials.key(args.store_tenant, role)
            if key is None:
                continue
            k8s.core.v1.Secret(
                f"{self._name}-{secret_name}",
                metadata=metadata(
                    secret_name,
                    self._labels,
                    namespace=self._tenant.name,
                    annotations=_kserve_annotations(store),
                ),
                type="Opaque",
                data=key.apply(_key_data),
                opts=self._within,
            )

            if role is keys.StoreRole.SERVER:
                self._storage_config(store, key)

    def _storage_config(self, store: StoreHandle, key: pulumi.Output[keys.StoreKey]) -> None:
        def data(server_key: keys.StoreKey) -> dict[str, str]:
            plain = tenancy.storage_config(
                server_key,
                store.buckets.models,
                url=store.internal_endpoint,
                region=store.region,
                private_ca=store.ca_certificate is not None,
            )
            return _encoded(plain)

        k8s.core.v1.Secret(
            f"{self._name}-{STORAGE_CONFIG}",
            metadata=self._metadata(STORAGE_CONFIG),
            type="Opaque",
            data=key.apply(data),
            opts=self._within,
        )

    def _ca_config_map(self, store: StoreHandle) -> None:
        """Declare a ConfigMap with the store's CA certificate for the tenant's pods and members."""
        if store.ca_certificate is None:
            return
        k8s.core.v1.ConfigMap(
            f"{self._name}-{STORE_CA}",
            metadata=self._metadata(STORE_CA),
            data={CA_KEY: store.ca_certificate},
            opts=self._within,
        )

    def _accounts(self, args: TenantArgs) -> None:
        roles = {EDITOR: keys.StoreRole.EDITOR, RUNNER: keys.StoreRole.RUNNER, SERVER: keys.StoreRole.SERVER}
        for account in (EDITOR, VIEWER, RUNNER, SERVER):
            role = roles.get(account)
            identity = {**args.store.credentials.annotations(args.store_tenant, role)} if role else {}
            if identity and account == SERVER:
                identity |= _kserve_annotations(args.store)
            k8s.core.v1.ServiceAccount(
                f"{self._name}-account-{account}",
                metadata=metadata(
                    account, self._labels, namespace=self._tenant.name, annotations=identity or None
                ),
                # A tenant's pods don't use the API server; one that does can request a token explicitly.
                automount_service_account_token=False,
                image_pull_secrets=args.login.references,
                secrets=[{"name": SERVER_SECRET}] if account == SERVER and not args.store.keyless else None,
                opts=self._within,
            )

    def _launcher(self, store: StoreHandle) -> None:
        k8s.core.v1.ConfigMap(
            f"{self._name}-launcher",
            metadata=self._metadata(LAUNCHER_CONFIG),
            data=tenancy.launcher_config(
                store.buckets,
                self._tenant.name,
                endpoint=store.internal_host,
                region=store.region,
                tls=store.tls,
                path_style=store.path_style,
                keyless=store.keyless,
            ),
            opts=self._within,
        )


def _key_data(key: keys.StoreKey) -> dict[str, str]:
    plain = {
        "AWS_ACCESS_KEY_ID": key.access_key,
        "AWS_SECRET_ACCESS_KEY": key.secret_key.get_secret_value(),
    }
    return _encoded(plain)


def _encoded(plain: Mapping[str, str]) -> dict[str, str]:
    return secret_data(plain)


def _kserve_annotations(store: StoreHandle) -> dict[str, str]:
    return tenancy.kserve_annotations(
        endpoint=store.internal_host,
        region=store.region,
        tls=store.tls,
        path_style=store.path_style,
        private_ca=store.ca_certificate is not None,
    )


def _outputs(args: TenantArgs) -> TenantOutputs:
    name, buckets = args.settings.name, args.store.buckets
    return TenantOutputs(
        namespace=name,
        editor_service_account=EDITOR,
        viewer_service_account=VIEWER,
        runner_service_account=RUNNER,
        server_service_account=SERVER,
        pipeline_root=buckets.pipeline_root(name),
        models_uri=buckets.models_uri(name),
        data_uri=buckets.data_uri(name),
        key_generation=args.settings.key_generation,
        gates=args.settings.gates,
        **{
            f"{role.value}_secret": None if args.store.keyless else secret
            for role, secret in _SECRETS.items()
        },
    )
