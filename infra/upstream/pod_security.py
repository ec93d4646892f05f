"""What Kubernetes' Pod Security Standards forbid in a workload. Pure.

The controls and their names are those of https://kubernetes.io/docs/concepts/security/pod-security-standards/
for Linux, version 1.34.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from infra.upstream.part import Level

Json = Mapping[str, Any]

POD_TEMPLATES: Final[Mapping[str, tuple[str, ...]]] = {
    "Pod": (),
    "Deployment": ("spec", "template"),
    "ReplicaSet": ("spec", "template"),
    "StatefulSet": ("spec", "template"),
    "DaemonSet": ("spec", "template"),
    "ReplicationController": ("spec", "template"),
    "Job": ("spec", "template"),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
}
"""Where the template of a workload's pods is, by kind."""
_BASELINE_CAPABILITIES: Final = frozenset(
    [
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    ]
)
_RESTRICTED_VOLUMES: Final = frozenset(
    [
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "image",
        "persistentVolumeClaim",
        "projected",
        "secret",
    ]
)
_SAFE_SYSCTLS: Final = frozenset(
    [
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.ping_group_range",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
        "net.ipv4.tcp_rmem",
        "net.ipv4.tcp_wmem",
    ]
)
_PROFILES: Final = frozenset({"RuntimeDefault", "Localhost"})
_SELINUX_TYPES: Final = frozenset(
    {"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}
)


def forbidden(document: Json, level: Level) -> list[str]:
    """Return the controls that a workload violates at a level, in order; none for other objects."""
    path = POD_TEMPLATES.get(str(document.get("kind")))
    if path is None or level == "privileged":
        return []
    template: Any = document
    for step in path:
        template = (template or {}).get(step)
    metadata, spec = (template or {}).get("metadata") or {}, (template or {}).get("spec") or {}
    found = [*_baseline_pod(metadata, spec)]
    for container in _containers(spec):
        found += _baseline_container(container)
    if level == "restricted":
        found += _restricted_pod(spec)
        for container in _containers(spec):
            found += _restricted_container(container, spec.get("securityContext") or {})
    return list(dict.fromkeys(found))


def _containers(spec: Json) -> list[Json]:
    return [
        container
        for kind in ("initContainers", "containers", "ephemeralContainers")
        for container in spec.get(kind) or ()
    ]


def _baseline_pod(metadata: Json, spec: Json) -> Iterator[str]:
    context = spec.get("securityContext") or {}
    for name in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(name):
            yield "host namespaces"
    if any("hostPath" in volume for volume in spec.get("volumes") or ()):
        yield "hostPath volumes"
    if any(sysctl.get("name") not in _SAFE_SYSCTLS for sysctl in context.get("sysctls") or ()):
        yield "sysctls"
    annotations = metadata.get("annotations") or {}
    if any(
        name.startswith("container.apparmor.security.beta.kubernetes.io/") and value == "unconfined"
        for name, value in annotations.items()
    ):
        yield "AppArmor"
    yield from _contexts(context)


def _baseline_container(container: Json) -> Iterator[str]:
    context = container.get("securityContext") or {}
    if context.get("privileged"):
        yield "privileged containers"
    added = (context.get("capabilities") or {}).get("add") or ()
    if not _BASELINE_CAPABILITIES.issuperset(added):
        yield "capabilities"
    if any(port.get("hostPort") for port in container.get("ports") or ()):
        yield "host ports"
    if context.get("procMount", "Default") != "Default":
        yield "/proc mount type"
    for probe in _handlers(container):
        if any((probe.get(how) or {}).get("host") for how in ("httpGet", "tcpSocket")):
            yield "host probes"
    yield from _contexts(context)


def _handlers(container: Json) -> Iterator[Json]:
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        yield container.get(name) or {}
    for name in ("postStart", "preStop"):
        yield (container.get("lifecycle") or {}).get(name) or {}


def _contexts(context: Json) -> Iterator[str]:
    """Controls that a pod and a container violate by the same fields."""
    if (context.get("seccompProfile") or {}).get("type", "RuntimeDefault") not in _PROFILES:
        yield "seccomp"
    if (context.get("appArmorProfile") or {}).get("type", "RuntimeDefault") not in _PROFILES:
        yield "AppArmor"
    if (context.get("windowsOptions") or {}).get("hostProcess"):
        yield "HostProcess"
    selinux = context.get("seLinuxOptions") or {}
    if (selinux.get("type") or "") not in _SELINUX_TYPES or selinux.get("user") or selinux.get("role"):
        yield "SELinux"


def _restricted_pod(spec: Json) -> Iterator[str]:
    for volume in spec.get("volumes") or ():
        if not _RESTRICTED_VOLUMES.intersection(volume) and set(volume) != {"name"}:
            yield "volume types"
    if (spec.get("securityContext") or {}).get("runAsUser") == 0:
        yield "running as root user"


def _restricted_container(container: Json, pod: Json) -> Iterator[str]:
    context = container.get("securityContext") or {}
    if context.get("allowPrivilegeEscalation") is not False:
        yield "privilege escalation"
    own = context.get("runAsNonRoot")
    if (pod.get("runAsNonRoot") if own is None else own) is not True:
        yield "running as non-root"
    if context.get("runAsUser") == 0:
        yield "running as root user"
    if not (context.get("seccompProfile") or pod.get("seccompProfile")):
        yield "seccomp"
    capabilities = context.get("capabilities") or {}
    if "ALL" not in (capabilities.get("drop") or ()):
        yield "dropping all capabilities"
    if not {"NET_BIND_SERVICE"}.issuperset(capabilities.get("add") or ()):
        yield "capabilities"
