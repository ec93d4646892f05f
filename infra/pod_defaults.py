"""What every pod that Slipway starts has in common: least privilege, small requests."""

import base64
from collections.abc import Mapping
from typing import Final

import pulumi
import pulumi_kubernetes as k8s

PodSecurity = Mapping[str, str]

RESTRICTED: PodSecurity = {
    "pod-security.kubernetes.io/enforce": "restricted",
    "pod-security.kubernetes.io/enforce-version": "latest",
}
"""Labels of a namespace whose pods must keep to the `restricted` Pod Security standard."""


SCRATCH: Final = "/tmp"  # noqa: S108  # a pod's own: its root file system is read-only
"""Where a container may write."""


def scratch_mount() -> k8s.core.v1.VolumeMountArgs:
    """Return the mount of `scratch_volume`."""
    return k8s.core.v1.VolumeMountArgs(name="scratch", mount_path=SCRATCH)


def scratch_volume() -> k8s.core.v1.VolumeArgs:
    """Return a volume that lives as long as its pod."""
    return k8s.core.v1.VolumeArgs(name="scratch", empty_dir={})


def metadata(
    name: str,
    labels: Mapping[str, str],
    *,
    namespace: str | None = None,
    annotations: Mapping[str, pulumi.Input[str]] | None = None,
) -> k8s.meta.v1.ObjectMetaArgs:
    """Return an object's metadata; the name is given, so a plan shows it and nothing is random."""
    return k8s.meta.v1.ObjectMetaArgs(
        name=name,
        namespace=namespace,
        labels={**labels},
        annotations=None if annotations is None else {**annotations},
    )


def confined(*, user: int | None = None) -> k8s.core.v1.SecurityContextArgs:
    """Return the security context of a container that Pod Security `restricted` admits.

    `user` is its user and group; the image's own where absent.
    """
    return k8s.core.v1.SecurityContextArgs(
        allow_privilege_escalation=False,
        capabilities={"drop": ["ALL"]},
        read_only_root_filesystem=True,
        run_as_non_root=True,
        run_as_user=user,
        run_as_group=user,
        seccomp_profile={"type": "RuntimeDefault"},
    )


def confined_pod(*, volume_group: int | None = None) -> k8s.core.v1.PodSecurityContextArgs:
    """Return the security context of a pod; `volume_group` owns its volumes."""
    return k8s.core.v1.PodSecurityContextArgs(
        run_as_non_root=True,
        seccomp_profile={"type": "RuntimeDefault"},
        fs_group=volume_group,
        fs_group_change_policy=None if volume_group is None else "OnRootMismatch",
    )


def resources(*, cpu: str, memory: str, memory_limit: str) -> k8s.core.v1.ResourceRequirementsArgs:
    """Return requests and a memory limit.

    CPU has no limit: it is shared by weight, and a limit throttles a start on an idle machine.
    """
    return k8s.core.v1.ResourceRequirementsArgs(
        requests={"cpu": cpu, "memory": memory}, limits={"memory": memory_limit}
    )


def http_probe(
    path: str, port: int, *, period: int = 10, failures: int = 3, tls: bool = False
) -> k8s.core.v1.ProbeArgs:
    """Return a probe by HTTP GET; by TLS the kubelet takes any certificate."""
    return k8s.core.v1.ProbeArgs(
        http_get={"path": path, "port": port, **({"scheme": "HTTPS"} if tls else {})},
        period_seconds=period,
        failure_threshold=failures,
        timeout_seconds=5,
    )


def secret_data(plain: Mapping[str, str]) -> dict[str, str]:
    """Return the values as the data of a Secret wants them."""
    return {name: base64.b64encode(value.encode()).decode() for name, value in plain.items()}
