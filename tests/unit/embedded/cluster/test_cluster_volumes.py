import asyncio
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedded.cluster.bootstrap import PROVISIONER
from embedded.cluster.diagnosis import useful_line
from embedded.cluster.readiness import node_is_ready
from embedded.cluster.volumes import CLAIMS, VOLUMES, Volumes, is_released, needs_volume, volume_for

UID = "afaca662-679d-4ec6-ac7d-9ce35b278787"
CLASS = {"reclaimPolicy": "Delete"}


def claim(**changes):
    manifest = {
        "metadata": {
            "name": "data",
            "namespace": "team-a",
            "uid": UID,
            "annotations": {"volume.kubernetes.io/storage-provisioner": PROVISIONER},
        },
        "spec": {
            "storageClassName": "standard",
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }
    manifest["spec"].update(changes)
    return manifest


def volume(name=f"pvc-{UID}", phase="Released", policy="Delete", by=PROVISIONER):
    return {
        "metadata": {"name": name, "annotations": {"pv.kubernetes.io/provisioned-by": by}},
        "spec": {"persistentVolumeReclaimPolicy": policy},
        "status": {"phase": phase},
    }


class Cluster:
    """A fake API server with claims and volumes."""

    def __init__(self, claims=(), volumes=()):
        self.claims = list(claims)
        self.volumes = {v["metadata"]["name"]: v for v in volumes}
        self.merged = []

    async def get(self, path):
        if path == CLAIMS:
            return {"items": self.claims}
        if path == VOLUMES:
            return {"items": list(self.volumes.values())}
        return CLASS

    async def create(self, path, manifest):
        assert path == VOLUMES
        new = manifest["metadata"]["name"] not in self.volumes
        self.volumes.setdefault(manifest["metadata"]["name"], manifest)
        return new

    async def merge(self, path, changes):
        self.merged.append(path)
        if path.startswith(f"{VOLUMES}/"):
            self.volumes[path.removeprefix(f"{VOLUMES}/")]["spec"] |= changes["spec"]
        else:
            [claimed] = self.claims
            claimed["status"] |= changes["status"]

    async def delete(self, path):
        self.volumes.pop(path.removeprefix(f"{VOLUMES}/"), None)


def reconcile(cluster, root):
    asyncio.run(Volumes(cluster, root, "node").reconcile())


def test_a_claim_gets_a_folder_and_a_volume_bound_to_it(tmp_path):
    cluster = Cluster([claim()])
    reconcile(cluster, tmp_path)
    folder = tmp_path / f"pvc-{UID}"
    assert folder.is_dir()
    assert folder.stat().st_mode & 0o777 == 0o777
    [created] = cluster.volumes.values()
    assert created["spec"]["local"] == {"path": str(folder)}
    assert created["spec"]["claimRef"]["uid"] == UID
    reconcile(cluster, tmp_path)
    assert len(cluster.volumes) == 1


@pytest.mark.parametrize(
    "other",
    [
        claim(volumeName="taken"),
        claim(volumeMode="Block"),
        {**claim(), "metadata": {"name": "x", "annotations": {}}},
    ],
)
def test_other_claims_are_ignored(tmp_path, other):
    assert not needs_volume(other)
    reconcile(Cluster([other]), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_released_volume_is_deleted_with_its_folder(tmp_path):
    folder = tmp_path / f"pvc-{UID}"
    folder.mkdir()
    (folder / "file").write_text("x")
    cluster = Cluster(volumes=[volume()])
    reconcile(cluster, tmp_path)
    assert not folder.exists()
    assert cluster.volumes == {}


def bound(size, **changes):
    """A cluster with a bound claim that now requests `size`."""
    requested = claim()
    existing = volume_for(requested, {"reclaimPolicy": "Delete"}, "/x", "node") | changes
    requested["spec"] |= {"volumeName": f"pvc-{UID}", "resources": {"requests": {"storage": size}}}
    requested["status"] = {"phase": "Bound", "capacity": {"storage": "1Gi"}}
    return Cluster([requested], [existing])


def test_a_larger_claim_is_resized(tmp_path):
    cluster = bound("4Gi")
    reconcile(cluster, tmp_path)
    assert cluster.volumes[f"pvc-{UID}"]["spec"]["capacity"] == {"storage": "4Gi"}
    assert cluster.claims[0]["status"]["capacity"] == {"storage": "4Gi"}
    assert cluster.merged == [
        f"{VOLUMES}/pvc-{UID}",
        "/api/v1/namespaces/team-a/persistentvolumeclaims/data/status",
    ]
    reconcile(cluster, tmp_path)
    assert len(cluster.merged) == 2, "once"


def test_an_interrupted_resize_is_completed(tmp_path):
    cluster = bound("4Gi")
    cluster.volumes[f"pvc-{UID}"]["spec"]["capacity"] = {"storage": "4Gi"}
    reconcile(cluster, tmp_path)
    assert cluster.claims[0]["status"]["capacity"] == {"storage": "4Gi"}


@pytest.mark.parametrize(
    "cluster",
    [
        bound("1Gi"),
        bound(
            "4Gi", metadata={"name": f"pvc-{UID}", "annotations": {"pv.kubernetes.io/provisioned-by": "x"}}
        ),
        bound("4Gi", spec={"capacity": {"storage": "1Gi"}, "claimRef": {"uid": "another"}}),
    ],
    ids=["has it", "of another provisioner", "of another claim"],
)
def test_other_volumes_are_not_resized(tmp_path, cluster):
    reconcile(cluster, tmp_path)
    assert cluster.merged == []


@pytest.mark.parametrize("kept", [volume(phase="Bound"), volume(policy="Retain"), volume(by="another")])
def test_bound_retained_and_foreign_volumes_are_kept(tmp_path, kept):
    folder = tmp_path / f"pvc-{UID}"
    folder.mkdir()
    assert not is_released(kept)
    reconcile(Cluster(volumes=[kept]), tmp_path)
    assert folder.exists()


@given(st.text(min_size=1).filter(lambda text: text != f"pvc-{UID}"))
def test_a_name_can_not_escape_the_folder(tmp_path_factory, name):
    root = tmp_path_factory.mktemp("volumes")
    inner = root / "volumes"
    inner.mkdir()
    (root / "precious").mkdir()
    reconcile(Cluster(volumes=[volume(name=name), volume(name="../precious"), volume(name=".")]), inner)
    assert (root / "precious").is_dir()
    assert inner.is_dir()


@given(st.uuids())
def test_a_volume_is_named_after_its_claim(uid: UUID):
    manifest = claim()
    manifest["metadata"]["uid"] = str(uid)
    assert volume_for(manifest, CLASS, "/x", "node")["metadata"]["name"] == f"pvc-{uid}"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["I1122 12:00:00 fine", "E1122 12:00:01 no such port", "I1122 12:00:02 bye"], "no such port"),
        (['{"level":"info"}', '{"level":"fatal","msg":"corrupt"}', '{"level":"info","x":1}'], "corrupt"),
        (["listen tcp: bind: permission denied", "goroutine 1"], "permission denied"),
        (["just", "words", ""], "words"),
        ([], "empty"),
    ],
)
def test_the_useful_line_of_a_log_is_quoted(lines, expected):
    assert expected in useful_line(lines)


def test_a_node_is_ready_only_with_a_recent_heartbeat():
    beat = {"type": "Ready", "status": "True", "lastHeartbeatTime": "2026-11-22T12:00:00Z"}
    at = 1795348800.0
    assert node_is_ready({"status": {"conditions": [beat]}}, at + 0.9), "heartbeats are whole seconds"
    assert not node_is_ready({"status": {"conditions": [beat]}}, at + 1)
    assert not node_is_ready({"status": {"conditions": [{**beat, "status": "Unknown"}]}}, 0)
    assert not node_is_ready({}, 0)
