"""A running cluster behaves like Kubernetes and is isolated from the machine."""

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from kubernetes import client
from support.cluster import api_client, in_network_of, root_of, running_cluster, running_pid, stateful_set
from support.waiting import eventually

from embedded.cluster import Forward, logs, set_forwards, start, status
from embedded.instance import Instance
from slipway.core.errors import UsageError

pytestmark = pytest.mark.contract

COMPONENTS = (
    "etcd",
    "apiserver",
    "controller-manager",
    "scheduler",
    "kubelet",
    "proxy",
    "coredns",
    "containerd",
    "volumes",
    "forwards",
)
CONNECT = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=5).close()
    print("connected")
except OSError as error:
    print(type(error).__name__, error.errno)
"""
RESOLVE = """
import sys
from embedded.cluster.readiness import resolves
print(resolves(sys.argv[1], sys.argv[2]))
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Instance]:
    with running_cluster("slt-run") as instance:
        api = api_client(instance)
        client.AppsV1Api(api).create_namespaced_stateful_set("default", stateful_set())
        client.CoreV1Api(api).create_namespaced_config_map(
            "default", {"metadata": {"name": "open"}, "data": {"k": "open-value"}}
        )
        (root_of(running_pid(instance)) / "data/from-the-pod").write_text("kept")
        yield instance


@pytest.fixture
def core(cluster: Instance) -> client.CoreV1Api:
    return client.CoreV1Api(api_client(cluster))


@pytest.mark.parametrize(("requested", "lifetime"), [(365 * 86400, 86400), (3607, 3607)])
def test_a_token_is_valid_for_a_day_at_most(core, requested, lifetime):
    """By default, an API server extends the second, a token bound to a pod, to a year."""
    [pod, *_] = core.list_namespaced_pod("default").items
    bound = client.V1BoundObjectReference(api_version="v1", kind="Pod", name=pod.metadata.name)
    spec = client.V1TokenRequestSpec(audiences=[], expiration_seconds=requested, bound_object_ref=bound)
    request = client.AuthenticationV1TokenRequest(spec=spec)
    response = core.create_namespaced_service_account_token("default", "default", request)
    claims = json.loads(base64.urlsafe_b64decode(response.status.token.split(".")[1] + "=="))
    assert claims["exp"] - claims["iat"] == lifetime


def test_the_node_is_ready_with_name_and_version(core, cluster):
    [node] = core.list_node().items
    assert node.metadata.name == cluster.node_name
    assert {c.type: c.status for c in node.status.conditions}["Ready"] == "True"
    assert node.status.node_info.kubelet_version.startswith("v1.34.")


def test_names_resolve_in_a_pod(cluster):
    pid = running_pid(cluster)
    resolv = (root_of(pid) / "etc/resolv.conf").read_text()
    assert f"nameserver {cluster.addresses.dns_service}" in resolv
    assert "search default.svc.cluster.local" in resolv
    server = str(cluster.addresses.dns_service)
    known = in_network_of(pid, RESOLVE, server, "kubernetes.default.svc.cluster.local")
    assert known.stdout.strip() == "True", known.stderr
    unknown = in_network_of(pid, RESOLVE, server, "example.com")
    assert unknown.stdout.strip() == "False", unknown.stderr


def test_a_claim_is_bound_and_deleted_with_its_folder(core, cluster):
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "standard",
        "resources": {"requests": {"storage": "1Gi"}},
    }
    core.create_namespaced_persistent_volume_claim("default", {"metadata": {"name": "short"}, "spec": spec})

    def bound() -> str | None:
        claim = core.read_namespaced_persistent_volume_claim("short", "default")
        return claim.spec.volume_name if claim.status.phase == "Bound" else None

    folder = cluster.data / "volumes" / eventually(bound)
    assert folder.is_dir()
    core.delete_namespaced_persistent_volume_claim("short", "default")
    eventually(lambda: not folder.exists())
    eventually(lambda: folder.name not in {v.metadata.name for v in core.list_persistent_volume().items})


def test_a_volume_in_use_is_resized_with_its_claim(core, cluster):
    """The folder is unchanged: sizes are not enforced, so only the numbers change."""
    before = core.read_namespaced_persistent_volume_claim("data-keep-0", "default")
    with pytest.raises(client.ApiException) as refused:
        _ask_for(core, "512Mi")
    assert refused.value.status == 422
    _ask_for(core, "3Gi")

    def grown() -> bool:
        claim = core.read_namespaced_persistent_volume_claim("data-keep-0", "default")
        volume = core.read_persistent_volume(claim.spec.volume_name)
        return claim.status.capacity == volume.spec.capacity == {"storage": "3Gi"}

    eventually(grown)
    after = core.read_namespaced_persistent_volume_claim("data-keep-0", "default")
    assert (after.metadata.uid, after.spec.volume_name) == (before.metadata.uid, before.spec.volume_name)
    folder = cluster.data / "volumes" / after.spec.volume_name
    assert (folder / "from-the-pod").read_text() == "kept"


def _ask_for(core, size: str) -> None:
    body = {"spec": {"resources": {"requests": {"storage": size}}}}
    core.patch_namespaced_persistent_volume_claim("data-keep-0", "default", body)


def test_a_pod_writes_into_the_instances_volumes(core, cluster):
    volume = core.read_namespaced_persistent_volume_claim("data-keep-0", "default").spec.volume_name
    assert (cluster.data / "volumes" / volume / "from-the-pod").read_text() == "kept"


def test_a_pod_reaches_services_and_nothing_outside(cluster):
    pid = running_pid(cluster)
    inside = in_network_of(pid, CONNECT, str(cluster.addresses.api_service), "443")
    assert inside.stdout.strip() == "connected", "the positive control"
    with socket.create_server((str(cluster.addresses.host), 0)) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection((str(cluster.addresses.host), port), timeout=5):
            pass  # the positive control: the listener accepts connections from the machine
        outside = in_network_of(pid, CONNECT, str(cluster.addresses.host), str(port))
    # EHOSTUNREACH: the firewall rejects it; a timeout would mean that nothing did.
    assert outside.stdout.split()[-1] in ("113", "111"), outside.stdout


def test_the_namespace_has_no_route_out(cluster):
    def route(to: str) -> subprocess.CompletedProcess[str]:
        command = ["nsenter", f"--net={cluster.network_namespace}", "ip", "route", "get", to]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    assert route(str(cluster.addresses.api_service)).returncode == 0, "the positive control"
    assert "unreachable" in route("203.0.113.1").stderr


def test_secrets_are_encrypted_in_etcd(core, cluster):
    value = "a-value-to-look-for"
    core.create_namespaced_secret("default", {"metadata": {"name": "hidden"}, "stringData": {"k": value}})
    stored = b"".join(p.read_bytes() for p in (cluster.data / "etcd").rglob("*.wal"))
    assert b"open-value" in stored, "the positive control"
    assert value.encode() not in stored


def test_a_forward_reaches_a_service_created_later(core, cluster):
    port = cluster.ports.gateway
    set_forwards(cluster, [Forward(port, "default", "late", 80)])
    with pytest.raises(OSError, match=r"closed|reset|EOF"):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5)
    pid = running_pid(cluster)
    core.create_namespaced_service(
        "default",
        {
            "metadata": {"name": "late"},
            "spec": {"selector": {"app": "keep"}, "ports": [{"port": 80, "targetPort": 8080}]},
        },
    )
    command = ["nsenter", f"--net=/proc/{pid}/ns/net", sys.executable, "-m", "http.server", "8080"]
    with subprocess.Popen(
        command, cwd="/usr/share", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as server:
        try:
            url = f"http://127.0.0.1:{port}/"
            page = eventually(lambda: urllib.request.urlopen(url, timeout=5).read())
            service = core.read_namespaced_service("late", "default").spec.cluster_ip
            itself = in_network_of(pid, CONNECT, service, "80")
            # Like the API server calling a webhook: a process of the node connects to the Service.
            node = {p.name: p for p in status(cluster).processes}["apiserver"].pid
            from_the_node = in_network_of(node, CONNECT, service, "80")
        finally:
            server.terminate()
    assert b"Directory listing" in page
    assert itself.stdout.strip() == "connected", "a pod reaches itself by its Service"
    assert from_the_node.stdout.strip() == "connected"


def test_a_forward_to_a_port_in_use_is_refused(cluster):
    before = (cluster.data / "forwards.json").read_text()
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        with pytest.raises(UsageError, match=rf"port {port}: .*pid {os.getpid()}"):
            set_forwards(cluster, [Forward(port, "default", "late", 80)])
    assert (cluster.data / "forwards.json").read_text() == before


def test_starting_a_running_cluster_changes_nothing(cluster):
    before = {p.name: p.pid for p in status(cluster).processes}
    start(cluster)
    assert {p.name: p.pid for p in status(cluster).processes} == before


def test_concurrent_starts_both_succeed(cluster):
    outcomes: list[object] = []

    def run() -> None:
        start(cluster)
        outcomes.append(status(cluster).state)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == ["running", "running"]


def test_status_and_logs_name_every_process(cluster):
    now = status(cluster)
    assert {p.name for p in now.processes} == {"supervisor", *COMPONENTS}
    assert all(p.pid and p.rss > 0 for p in now.processes)
    assert 0 < now.pods_memory < now.memory
    assert set(logs(cluster)) == {"supervisor", *COMPONENTS}
    with pytest.raises(UsageError, match="no log 'nobody'"):
        logs(cluster, "nobody")
    json.loads(now.model_dump_json())


def test_no_key_is_readable_by_others_or_in_an_argument(cluster):
    for path in (*cluster.data.glob("pki/*"), *cluster.data.glob("config/*"), cluster.kubeconfig):
        if path.is_file():
            assert path.stat().st_mode & 0o077 == 0, path
    assert cluster.data.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("name", COMPONENTS)
def test_a_killed_process_is_restarted(core, cluster, name):
    before = {p.name: p for p in status(cluster).processes}[name]
    os.kill(before.pid, signal.SIGKILL)

    def back() -> bool:
        now = {p.name: p for p in status(cluster).processes}[name]
        return now.pid is not None and now.pid != before.pid and now.restarts > before.restarts

    eventually(back)
    start(cluster)  # waits until everything is ready again
    assert core.read_namespaced_config_map("open", "default").data == {"k": "open-value"}
    assert root_of(running_pid(cluster)).joinpath("data/from-the-pod").read_text() == "kept"


def test_the_machines_sysctls_are_unchanged(cluster):
    """Forwarding is only enabled in the namespace, where the kubelet's sysctls are plain files."""
    inside = ["nsenter", f"--net={cluster.network_namespace}", "cat", "/proc/sys/net/ipv4/ip_forward"]
    assert subprocess.run(inside, capture_output=True, text=True, check=True).stdout.strip() == "1"
    kubelet = {p.name: p for p in status(cluster).processes}["kubelet"].pid
    assert (root_of(kubelet) / "proc/sys/kernel/panic").read_text().strip() == "10"
    assert Path("/proc/self/ns/mnt").readlink() != Path(f"/proc/{kubelet}/ns/mnt").readlink()
    assert cluster.name not in Path("/proc/self/mountinfo").read_text().replace(
        str(cluster.network_namespace), ""
    )
