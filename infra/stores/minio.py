"""MinIO in the cluster, and the Job that creates its buckets, policies and users.

The Job runs in MinIO's namespace, so that no machine outside the cluster has to reach it. A ConfigMap
without secrets holds the desired state; a Secret holds the users' keys, derived from the stack's secret.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as k8s

from infra.cluster.registry_login import RegistryLogin
from infra.names import CA_KEY, STORE_CA, STORE_DESIRED, STORE_LABELS, STORE_ROOT, STORE_USERS
from infra.pod_defaults import NOT_AWAITED, RESTRICTED, metadata, secret_data
from infra.stores.handle import StoreHandle
from infra.stores.minio_layout import MinioLayout
from infra.stores.minio_server import CERTIFICATE_SECRET, MinioServer, MinioServerArgs
from infra.stores.reconcile_job import (
    ROOT_VARIABLES,
    ReconcileJobArgs,
    reconcile_job,
    user_keys,
)
from storage import certificates, keys
from storage.desired_state import desired_state
from storage.settings import MinioSettings, StoreTenant


@dataclass(frozen=True, kw_only=True)
class MinioStoreArgs:
    """Settings and tenants of the store, and its place in the cluster."""

    settings: MinioSettings
    tenants: tuple[StoreTenant, ...]
    secret: pulumi.Output[str]
    """The stack's secret, from which every key is derived."""

    namespace: str
    service: str
    port: int
    endpoint: str
    """URL of the Service from outside the cluster."""

    console_endpoint: str | None
    """URL of the web console; None where it is off."""

    console_port: int
    protect_volumes: bool
    """Whether the volumes and their namespace are protected from deletion."""

    labels: Mapping[str, str]
    image: str
    jobs_image: str
    images_ready: Sequence[pulumi.Resource]
    login: RegistryLogin
    """With which nodes pull the images."""


@dataclass(frozen=True)
class DerivedKeys:
    """Credentials of tenants, derived from the stack's secret."""

    secret: pulumi.Output[str]

    def key(self, tenant: StoreTenant, role: keys.StoreRole) -> pulumi.Output[keys.StoreKey]:
        """Return the role's key in the tenant's current generation, as a secret."""
        return self.secret.apply(
            lambda secret: keys.tenant_key(secret, tenant.name, role, tenant.key_generation)
        )

    def annotations(self, tenant: StoreTenant, role: keys.StoreRole) -> Mapping[str, str]:
        """Return no annotations: workloads use a key."""
        return {}


class MinioStore(pulumi.ComponentResource):
    """MinIO with its buckets and users."""

    handle: StoreHandle

    def __init__(self, name: str, args: MinioStoreArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("slipway:storage:MinioStore", name, None, opts)
        self._name = name
        self._args = args
        self._labels = {**args.labels, **STORE_LABELS}
        self._layout = MinioLayout(
            nodes=args.settings.nodes,
            drives_per_node=args.settings.drives_per_node,
            service=args.service,
            namespace=args.namespace,
            port=args.port,
            console_port=args.console_port if args.console_endpoint else None,
        )
        outside = (args.endpoint, args.console_endpoint)
        self._hosts = self._layout.hosts([url for url in outside if url])
        namespace = k8s.core.v1.Namespace(
            f"{name}-namespace",
            metadata=metadata(args.namespace, {**args.labels, **RESTRICTED}),
            opts=pulumi.ResourceOptions(parent=self, protect=args.protect_volumes),
        )
        pulled = args.login.declare(
            name, args.namespace, self._labels, pulumi.ResourceOptions(parent=self, depends_on=[namespace])
        )
        self._within = pulumi.ResourceOptions(
            parent=self, depends_on=[namespace, *pulled, *args.images_ready]
        )
        root = self._root_secret()
        issued = self._issue()
        certificate, ca_config_map = self._certificate_secret(issued), self._ca_config_map(issued)
        self._network()
        server = MinioServer(
            name,
            MinioServerArgs(
                settings=args.settings,
                layout=self._layout,
                labels=self._labels,
                image=args.image,
                login=args.login,
                hosts=self._hosts,
                protect_volumes=args.protect_volumes,
            ),
            pulumi.ResourceOptions.merge(
                self._within, pulumi.ResourceOptions(depends_on=[root, certificate])
            ),
        )
        service = self._service(server.stateful_set)
        reconciled = self._reconcile([service, root, ca_config_map])
        endpoint = self._layout.endpoint
        self.handle = StoreHandle(
            kind="minio",
            buckets=args.settings.buckets,
            region=args.settings.region,
            endpoint=args.endpoint,
            internal_endpoint=endpoint,
            path_style=True,
            ca_certificate=_ca_certificates(issued),
            namespace=args.namespace,
            credentials=DerivedKeys(args.secret),
            keyless=False,
            ready=reconciled,
        )
        self.register_outputs({"internal_endpoint": endpoint})

    def _metadata(
        self, name: str, annotations: Mapping[str, str] | None = None
    ) -> k8s.meta.v1.ObjectMetaArgs:
        return metadata(name, self._labels, namespace=self._args.namespace, annotations=annotations)

    def _root_secret(self) -> k8s.core.v1.Secret:
        generation = self._args.settings.root_key_generation

        def derive(secret: str) -> dict[str, str]:
            key = keys.root_key(secret, generation)
            values = (key.access_key, key.secret_key.get_secret_value())
            return secret_data(dict(zip(ROOT_VARIABLES, values, strict=True)))

        return k8s.core.v1.Secret(
            f"{self._name}-root",
            metadata=self._metadata(STORE_ROOT),
            type="Opaque",
            data=self._args.secret.apply(derive),
            opts=self._within,
        )

    def _issue(self) -> pulumi.Output[certificates.StoreCertificate]:
        generation = self._args.settings.certificate_generation
        hosts = self._hosts
        return self._args.secret.apply(lambda secret: certificates.issue(secret, generation, hosts))

    def _certificate_secret(self, issued: pulumi.Output[certificates.StoreCertificate]) -> k8s.core.v1.Secret:
        def files(certificate: certificates.StoreCertificate) -> dict[str, str]:
            return secret_data(
                {
                    "tls.crt": certificate.certificate,
                    "tls.key": certificate.key.get_secret_value(),
                    CA_KEY: certificate.peers,
                }
            )

        return k8s.core.v1.Secret(
            f"{self._name}-certificate",
            metadata=self._metadata(CERTIFICATE_SECRET),
            type="Opaque",
            data=issued.apply(files),
            opts=self._within,
        )

    def _ca_config_map(self, issued: pulumi.Output[certificates.StoreCertificate]) -> k8s.core.v1.ConfigMap:
        return k8s.core.v1.ConfigMap(
            f"{self._name}-authority",
            metadata=self._metadata(STORE_CA),
            data={CA_KEY: _ca_certificates(issued)},
            opts=self._within,
        )

    def _network(self) -> None:
        """Allow traffic from the platform's own namespaces; outside traffic arrives through the node."""
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
        """Declare the Service after the server, so that a failing server is waited for only once."""
        args = self._args
        return k8s.core.v1.Service(
            f"{self._name}-service",
            metadata=self._metadata(args.service, annotations=NOT_AWAITED),
            spec={
                "selector": self._labels,
                "ports": [
                    {"name": name, "port": port, "target_port": port, "protocol": "TCP"}
                    for name, port in self._layout.ports.items()
                ],
            },
            opts=pulumi.ResourceOptions.merge(self._within, pulumi.ResourceOptions(depends_on=[server])),
        )

    def _reconcile(self, dependencies: Sequence[pulumi.Resource]) -> k8s.batch.v1.Job:
        args = self._args
        desired = desired_state(args.settings, args.tenants)
        users = k8s.core.v1.Secret(
            f"{self._name}-users",
            metadata=self._metadata(STORE_USERS),
            type="Opaque",
            data=args.secret.apply(lambda secret: user_keys(secret, args.tenants)),
            opts=self._within,
        )
        state = k8s.core.v1.ConfigMap(
            f"{self._name}-desired",
            metadata=self._metadata(STORE_DESIRED),
            data={"desired.json": desired},
            opts=self._within,
        )
        return reconcile_job(
            f"{self._name}-reconcile",
            ReconcileJobArgs(
                namespace=args.namespace,
                labels=self._labels,
                image=args.jobs_image,
                login=args.login,
                endpoint=self._layout.endpoint,
                region=args.settings.region,
                private_ca=True,
                desired=desired,
            ),
            pulumi.ResourceOptions.merge(
                self._within, pulumi.ResourceOptions(depends_on=[*dependencies, users, state])
            ),
        )


def _ca_certificates(issued: pulumi.Output[certificates.StoreCertificate]) -> pulumi.Output[str]:
    """Return the CA certificates in plain text: they are public and contain no key."""
    return pulumi.Output.unsecret(issued.apply(lambda certificate: certificate.ca_certificates))
