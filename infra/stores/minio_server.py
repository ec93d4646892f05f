"""The StatefulSet that runs MinIO, and the PersistentVolumeClaims of its pods."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
import pulumi_kubernetes as k8s

from infra.cluster.registry_login import RegistryLogin
from infra.names import CA_KEY
from infra.pod_defaults import (
    NOT_AWAITED,
    SCRATCH,
    container_security_context,
    http_probe,
    metadata,
    pod_security_context,
    resources,
    scratch_mount,
    scratch_volume,
)
from infra.stores.minio_layout import CERTIFICATES, MinioLayout
from infra.stores.reconcile_job import root_variables
from storage.settings import MinioSettings

CERTIFICATE_SECRET: Final = "store-certificate"
_GROUP: Final = 65532
"""User and group ID of our images; the volumes belong to the group."""

_STALE: Final = {"MINIO_API_STALE_UPLOADS_EXPIRY": "24h", "MINIO_API_STALE_UPLOADS_CLEANUP_INTERVAL": "6h"}
"""Removal of incomplete multipart uploads: MinIO does not accept a lifecycle rule for them."""

_SETTLING_SECONDS: Final = 30
"""Time for the other pods to find a restarted pod at its new address: the TTL of its DNS record."""

_DRAIN_SECONDS: Final = 5
"""How long a terminating pod still answers, until no more requests are routed to it."""

IDENTICAL_FIELDS: Final = (
    'spec.template.metadata.annotations["slipway.dev/root-key"]',
    "spec.template.spec.containers[*].image",
    "spec.template.spec.containers[*].args",
    "spec.template.spec.containers[*].env",
)
"""Fields that MinIO requires to be identical on every server of a store before a server joins.

In a rolling update, the first changed pod would never join the others. So a change of these fields
replaces the StatefulSet, which restarts all pods at once. The volumes are separate claims and are kept.
"""


@dataclass(frozen=True, kw_only=True)
class MinioServerArgs:
    """Settings and layout of the server."""

    settings: MinioSettings
    layout: MinioLayout
    labels: Mapping[str, str]
    image: str
    login: RegistryLogin
    hosts: Sequence[str]
    """Names and addresses in the server's certificate."""

    protect_volumes: bool


class MinioServer:
    """The pods of a store; `within` holds their parent and dependencies."""

    stateful_set: k8s.apps.v1.StatefulSet

    def __init__(self, name: str, args: MinioServerArgs, within: pulumi.ResourceOptions) -> None:
        self._name = name
        self._args = args
        self._within = within
        claims = [self._claim(claim) for claim in args.layout.claims]
        if args.layout.distributed:
            self._peers()
            self._disruption()
        self.stateful_set = self._stateful_set(claims)

    def _metadata(
        self, name: str, annotations: Mapping[str, str] | None = None
    ) -> k8s.meta.v1.ObjectMetaArgs:
        args = self._args
        return metadata(name, args.labels, namespace=args.layout.namespace, annotations=annotations)

    def _claim(self, name: str) -> k8s.core.v1.PersistentVolumeClaim:
        """Declare a claim under the name that the StatefulSet expects, so that it can be protected."""
        protect = self._args.protect_volumes
        return k8s.core.v1.PersistentVolumeClaim(
            f"{self._name}-{name}",
            # With WaitForFirstConsumer the claim stays pending until the StatefulSet's pod is scheduled;
            # waiting for the claim here would never end.
            metadata=self._metadata(name, annotations=NOT_AWAITED),
            spec=self._claim_spec(),
            opts=pulumi.ResourceOptions.merge(
                self._within,
                pulumi.ResourceOptions(
                    protect=protect,
                    retain_on_delete=protect,
                    # A StorageClass can't be changed: a newly set one would replace the volume and its data.
                    ignore_changes=["spec.storageClassName"],
                ),
            ),
        )

    def _claim_spec(self) -> k8s.core.v1.PersistentVolumeClaimSpecArgs:
        settings = self._args.settings
        return k8s.core.v1.PersistentVolumeClaimSpecArgs(
            access_modes=["ReadWriteOnce"],
            storage_class_name=settings.storage_class,
            resources={"requests": {"storage": f"{settings.size_gib}Gi"}},
        )

    def _peers(self) -> None:
        """Give each pod a DNS name even before it is ready: it gets ready only after finding the others."""
        layout = self._args.layout
        k8s.core.v1.Service(
            f"{self._name}-nodes",
            metadata=self._metadata(layout.peers_service, annotations=NOT_AWAITED),
            spec={
                "cluster_ip": "None",
                "publish_not_ready_addresses": True,
                "selector": {**self._args.labels},
                "ports": [{"name": "s3", "port": layout.port, "target_port": layout.port, "protocol": "TCP"}],
            },
            opts=self._within,
        )

    def _disruption(self) -> None:
        """Limit draining to one pod at a time: reading needs half of the drives."""
        k8s.policy.v1.PodDisruptionBudget(
            f"{self._name}-disruption",
            metadata=self._metadata(self._args.layout.service),
            spec={"max_unavailable": 1, "selector": {"match_labels": {**self._args.labels}}},
            opts=self._within,
        )

    def _stateful_set(self, claims: list[k8s.core.v1.PersistentVolumeClaim]) -> k8s.apps.v1.StatefulSet:
        args, layout = self._args, self._args.layout
        return k8s.apps.v1.StatefulSet(
            f"{self._name}-server",
            metadata=self._metadata(layout.service),
            spec={
                "replicas": layout.nodes,
                "service_name": layout.peers_service if layout.distributed else layout.service,
                # With several pods, none is ready before most of them run.
                "pod_management_policy": "Parallel" if layout.distributed else "OrderedReady",
                "min_ready_seconds": _SETTLING_SECONDS if layout.distributed else None,
                "persistent_volume_claim_retention_policy": {
                    "when_deleted": "Retain",
                    "when_scaled": "Retain",
                },
                "selector": {"match_labels": {**args.labels}},
                "template": {
                    "metadata": {
                        "labels": {**args.labels},
                        # MinIO reads the administrator's key and certificates only at startup.
                        "annotations": {
                            "slipway.dev/root-key": str(args.settings.root_key_generation),
                            "slipway.dev/certificate": str(args.settings.certificate_generation),
                            "slipway.dev/hosts": _digest(args.hosts),
                        },
                    },
                    "spec": self._pod(),
                },
                "volume_claim_templates": [
                    {"metadata": {"name": volume, "labels": {**args.labels}}, "spec": self._claim_spec()}
                    for volume in layout.volumes
                ],
            },
            opts=pulumi.ResourceOptions.merge(
                self._within,
                # The claims exist already and the templates are immutable: without this, a larger size
                # would replace the StatefulSet.
                pulumi.ResourceOptions(
                    depends_on=claims,
                    ignore_changes=["spec.volumeClaimTemplates"],
                    replace_on_changes=[*IDENTICAL_FIELDS] if layout.distributed else None,
                    delete_before_replace=layout.distributed,
                ),
            ),
        )

    def _pod(self) -> k8s.core.v1.PodSpecArgs:
        layout = self._args.layout
        return k8s.core.v1.PodSpecArgs(
            automount_service_account_token=False,
            # Service links of the Service `minio` would be named MINIO_…, and exist only in pods created
            # after it. A server whose MINIO_… variables differ from its peers' never joins them.
            enable_service_links=False,
            image_pull_secrets=self._args.login.references,
            security_context=pod_security_context(volume_group=_GROUP),
            termination_grace_period_seconds=30,
            topology_spread_constraints=self._spread() if layout.distributed else None,
            containers=[self._container()],
            volumes=[
                k8s.core.v1.VolumeArgs(name="certificate", secret=_certificate_files()),
                scratch_volume(),
            ],
        )

    def _container(self) -> k8s.core.v1.ContainerArgs:
        args, layout = self._args, self._args.layout
        memory_mib = 2048 if layout.distributed else 768
        plain = {
            "MINIO_REGION": args.settings.region,
            "MINIO_UPDATE": "off",
            **layout.console_variables(),
            "HOME": SCRATCH,
            # Below the memory limit, so that Go collects garbage before the kernel kills the process.
            "GOMEMLIMIT": f"{memory_mib * 5 // 6}MiB",
            **_STALE,
        }
        if layout.distributed:
            # A recreated pod has another address; by default MinIO would use the old one for 30 s.
            plain["MINIO_DNS_CACHE_TTL"] = "2s"
        return k8s.core.v1.ContainerArgs(
            name="minio",
            image=args.image,
            image_pull_policy="IfNotPresent",
            args=layout.arguments(),
            env=[
                *root_variables(),
                *(k8s.core.v1.EnvVarArgs(name=name, value=value) for name, value in plain.items()),
            ],
            ports=[
                k8s.core.v1.ContainerPortArgs(name=name, container_port=port)
                for name, port in layout.ports.items()
            ],
            startup_probe=http_probe("/minio/health/live", layout.port, period=2, failures=90, tls=True),
            readiness_probe=self._readiness(),
            liveness_probe=http_probe("/minio/health/live", layout.port, failures=6, tls=True),
            lifecycle={"pre_stop": {"sleep": {"seconds": _DRAIN_SECONDS}}} if layout.distributed else None,
            security_context=container_security_context(),
            resources=resources(cpu="100m", memory="192Mi", memory_limit=f"{memory_mib}Mi"),
            volume_mounts=[
                *(
                    k8s.core.v1.VolumeMountArgs(name=volume, mount_path=f"/{volume}")
                    for volume in layout.volumes
                ),
                k8s.core.v1.VolumeMountArgs(name="certificate", mount_path=CERTIFICATES, read_only=True),
                scratch_mount(),
            ],
        )

    def _readiness(self) -> k8s.core.v1.ProbeArgs:
        """With several pods, probe read quorum: `ready` succeeds before a pod has found the others."""
        layout = self._args.layout
        path = "/minio/health/cluster/read" if layout.distributed else "/minio/health/ready"
        return http_probe(path, layout.port, period=2, tls=True)

    def _spread(self) -> list[k8s.core.v1.TopologySpreadConstraintArgs]:
        """Spread the pods over nodes and zones: pods on one node fail together."""
        domains = {"kubernetes.io/hostname": "DoNotSchedule", "topology.kubernetes.io/zone": "ScheduleAnyway"}
        return [
            k8s.core.v1.TopologySpreadConstraintArgs(
                topology_key=key,
                when_unsatisfiable=when_unsatisfiable,
                max_skew=1,
                label_selector={"match_labels": {**self._args.labels}},
            )
            for key, when_unsatisfiable in domains.items()
        ]


def _digest(hosts: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(sorted(hosts)).encode()).hexdigest()[:12]


def _certificate_files() -> k8s.core.v1.SecretVolumeSourceArgs:
    return k8s.core.v1.SecretVolumeSourceArgs(
        secret_name=CERTIFICATE_SECRET,
        default_mode=0o440,
        items=[
            {"key": "tls.crt", "path": "public.crt"},
            {"key": "tls.key", "path": "private.key"},
            {"key": CA_KEY, "path": "CAs/ca.crt"},
        ],
    )
