"""The StatefulSet that runs MinIO, and the claims of its volumes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pulumi
import pulumi_kubernetes as k8s

from infra.pod_defaults import (
    SCRATCH,
    confined,
    confined_pod,
    http_probe,
    metadata,
    resources,
    scratch_mount,
    scratch_volume,
)
from infra.stores.minio_layout import CERTIFICATES, MinioLayout
from infra.stores.reconcile_job import root_variables
from storage.settings import MinioSettings

CERTIFICATE_SECRET: Final = "store-certificate"
_GROUP: Final = 65532
"""The user and group of our images; the volumes are given to it."""

_STALE: Final = {"MINIO_API_STALE_UPLOADS_EXPIRY": "24h", "MINIO_API_STALE_UPLOADS_CLEANUP_INTERVAL": "6h"}
"""When what an interrupted multipart upload left goes: MinIO refuses a lifecycle rule for it."""

_SETTLING_SECONDS: Final = 30
"""How long the others may take to find a pod that is back at another address: what DNS remembers of it."""

_DRAIN_SECONDS: Final = 5
"""How long a pod that is to end still answers, until nobody is sent to it any more."""

ALIKE: Final = (
    'spec.template.metadata.annotations["slipway.dev/root-key"]',
    "spec.template.spec.containers[*].image",
    "spec.template.spec.containers[*].args",
    "spec.template.spec.containers[*].env",
)
"""What MinIO wants to be the same on every server of a store before one joins.

A first pod with another of these would wait for a second one of its kind for ever, so all are restarted
at once: the StatefulSet is replaced. Its volumes are claims of their own, and stay.
"""


@dataclass(frozen=True, kw_only=True)
class MinioServerArgs:
    """What the operator said, and where the program wants it."""

    settings: MinioSettings
    layout: MinioLayout
    labels: Mapping[str, str]
    image: str
    protect_volumes: bool


class MinioServer:
    """The pods of a store; `within` says what they are part of and come after."""

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

    def _metadata(self, name: str, **annotations: str) -> k8s.meta.v1.ObjectMetaArgs:
        args = self._args
        return metadata(
            name,
            args.labels,
            namespace=args.layout.namespace,
            annotations={f"pulumi.com/{key}": value for key, value in annotations.items()} or None,
        )

    def _claim(self, name: str) -> k8s.core.v1.PersistentVolumeClaim:
        """Declare a claim under the name that the StatefulSet looks for, so that it can be protected."""
        protect = self._args.protect_volumes
        return k8s.core.v1.PersistentVolumeClaim(
            f"{self._name}-{name}",
            # Where volumes are bound to the node of their first pod, the claim stays pending until the
            # StatefulSet exists; waiting for it here would wait for ever.
            metadata=self._metadata(name, skipAwait="true"),
            spec=self._claim_spec(),
            opts=pulumi.ResourceOptions.merge(
                self._within,
                pulumi.ResourceOptions(
                    protect=protect,
                    retain_on_delete=protect,
                    # A volume keeps its class: to name the one that it has would replace it, and lose it.
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
        """Give each pod a name, also before it is ready: it is not until it has found the others."""
        layout = self._args.layout
        k8s.core.v1.Service(
            f"{self._name}-nodes",
            metadata=self._metadata(layout.peers_service, skipAwait="true"),
            spec={
                "cluster_ip": "None",
                "publish_not_ready_addresses": True,
                "selector": {**self._args.labels},
                "ports": [{"name": "s3", "port": layout.port, "target_port": layout.port, "protocol": "TCP"}],
            },
            opts=self._within,
        )

    def _disruption(self) -> None:
        """Have nodes drained one after the other: half of the drives are needed to read."""
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
                # No pod of several is ready before most are there.
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
                        # MinIO reads its administrator's key and whom it trusts at the start only.
                        "annotations": {
                            "slipway.dev/root-key": str(args.settings.root_key_generation),
                            "slipway.dev/certificate": str(args.settings.certificate_generation),
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
                # The claims are there already; the templates only name them and can't be changed, so
                # that a larger size would replace the StatefulSet for nothing.
                pulumi.ResourceOptions(
                    depends_on=claims,
                    ignore_changes=["spec.volumeClaimTemplates"],
                    replace_on_changes=[*ALIKE] if layout.distributed else None,
                    delete_before_replace=layout.distributed,
                ),
            ),
        )

    def _pod(self) -> k8s.core.v1.PodSpecArgs:
        layout = self._args.layout
        return k8s.core.v1.PodSpecArgs(
            automount_service_account_token=False,
            # Of the Service `minio` they would be MINIO_…: a pod made before it has none, one made after it
            # has some, and a server whose MINIO_… are not those of its peers never joins them.
            enable_service_links=False,
            security_context=confined_pod(volume_group=_GROUP),
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
            # Below the limit, so that Go collects before the kernel kills.
            "GOMEMLIMIT": f"{memory_mib * 5 // 6}MiB",
            **_STALE,
        }
        if layout.distributed:
            # A pod that is made again has another address; MinIO would keep to the old one for 30 s.
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
            security_context=confined(),
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
        """Ask one of several whether it can read: `ready` says so before it has found the others."""
        layout = self._args.layout
        path = "/minio/health/cluster/read" if layout.distributed else "/minio/health/ready"
        return http_probe(path, layout.port, period=2, tls=True)

    def _spread(self) -> list[k8s.core.v1.TopologySpreadConstraintArgs]:
        """Keep the pods evenly apart: two on one machine are lost together."""
        zones = {"kubernetes.io/hostname": "DoNotSchedule", "topology.kubernetes.io/zone": "ScheduleAnyway"}
        return [
            k8s.core.v1.TopologySpreadConstraintArgs(
                topology_key=key,
                when_unsatisfiable=otherwise,
                max_skew=1,
                label_selector={"match_labels": {**self._args.labels}},
            )
            for key, otherwise in zones.items()
        ]


def _certificate_files() -> k8s.core.v1.SecretVolumeSourceArgs:
    return k8s.core.v1.SecretVolumeSourceArgs(
        secret_name=CERTIFICATE_SECRET,
        default_mode=0o440,
        items=[
            {"key": "tls.crt", "path": "public.crt"},
            {"key": "tls.key", "path": "private.key"},
            {"key": "ca.crt", "path": "CAs/ca.crt"},
        ],
    )
