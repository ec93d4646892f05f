"""A real local cluster for tests, and functions to inspect it from the machine."""

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kubernetes import client, config
from support.waiting import eventually

from embedded.cluster import delete, start
from embedded.cluster.cgroups import Cgroups
from embedded.images import reference
from embedded.instance import Instance

POD = "keep-0"
"""The pod of `stateful_set`."""


def instance_for(name: str) -> Instance:
    """An instance that no other checkout's tests use."""
    checkout = hashlib.sha256(str(Path(__file__).resolve()).encode()).hexdigest()[:6]
    return Instance(f"{name}-{checkout}")


@contextmanager
def running_cluster(name: str) -> Iterator[Instance]:
    """A running cluster, deleted afterwards. Leftovers of an aborted run are removed first."""
    instance = instance_for(name)
    delete(instance)
    try:
        start(instance)
        yield instance
    finally:
        delete(instance)


def api_client(instance: Instance) -> client.ApiClient:
    """The official client with the users' kubeconfig."""
    return config.new_client_from_config(str(instance.kubeconfig))


def stateful_set(replicas: int = 1) -> dict[str, Any]:
    """A pod of the pause image with a volume of class `standard` at /data."""
    container = {
        "name": "main",
        "image": reference("pause"),
        "imagePullPolicy": "IfNotPresent",
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    claim = {
        "metadata": {"name": "data"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "standard",
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }
    return {
        "metadata": {"name": "keep"},
        "spec": {
            "replicas": replicas,
            "serviceName": "keep",
            "selector": {"matchLabels": {"app": "keep"}},
            "template": {
                "metadata": {"labels": {"app": "keep"}},
                "spec": {"terminationGracePeriodSeconds": 1, "containers": [container]},
            },
            "volumeClaimTemplates": [claim],
        },
    }


def running_pid(instance: Instance, name: str = POD, namespace: str = "default") -> int:
    """Wait for a running pod and return the pid of its first container on the machine."""
    api = client.CoreV1Api(api_client(instance))

    def look() -> int | None:
        pod = api.read_namespaced_pod(name, namespace)
        [status] = pod.status.container_statuses
        if not status.ready:
            return None
        container_id = status.container_id.removeprefix("containerd://")
        pids = Cgroups.of(instance.name).pids("pods")
        return next((p for p in sorted(pids) if container_id in Path(f"/proc/{p}/cgroup").read_text()), None)

    return eventually(look)


def in_network_of(pid: int, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a Python program in the network namespace of a pod."""
    return subprocess.run(
        ["nsenter", f"--net=/proc/{pid}/ns/net", sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def root_of(pid: int) -> Path:
    """The root file system of a container's process."""
    return Path(f"/proc/{pid}/root")
