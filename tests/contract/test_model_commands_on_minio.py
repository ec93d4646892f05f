"""The registry's commands against a real store: what they print, how they exit, what they leave."""

import json
from typing import Any

import pytest
from support.housekeeping import FakeCluster, in_a_year, service
from support.platform import outputs
from support.promotions import FakeServing, key_of, write_run

from serving import access
from serving.rollout import Promoter
from slipway.cli import app
from slipway.operations import model_removal, workspace
from storage.client import StoreAccess, open_store
from storage.layout import version_prefix
from storage.registry.model_deletion import ModelDeletion
from storage.registry.promotion_record import EarlierRecord
from storage.registry.registry import Registry

pytestmark = pytest.mark.contract


class World:
    """Two promoted runs of one model, and one that was published and never promoted."""

    def __init__(self, minio, store) -> None:
        self.store = store
        self.serving = FakeServing(store)
        self.cluster = FakeCluster(self.serving)
        self.outputs = outputs(minio.url)
        self.registry = Registry(store, "models", "team-a", by="tester")
        self.promoter = Promoter(
            self.outputs, "team-a", self.serving, store, self.registry, ask=self.serving.ask
        )
        self.old = self.promote("run-1", 0)
        self.new = self.promote("run-2", 2)

    def promote(self, run_id: str, seed: int) -> str:
        digest = write_run(self.store, run_id, seed=seed)
        self.promoter.promote_run(run_id)
        return digest


@pytest.fixture
def world(minio, monkeypatch):
    store = open_store(StoreAccess(endpoint=minio.url, key=key_of(minio), region="us-east-1"))
    for bucket in ("artifacts", "models", "data"):
        if bucket not in {found["Name"] for found in store.list_buckets()["Buckets"]}:
            store.create_bucket(Bucket=bucket)
            store.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        listed = store.list_object_versions(Bucket=bucket)
        for entry in (*listed.get("Versions", []), *listed.get("DeleteMarkers", [])):
            store.delete_object(Bucket=bucket, Key=entry["Key"], VersionId=entry["VersionId"])
    made = World(minio, store)
    monkeypatch.setattr(workspace, "outputs", lambda stack: made.outputs)
    monkeypatch.setattr(access, "open_store", lambda outputs, tenant, role: store)
    monkeypatch.setattr(model_removal.Cluster, "of", lambda outputs: made.cluster)
    yield made
    store.close()


@pytest.fixture
def call(capsys):
    def run(*words: str) -> tuple[int, Any]:
        capsys.readouterr()
        code = app.main(["model", *words])
        printed = capsys.readouterr()
        return code, json.loads(
            printed.out
        ) if "--json" in words and printed.out else printed.out + printed.err

    return run


def test_show_takes_the_first_digits_of_a_version(world, call):
    code, shown = call("show", "churn", "--json")
    assert code == 0
    assert (shown["digest"], shown["aliases"]) == (world.new, ["champion"])
    assert shown["lineage"]["run_id"] == "run-2"
    assert shown["lineage"]["data_uri"].startswith("s3://data/team-a/")
    assert shown["lineage"]["metrics"] == {"accuracy": 1.0, "f1_weighted": 1.0}, "promotion's own"
    assert (shown["by"], [file["path"] for file in shown["files"]]) == (
        "tester",
        ["model.onnx", "schema.json"],
    )
    code, shown = call("show", "churn", "--version", world.old[:12], "--json")
    assert (code, shown["digest"], shown["aliases"]) == (0, world.old, [])
    code, text = call("show", "churn")
    assert code == 0
    for part in (world.new, "run-2", "c" * 40, "accuracy", "model.onnx"):
        assert part in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("show", "nosuch"), "has no champion"),
        (("show", "churn", "--version", "abc"), "12 to 64 hexadecimal digits"),
        (("show", "churn", "--version", "0" * 12), "has no version"),
        (("versions", "nosuch"), "no version of a model"),
        (("verify",), "not clear what to verify"),
        (("verify", "churn", "--served"), "not clear what to verify"),
        (("verify", "churn", "--all", "--version", "0" * 12), "not clear what to verify"),
        (("gc", "--keep-history", "0"), "keep-history"),
        (("delete", "nosuch", "--yes"), "has no model 'nosuch'"),
        (("delete", "../x", "--yes"), "can't name a model"),
        (("show", "../x"), "can't name a model"),
    ],
)
def test_a_wrong_question_is_the_callers_mistake(world, call, words, message):
    code, text = call(*words)
    assert code == 2
    assert message in text


def test_versions_and_history_list_what_was_promoted_by_whom(world, call):
    code, found = call("versions", "churn", "--json")
    assert code == 0
    assert {each["digest"]: each["aliases"] for each in found} == {world.old: [], world.new: ["champion"]}
    code, entries = call("history", "churn", "--json")
    log = [(entry["number"], entry["digest"], entry["by"]) for entry in entries]
    assert (code, log) == (0, [(1, world.old, "tester"), (2, world.new, "tester")])
    assert len(call("history", "churn", "--last", "1", "--json")[1]) == 1
    assert world.old[:12] in call("versions", "churn")[1]
    assert "run-2" in call("history", "churn")[1]


def test_verify_exits_with_1_and_names_the_file_that_differs(world, call):
    assert call("verify", "churn", "--all")[0] == 0
    key = version_prefix("team-a", "churn", world.old) + "files/schema.json"
    world.store.put_object(Bucket="models", Key=key, Body=b"altered")
    assert call("verify", "churn")[0] == 0
    code, text = call("verify", "churn", "--all")
    assert code == 1
    assert f"schema.json of version {world.old[:12]} of churn was altered" in text
    code, checks = call("verify", "churn", "--version", world.old[:12], "--json")
    assert (code, "schema.json" in checks[0]["problem"]) == (1, True)


def test_verify_served_checks_place_digest_bytes_and_lifecycle(world, call):
    assert call("verify", "--served")[0] == 0
    good = f"s3://models/team-a/churn/versions/{world.old}/files"
    for wrong, problem in (
        (service("elsewhere", f"s3://artifacts/team-a/churn/versions/{world.old}/files", world.old), "is no"),
        (
            service("foreign", good.replace("team-a", "team-ab"), world.old),
            "no version below s3://models/team-a/",
        ),
        (service("mute", None, None), "Nothing is no version"),
        (service("volume", "pvc://claim/model", world.old), "pvc://claim/model is no version"),
        (service("other", good, world.new), f"but says that it is {world.new[:12]}"),
        (service("gone", good.replace(world.old, "0" * 64), "0" * 64), "has no version"),
    ):
        world.cluster.more = [wrong]
        code, checks = call("verify", "--served", "--json")
        assert code == 1
        assert [each["problem"] for each in checks if each["service"] == "churn"] == [""]
        assert problem in checks[-1]["problem"]
    world.cluster.more = []
    rule = {"ID": "tidy", "Status": "Enabled", "Filter": {"Prefix": "team-a/"}, "Expiration": {"Days": 9}}
    world.store.put_bucket_lifecycle_configuration(Bucket="models", LifecycleConfiguration={"Rules": [rule]})
    code, text = call("verify", "--served")
    assert (code, "Lifecycle rule 'tidy' of bucket" in text) == (1, True)
    world.store.delete_bucket_lifecycle(Bucket="models")
    world.cluster.down = True
    assert call("verify", "--served")[0] == 1


def test_gc_only_says_what_would_go_until_it_is_told_to(world, call, monkeypatch):
    in_a_year(monkeypatch)
    code, document = call("gc", "--keep-history", "1", "--json")
    assert code == 0
    assert document["deleted"] is False
    assert {each["digest"]: each["action"] for each in document["versions"]} == {
        world.old: "collect",
        world.new: "keep",
    }
    assert set(world.registry.list_versions("churn")) == {world.old, world.new}
    code, text = call("gc", "--keep-history", "1", "--model", "churn")
    assert (code, "would delete" in text, "alias champion; served by churn" in text) == (0, True, True)
    code, text = call("gc", "--keep-history", "1", "--yes")
    assert (code, "1 of 2 versions" in text) == (0, True)
    assert world.registry.list_versions("churn") == [world.new]
    world.registry.verify("churn", world.new)


def test_gc_keeps_the_young_and_what_the_log_names(world, call, monkeypatch):
    assert {each["action"] for each in call("gc", "--yes", "--json")[1]["versions"]} == {"keep"}
    in_a_year(monkeypatch)
    assert {each["action"] for each in call("gc", "--yes", "--json")[1]["versions"]} == {"keep"}
    assert len(world.registry.list_versions("churn")) == 2


def test_gc_deletes_nothing_where_it_cannot_know_what_is_served(world, call, monkeypatch):
    in_a_year(monkeypatch)
    world.cluster.down = True
    assert call("gc", "--keep-history", "1", "--yes")[0] == 1
    world.cluster.down = False
    world.cluster.more = [service("whole", "s3://models/team-a/churn", None)]
    code, text = call("gc", "--keep-history", "1", "--yes")
    assert (code, "serves what is no version" in text) == (1, True)
    world.cluster.more = [service("shadow", "s3://models/team-a/churn/x", None)]
    assert call("gc", "--keep-history", "1", "--yes")[0] == 1
    assert len(world.registry.list_versions("churn")) == 2
    good = f"s3://models/team-a/churn/versions/{world.old}/files"
    volume = service("volume", "pvc://claim/model", None)
    world.cluster.more = [service("shadow", good, world.old), volume]
    assert call("gc", "--keep-history", "1", "--yes")[0] == 0
    assert len(world.registry.list_versions("churn")) == 2


def kept(world) -> set[tuple[str, str]]:
    """Every object of the models bucket with its versions and delete markers."""
    listed = world.store.list_object_versions(Bucket="models")
    return {
        (each["Key"], each["VersionId"])
        for kind in ("Versions", "DeleteMarkers")
        for each in listed.get(kind, [])
    }


def test_a_model_that_is_served_is_never_deleted(world, call):
    before = kept(world)
    code, text = call("delete", "churn", "--with-aliases", "--yes")
    assert (code, "InferenceService churn serves it" in text) == (2, True)
    assert "kubectl -n team-a delete inferenceservice churn" in text
    world.serving.delete("team-a", "churn")
    world.cluster.more = [
        service("shadow", f"s3://models/team-a/churn/versions/{world.old}/files", world.old)
    ]
    code, text = call("delete", "churn", "--with-aliases", "--yes")
    assert (code, "InferenceService shadow serves it" in text) == (2, True)
    world.cluster.down = True
    assert call("delete", "churn", "--with-aliases", "--yes")[0] == 1
    assert kept(world) == before


def test_a_model_is_deleted_by_order_and_its_log_stays(world, call):
    world.serving.delete("team-a", "churn")
    before = kept(world)
    code, text = call("delete", "churn", "--yes")
    assert (code, f"Aliases point to it: champion at {world.new[:12]}." in text) == (2, True)
    assert "--with-aliases" in text
    code, document = call("delete", "churn", "--with-aliases", "--json")
    assert (code, document["deleted"], document["aliases"]) == (0, False, {"champion": world.new})
    assert {each["digest"]: each["action"] for each in document["versions"]} == {
        world.old: "collect",
        world.new: "collect",
    }
    assert kept(world) == before, "only lists what would be deleted"
    code, text = call("delete", "churn", "--with-aliases", "--yes")
    assert (code, "2 of 2 versions" in text) == (0, True)
    assert {key.split("/")[2] for key, _ in kept(world)} == {"aliases", "history"}
    assert world.registry.read_alias("churn", "champion") is None
    assert [entry.digest for entry in world.registry.history("churn")] == [world.old, world.new]
    assert call("list", "--json")[1] == []
    assert [each["model"] for each in call("list", "--all", "--json")[1]] == ["churn"]
    assert call("delete", "churn", "--yes")[0] == 2, "there is nothing left"


def test_a_deleted_model_can_be_promoted_again(world, call):
    world.serving.delete("team-a", "churn")
    assert call("delete", "churn", "--with-aliases", "--yes")[0] == 0
    assert world.promote("run-4", 4)
    assert world.registry.read_alias("churn", "champion").record.number == 1
    assert [entry.number for entry in world.registry.history("churn")] == [1, 2, 3]


def test_an_alias_that_moves_during_a_deletion_stops_it(world, call, monkeypatch):
    world.serving.delete("team-a", "churn")
    plan = ModelDeletion.plan

    def moved(self, model, **named):
        contents = plan(self, model, **named)
        held = world.registry.read_alias("churn", "champion")
        entry = world.registry.append_history("churn", "restored", world.old, EarlierRecord())
        world.registry.move_alias("churn", "champion", world.old, expected=held, history=entry.number)
        return contents

    monkeypatch.setattr(ModelDeletion, "plan", moved)
    code, text = call("delete", "churn", "--with-aliases", "--yes")
    assert (code, "was moved meanwhile" in text) == (1, True)
    assert set(world.registry.list_versions("churn")) == {world.old, world.new}


def test_a_version_promoted_during_a_deletion_stays(world, call, monkeypatch):
    world.serving.delete("team-a", "churn")
    plan = ModelDeletion.plan

    def promoted(self, model, **named):
        contents = plan(self, model, **named)
        world.registry.append_history("churn", "promoted", world.new, EarlierRecord())
        return contents

    monkeypatch.setattr(ModelDeletion, "plan", promoted)
    code, document = call("delete", "churn", "--with-aliases", "--yes", "--json")
    assert code == 0
    assert {each["digest"]: each["action"] for each in document["versions"]} == {
        world.old: "collect",
        world.new: "keep",
    }
    assert world.registry.list_versions("churn") == [world.new]
