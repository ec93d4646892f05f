"""A Kubernetes API server for tests: etcd, kube-apiserver and its controllers, on loopback, no nodes.

`Pods` plays the kubelet: it makes pods ready, or leaves them broken, as their image says.
"""

import base64
import json
import secrets
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from support.waiting import eventually

from embedded.toolchain import binary

_NODE = "played"
_PLAYED = "played by the test"


@dataclass
class ApiServer:
    """A running API server, and how to reach it as its administrator."""

    folder: Path
    port: int
    token: str
    etcd_port: int
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    namespaces: Iterator[int] = field(default_factory=lambda: iter(range(10_000)))

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def ca_certificate(self) -> bytes:
        return (self.folder / "certificates" / "apiserver.crt").read_bytes()

    @property
    def kubeconfig(self) -> str:
        """The text of a kubeconfig."""
        cluster = {
            "server": self.url,
            "certificate-authority-data": base64.b64encode(self.ca_certificate).decode(),
        }
        return json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "test",
                "clusters": [{"name": "test", "cluster": cluster}],
                "users": [{"name": "admin", "user": {"token": self.token}}],
                "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}],
            }
        )

    def http(self) -> httpx.Client:
        """A client of the API for the test itself."""
        return httpx.Client(
            base_url=self.url,
            verify=ssl.create_default_context(cadata=self.ca_certificate.decode()),
            headers={"Authorization": f"Bearer {self.token}"},
            trust_env=False,
            timeout=60,
        )

    def namespace(self) -> str:
        """Make a namespace of the test's own."""
        name = f"test-{next(self.namespaces)}"
        with self.http() as http:
            body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
            http.post("/api/v1/namespaces", json=body).raise_for_status()
            eventually(lambda: self._has_account(http, name))
        return name

    @staticmethod
    def _has_account(http: httpx.Client, name: str) -> bool:
        return http.get(f"/api/v1/namespaces/{name}/serviceaccounts/default").status_code == 200

    def start(self) -> None:
        """Start what does not run."""
        self._run(
            "etcd",
            "--data-dir", str(self.folder / "etcd"),
            "--listen-client-urls", f"http://127.0.0.1:{self.etcd_port}",
            "--advertise-client-urls", f"http://127.0.0.1:{self.etcd_port}",
            "--listen-peer-urls", "http://127.0.0.1:0",
            "--unsafe-no-fsync",
        )  # fmt: skip
        self._run(
            "kube-apiserver",
            "--etcd-servers", f"http://127.0.0.1:{self.etcd_port}",
            "--secure-port", str(self.port),
            "--bind-address", "127.0.0.1",
            "--advertise-address", "127.0.0.1",
            "--endpoint-reconciler-type", "none",
            "--cert-dir", str(self.folder / "certificates"),
            "--token-auth-file", str(self.folder / "tokens.csv"),
            "--authorization-mode", "RBAC",
            "--service-account-key-file", str(self.folder / "accounts.pem"),
            "--service-account-signing-key-file", str(self.folder / "accounts.pem"),
            "--service-account-issuer", "https://kubernetes.default.svc",
            "--service-cluster-ip-range", "198.19.255.0/24",
            "--shutdown-delay-duration", "0s",
        )  # fmt: skip
        with self._waiting() as http:
            eventually(lambda: http.get("/readyz").status_code == 200)
        kubeconfig = self.folder / "kubeconfig"
        kubeconfig.write_text(self.kubeconfig)
        self._run(
            "kube-controller-manager",
            "--kubeconfig", str(kubeconfig),
            "--service-account-private-key-file", str(self.folder / "accounts.pem"),
            "--root-ca-file", str(self.folder / "certificates" / "apiserver.crt"),
            "--leader-elect=false",
            "--controllers=*,-node-lifecycle-controller,-cloud-node-lifecycle-controller",
            "--secure-port", "0",
        )  # fmt: skip

    @contextmanager
    def _waiting(self) -> Iterator[httpx.Client]:
        eventually((self.folder / "certificates" / "apiserver.crt").is_file)
        with self.http() as http:
            yield http

    def stop(self, *names: str) -> None:
        """Kill the named processes, or all."""
        for name in names or tuple(self.processes):
            process = self.processes.pop(name, None)
            if process:
                process.kill()
                process.wait()

    def _run(self, name: str, *arguments: str) -> None:
        running = self.processes.get(name)
        if running and running.poll() is None:
            return
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [str(binary(name)), *arguments],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder, process_group=0,
            )  # fmt: skip


@contextmanager
def api_server(folder: Path) -> Iterator[ApiServer]:
    """Run an API server while the block does."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    (folder / "accounts.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    token = secrets.token_hex(16)
    (folder / "tokens.csv").write_text(f'{token},admin,admin,"system:masters"\n')
    server = ApiServer(folder, free_port(), token, free_port())
    try:
        server.start()
        with Pods(server):
            yield server
    finally:
        server.stop()


class Pods:
    """Plays the kubelet: a pod is ready unless its image is `broken`, and one of image `job` succeeds.

    As a kubelet pulls again and again, the status of a broken pod changes about every second. The
    provider depends on it: it drops the events of a pod until it has seen the pod's ReplicaSet.
    """

    def __init__(self, server: ApiServer) -> None:
        self._server = server
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._play, daemon=True)

    def __enter__(self) -> "Pods":
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._over.set()
        self._thread.join()

    def _play(self) -> None:
        with self._server.http() as http:
            node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": _NODE}}
            http.post("/api/v1/nodes", json=node)
            while not self._over.wait(0.2):
                try:
                    for pod in http.get("/api/v1/pods").json().get("items", []):
                        self._tend(http, pod)
                except (httpx.TransportError, ValueError):
                    continue

    def _tend(self, http: httpx.Client, pod: dict[str, Any]) -> None:
        metadata = pod["metadata"]
        path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
        if metadata.get("deletionTimestamp"):
            http.request("DELETE", path, json={"gracePeriodSeconds": 0})
            return
        container = pod["spec"]["containers"][0]
        is_new = pod["status"].get("message") != _PLAYED
        if is_new:
            binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": metadata["name"]},
                       "target": {"kind": "Node", "name": _NODE}}  # fmt: skip
            http.post(f"{path}/binding", json=binding)
        if is_new or container["image"].startswith("broken"):
            status = {**self._status(container), "message": _PLAYED}
            merge = {"Content-Type": "application/merge-patch+json"}
            http.patch(f"{path}/status", json={"status": status}, headers=merge)

    @staticmethod
    def _status(container: dict[str, Any]) -> dict[str, Any]:
        image = container["image"]
        if image.startswith("broken"):
            waiting = {"reason": "ImagePullBackOff", "message": f"no such image: {image}"}
            broken = {"name": container["name"], "ready": False, "restartCount": 0, "image": image,
                      "imageID": "", "state": {"waiting": waiting}}  # fmt: skip
            unready = f"containers with unready status: [{container['name']}]"
            probed = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
            conditions = [
                *({"type": kind, "status": "True"} for kind in ("PodScheduled", "Initialized")),
                *({"type": kind, "status": "False", "reason": "ContainersNotReady", "message": unready,
                   "lastProbeTime": probed}
                  for kind in ("Ready", "ContainersReady")),
            ]  # fmt: skip
            return {"phase": "Pending", "containerStatuses": [broken], "conditions": conditions}
        if image.startswith(("job", "failing")):
            return {"phase": "Succeeded" if image.startswith("job") else "Failed"}
        ready = [{"type": kind, "status": "True"} for kind in ("Ready", "ContainersReady", "PodScheduled")]
        return {"phase": "Running", "podIP": "198.18.0.9", "podIPs": [{"ip": "198.18.0.9"}],
                "conditions": ready}  # fmt: skip


def may(http: httpx.Client, namespace: str, account: str, verb: str, resource: str, **more: str) -> bool:
    """Whether RBAC lets a ServiceAccount do this, as the API server's cache of roles has it now.

    Args:
        http: The administrator's client.
        namespace: Of the account and of the resource.
        account: Name of the ServiceAccount.
        verb: For example `get`.
        resource: Plural name of the resource.
        more: `group` of the resource, and `name` of the object.
    """
    attributes = {"namespace": namespace, "verb": verb, "resource": resource, **more}
    spec = {"user": f"system:serviceaccount:{namespace}:{account}", "resourceAttributes": attributes}
    answer = http.post("/apis/authorization.k8s.io/v1/subjectaccessreviews", json={"spec": spec})
    return bool(answer.raise_for_status().json()["status"]["allowed"])


def free_port() -> int:
    """Return a port of loopback that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
