"""Defaults of every pod that Slipway starts: least privilege, small requests."""

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
"""Labels of a namespace that enforces the `restricted` Pod Security standard."""


SCRATCH: Final = "/tmp"  # noqa: S108  # a volume of the pod: its root file system is read-only
"""The folder that a container may write to."""


def scratch_mount() -> k8s.core.v1.VolumeMountArgs:
    """Return the mount of `scratch_volume`."""
    return k8s.core.v1.VolumeMountArgs(name="scratch", mount_path=SCRATCH)


def scratch_volume() -> k8s.core.v1.VolumeArgs:
    """Return a volume that exists as long as its pod."""
    return k8s.core.v1.VolumeArgs(name="scratch", empty_dir={})


def metadata(
    name: str,
    labels: Mapping[str, str],
    *,
    namespace: str | None = None,
    annotations: Mapping[str, pulumi.Input[str]] | None = None,
) -> k8s.meta.v1.ObjectMetaArgs:
    """Return an object's metadata with an explicit name, which plans show, in place of a random one."""
    return k8s.meta.v1.ObjectMetaArgs(
        name=name,
        namespace=namespace,
        labels={**labels},
        annotations=None if annotations is None else {**annotations},
    )


NOT_AWAITED: Final = {"pulumi.com/skipAwait": "true"}
"""Annotation of an object for which the Kubernetes provider must not wait.

Something else waits for what it needs, or it is complete only after what follows. For each Service the
provider takes ten seconds, also where its pods are ready.
"""


def container_security_context(*, user: int | None = None) -> k8s.core.v1.SecurityContextArgs:
    """Return a container's security context that Pod Security `restricted` admits.

    `user` is the user and group ID; the image's default if None.
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


def pod_security_context(*, volume_group: int | None = None) -> k8s.core.v1.PodSecurityContextArgs:
    """Return a pod's security context; the group `volume_group` owns its volumes."""
    return k8s.core.v1.PodSecurityContextArgs(
        run_as_non_root=True,
        seccomp_profile={"type": "RuntimeDefault"},
        fs_group=volume_group,
        fs_group_change_policy=None if volume_group is None else "OnRootMismatch",
    )


def resources(*, cpu: str, memory: str, memory_limit: str) -> k8s.core.v1.ResourceRequirementsArgs:
    """Return requests and a memory limit.

    CPU has no limit: it is shared by weight, and a limit would slow down startup on an idle machine.
    """
    return k8s.core.v1.ResourceRequirementsArgs(
        requests={"cpu": cpu, "memory": memory}, limits={"memory": memory_limit}
    )


def http_probe(
    path: str, port: int, *, period: int = 10, failures: int = 3, tls: bool = False
) -> k8s.core.v1.ProbeArgs:
    """Return an HTTP GET probe; with TLS, the kubelet does not verify the certificate."""
    return k8s.core.v1.ProbeArgs(
        http_get={"path": path, "port": port, **({"scheme": "HTTPS"} if tls else {})},
        period_seconds=period,
        failure_threshold=failures,
        timeout_seconds=5,
    )


def secret_data(plain: Mapping[str, str]) -> dict[str, str]:
    """Return the values base64-encoded, as the data of a Secret."""
    return {name: base64.b64encode(value.encode()).decode() for name, value in plain.items()}
