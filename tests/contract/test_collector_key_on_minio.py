"""`slipway model gc` with the key that the reconciling Job makes for it, and with keys for other things."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError
from support.housekeeping import FakeCluster, in_a_year, service
from support.minio import running_minio
from support.platform import outputs
from support.promotions import FakeServing, promoter_on, write_run
from support.reconciled import Job

from serving import access
from slipway.cli import app
from slipway.operations import model_removal, workspace
from storage.client import StoreAccess, open_store
from storage.keys import StoreRole
from storage.layout import alias_key, history_key, version_prefix
from storage.registry.registry import Registry

pytestmark = pytest.mark.contract
TENANTS = ("team-a", "team-ab")


class World:
    """Three promoted versions; the first is served beside the champion, the second nobody needs."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.root = job.server.client()
        serving = FakeServing(self.root)
        self.cluster = FakeCluster(serving, keys=self.secrets(StoreRole.COLLECTOR))
        promoter = promoter_on(job.server, serving, self.opened(StoreRole.PROMOTER))
        runs = [f"run-{job.stack_secret}-{number}" for number in range(3)]
        self.shadow, self.old, self.champion = (
            write_run(self.root, run, seed=seed) for seed, run in enumerate(runs)
        )
        for run in runs:
            assert promoter.promote_run(run).promoted
        uri = f"s3://models/{version_prefix('team-a', 'churn', self.shadow)}files"
        self.cluster.more = [service("shadow", uri, self.shadow)]
        self.registry = Registry(self.root, "models", "team-a")

    def opened(self, role: StoreRole, tenant: str = "team-a") -> Any:
        key = self.job.key(tenant, role)
        return open_store(StoreAccess(endpoint=self.job.server.url, region="us-east-1", key=key))

    def secrets(self, role: StoreRole, tenant: str = "team-a") -> dict[str, Any]:
        """The collector's Secret, with the key of a role."""
        return {"store-collector": self.job.key(tenant, role)}

    def stored(self) -> set[tuple[str, str]]:
        """Every object of the models bucket with its versions and delete markers."""
        listed = self.root.list_object_versions(Bucket="models")
        assert not listed["IsTruncated"]
        return {
            (each["Key"], each["VersionId"])
            for kind in ("Versions", "DeleteMarkers")
            for each in listed.get(kind, [])
        }


@pytest.fixture
def world(tmp_path, monkeypatch):
    (tmp_path / "minio").mkdir()
    with running_minio(tmp_path / "minio") as server:
        job = Job(server, tmp_path / "job", ("artifacts", "models", "data"))
        assert job.wants(*TENANTS).run() == 0, job.output
        made = World(job)
        monkeypatch.setattr(workspace, "outputs", lambda stack: outputs(server.url))
        for module in (access, model_removal):
            monkeypatch.setattr(module.Cluster, "of", lambda outputs: made.cluster)
        in_a_year(monkeypatch)
        yield made


@pytest.fixture
def gc(capsys):
    def run(*words: str) -> tuple[int, Any]:
        capsys.readouterr()
        code = app.main(["model", "gc", "--keep-history", "1", "--json", *words])
        return code, json.loads(capsys.readouterr().out)

    return run


def test_the_collectors_own_key_is_enough(world, gc):
    code, document = gc("--yes")
    assert code == 0
    assert {each["digest"]: each["action"] for each in document["versions"]} == {
        world.shadow: "keep",
        world.old: "collect",
        world.champion: "keep",
    }
    gone = version_prefix("team-a", "churn", world.old)
    assert [key for key, _ in world.stored() if key.startswith(gone)] == [], "no old version of it either"
    for digest in (world.shadow, world.champion):
        assert world.registry.verify("churn", digest).digest == digest
    held = world.registry.read_alias("churn", "champion")
    assert held is not None
    assert held.record.digest == world.champion
    assert [entry.number for entry in world.registry.history("churn")] == [1, 2, 3]
    before = world.stored()
    code, document = gc("--yes")
    assert (code, {each["action"] for each in document["versions"]}) == (0, {"keep"})
    assert world.stored() == before


def test_no_other_key_collects_anything(world, gc):
    before = world.stored()
    others = [(role, "team-a") for role in StoreRole if role is not StoreRole.COLLECTOR]
    for role, tenant in [*others, (StoreRole.COLLECTOR, "team-ab")]:
        world.cluster.keys = world.secrets(role, tenant)
        code, document = gc("--yes")
        assert (code, document["cause"]) == (1, "forbidden"), (role, tenant)
        assert document["why"].startswith("AccessDenied: "), (role, tenant)
        assert world.stored() == before, (role, tenant)
    world.cluster.keys = world.secrets(StoreRole.COLLECTOR)
    assert gc("--yes")[0] == 0
    assert world.stored() < before


def test_the_collector_deletes_for_its_tenant_alone(world):
    collector = world.opened(StoreRole.COLLECTOR)
    foreign = version_prefix("team-ab", "churn", world.old) + "manifest.json"
    world.root.put_object(Bucket="models", Key=foreign, Body=b"{}")
    world.root.put_object(Bucket="models", Key=alias_key("team-ab", "churn", "champion"), Body=b"{}")
    run = world.job.server.keys("artifacts")[0]
    alias = alias_key("team-a", "churn", "champion")
    kept = [
        ("models", alias_key("team-ab", "churn", "champion")),
        ("models", history_key("team-a", "churn", 1)),
        ("models", foreign),
        ("artifacts", run),
    ]
    for bucket, key in kept:
        version = world.root.head_object(Bucket=bucket, Key=key).get("VersionId", "null")
        for named in ({}, {"VersionId": version}):
            with pytest.raises(ClientError) as caught:
                collector.delete_object(Bucket=bucket, Key=key, **named)
            assert caught.value.response["Error"]["Code"] == "AccessDenied"
            assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
        assert world.job.server.read(bucket, key)
    version = world.root.head_object(Bucket="models", Key=alias)["VersionId"]
    with pytest.raises(ClientError, match="AccessDenied"):
        collector.delete_object(Bucket="models", Key=alias, VersionId=version)
    for own in (version_prefix("team-a", "churn", world.old) + "manifest.json", alias):
        collector.delete_object(Bucket="models", Key=own)
        assert own not in world.job.server.keys("models")


def test_the_collectors_own_key_deletes_a_model(world, capsys):
    words = ["model", "delete", "churn", "--with-aliases", "--yes"]
    world.cluster.more = []
    world.cluster.serving.live.clear()
    world.cluster.keys = world.secrets(StoreRole.PROMOTER)
    before = world.stored()
    assert app.main(words) == 1
    assert world.stored() == before
    world.cluster.keys = world.secrets(StoreRole.COLLECTOR)
    assert app.main(words) == 0
    assert world.registry.list_versions("churn") == []
    assert world.registry.read_alias("churn", "champion") is None
    assert [entry.number for entry in world.registry.history("churn")] == [1, 2, 3]
