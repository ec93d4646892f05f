"""MinIO over pods and volumes: arguments, claims and certificate hosts for every size."""

import pytest

from infra.stores.minio_layout import MinioLayout


def layout(nodes: int, drives: int = 1, console: int | None = None) -> MinioLayout:
    return MinioLayout(
        nodes=nodes,
        drives_per_node=drives,
        service="minio",
        namespace="store",
        port=9000,
        console_port=console,
    )


@pytest.mark.parametrize(
    ("nodes", "drives", "argument"),
    [
        (1, 1, "/data"),
        (1, 4, "/data{0...3}"),
        (4, 1, "https://minio-{0...3}.minio-nodes.store.svc.cluster.local:9000/data"),
        (16, 2, "https://minio-{0...15}.minio-nodes.store.svc.cluster.local:9000/data{0...1}"),
    ],
)
def test_every_pod_gets_all_drives(nodes, drives, argument):
    arguments = layout(nodes, drives).arguments()
    assert arguments[:2] == ["server", argument]
    assert arguments[2:] == ["--address=:9000", "--certs-dir=/etc/minio"]


def test_without_the_console_tokens_are_off_too():
    assert layout(1).console_variables() == {"MINIO_BROWSER": "off", "MINIO_STS_DURATION": "1s"}
    assert layout(1).ports == {"s3": 9000}
    asked = layout(1, console=9001)
    assert asked.console_variables() == {"MINIO_BROWSER": "on"}
    assert asked.ports == {"s3": 9000, "console": 9001}
    assert "--console-address=:9001" in asked.arguments()


def test_claims_have_the_names_of_the_stateful_set():
    assert layout(1).claims == ("data-minio-0",)
    assert layout(4).claims == ("data-minio-0", "data-minio-1", "data-minio-2", "data-minio-3")
    assert layout(1, 2).claims == ("data0-minio-0", "data1-minio-0")
    assert len(set(layout(16, 16).claims)) == 256


def test_the_certificate_hosts():
    hosts = layout(4).hosts(("https://store.example.org:9443", "https://127.0.0.1:1"))
    assert "minio.store.svc.cluster.local" in hosts
    assert "*.minio-nodes.store.svc.cluster.local" in hosts
    assert "store.example.org" in hosts
    assert layout(4).endpoint == "https://minio.store.svc.cluster.local:9000"
