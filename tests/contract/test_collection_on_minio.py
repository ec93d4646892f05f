"""Garbage collection against a real store: what goes, what stays, races, and kills on the way."""

from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import ClientError
from support.candidates import lineage

from slipway.core.errors import FailedError, UsageError
from storage.layout import history_key, version_prefix
from storage.registry.collection import COLLECT, KEEP, RESTORE, Collector
from storage.registry.model_files import stage
from storage.registry.promotion_record import EarlierRecord
from storage.registry.registry import Registry
from storage.registry.version_uses import Window

pytestmark = pytest.mark.contract
WINDOW = Window(entries=1, days=0, grace_days=7)
LATER = timedelta(days=30)


class KilledError(BaseException):
    """Stands for a process that is gone."""


@pytest.fixture
def bucket(client, bucket):
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    return bucket


class World:
    """A tenant's models, and a collector that looks at them in a month."""

    def __init__(self, client, bucket: str) -> None:
        self.client, self.bucket = client, bucket
        self.registry = Registry(client, bucket, "team-a", by="tester")
        self.served: dict[str, dict[str, str]] = {}
        self.now = datetime.now(UTC) + LATER

    def collector(self, client=None) -> Collector:
        return Collector(
            client or self.client, self.bucket, "team-a", lambda: self.served, now=lambda: self.now
        )

    def publish(self, content: str) -> str:
        for name, body in (("model.pkl", content.encode()), ("schema.json", b"{}")):
            self.client.put_object(Bucket="runs", Key=f"m-{content}/{name}", Body=body)
        with stage(self.client, f"s3://runs/m-{content}") as staged:
            return self.registry.publish("iris", staged, lineage()).digest

    def promote(self, digest: str) -> None:
        entry = self.registry.append_history("iris", "promoted", digest, EarlierRecord())
        held = self.registry.read_alias("iris", "champion")
        self.registry.move_alias("iris", "champion", digest, expected=held, history=entry.number)

    def left(self, digest: str) -> list[str]:
        """Everything below a digest, old versions and delete markers included."""
        found = self.client.list_object_versions(
            Bucket=self.bucket, Prefix=version_prefix("team-a", "iris", digest)
        )
        return [each["Key"] for kind in ("Versions", "DeleteMarkers") for each in found.get(kind, [])]

    def actions(self, window: Window = WINDOW) -> dict[str, str]:
        return {verdict.stored.digest: verdict.action for verdict in self.collector().plan(window)}

    def collect(self, client=None, window: Window = WINDOW) -> dict[str, str]:
        collector = self.collector(client)
        return {each.digest: each.action for each in collector.carry_out(collector.plan(window))}


@pytest.fixture
def world(client, bucket):
    return World(client, bucket)


def test_what_nothing_needs_goes_for_good(world):
    old, before, now = (world.publish(name) for name in ("a", "b", "c"))
    for digest in (old, before, now):
        world.promote(digest)
    assert world.actions() == {old: COLLECT, before: COLLECT, now: KEEP}
    assert world.actions(Window(entries=2, days=0)) == {old: COLLECT, before: KEEP, now: KEEP}
    assert set(world.registry.list_versions("iris")) == {old, before, now}, "a plan changes nothing"
    world.served = {"iris": {"iris": before}}
    assert world.collect() == {old: COLLECT, before: KEEP, now: KEEP}
    assert world.left(old) == []
    assert set(world.registry.list_versions("iris")) == {before, now}
    for digest in (before, now):
        world.registry.verify("iris", digest)
    assert world.registry.read_alias("iris", "champion").record.digest == now
    assert [entry.digest for entry in world.registry.history("iris")] == [old, before, now]
    assert world.collect() == {before: KEEP, now: KEEP}


def test_each_version_that_stays_says_why(world):
    digest = world.publish("why")
    world.promote(digest)
    world.served = {"iris": {"shadow": digest}}
    [verdict] = world.collector().plan(WINDOW)
    assert verdict.reasons == ("alias champion", "served by shadow", "log entry 1")
    world.now = datetime.now(UTC)
    [verdict] = world.collector().plan(WINDOW)
    assert verdict.reasons[-1] == "younger than 7 days"


def test_a_torn_upload_goes_after_the_grace_and_not_before(world, client):
    prefix = version_prefix("team-a", "iris", "a" * 64)
    client.put_object(Bucket=world.bucket, Key=prefix + "files/model.pkl", Body=b"torn")
    world.now = datetime.now(UTC) + timedelta(days=6)
    assert world.collect() == {"a" * 64: KEEP}
    world.now = datetime.now(UTC) + timedelta(days=8)
    assert world.collect() == {"a" * 64: COLLECT}
    assert world.left("a" * 64) == []


def test_a_bucket_that_keeps_no_versions_is_refused_by_name(world, client):
    digest = world.publish("plain")
    client.put_bucket_versioning(Bucket=world.bucket, VersioningConfiguration={"Status": "Suspended"})
    with pytest.raises(FailedError, match=f"in bucket {world.bucket}: it keeps no versions"):
        world.collect()
    assert world.left(digest)


def test_nothing_goes_where_the_cluster_cannot_be_asked(world):
    digest = world.publish("gate")

    def down() -> dict:
        raise FailedError("The cluster did not answer.")

    plan = world.collector().plan(WINDOW)
    closed = Collector(world.client, world.bucket, "team-a", down, now=lambda: world.now)
    with pytest.raises(FailedError, match="did not answer"):
        closed.plan(WINDOW)
    with pytest.raises(FailedError, match="did not answer"):
        closed.carry_out(plan)
    assert world.registry.verify("iris", digest).digest == digest, "its manifest is back"
    assert len(world.left(digest)) == 3


class Between:
    """A client that lets something happen once, before or after a call that a test picks."""

    def __init__(self, client, when, happens, *, after: bool = False) -> None:
        self._client, self._when, self._happens, self._after = client, when, happens, after

    def __getattr__(self, name):
        call = getattr(self._client, name)

        def watched(*arguments, **named):
            hit = self._happens is not None and self._when(name, named)
            happens = self._happens
            if hit:
                self._happens = None
            if hit and not self._after:
                happens()
            answer = call(*arguments, **named)
            if hit and self._after:
                happens()
            return answer

        return watched if name in {"delete_object", "get_object", "put_object"} else call


def hides(name, named) -> bool:
    return name == "delete_object" and "VersionId" not in named


def deletes_for_good(name, named) -> bool:
    return name == "delete_object" and "VersionId" in named


def test_a_promotion_before_hiding_keeps_its_model(world):
    digest = world.publish("before")
    racing = Between(world.client, hides, lambda: world.promote(digest))
    assert world.collect(racing) == {digest: KEEP}
    assert world.registry.verify("iris", digest).digest == digest
    assert world.registry.read_alias("iris", "champion").record.digest == digest
    assert len(world.left(digest)) == 3, "no delete marker is left"


def test_a_promotion_of_a_hidden_manifest_moves_nothing(world):
    digest, refused = world.publish("after"), []

    def promote() -> None:
        with pytest.raises(UsageError, match="has no version") as raised:
            world.promote(digest)
        refused.append(raised)

    assert world.collect(Between(world.client, hides, promote, after=True)) == {digest: KEEP}
    assert len(refused) == 1
    assert world.registry.read_alias("iris", "champion") is None
    assert world.registry.verify("iris", digest).digest == digest, "both noticed: nothing was lost"
    world.promote(digest)


def test_a_promotion_after_the_last_look_is_refused(world):
    digest = world.publish("late")
    ends = []

    def promote() -> None:
        with pytest.raises(UsageError, match="has no version"):
            world.promote(digest)
        ends.append("refused")

    assert world.collect(Between(world.client, deletes_for_good, promote)) == {digest: COLLECT}
    assert ends == ["refused"]
    assert world.left(digest) == []
    assert world.registry.read_alias("iris", "champion") is None
    assert world.publish("late") == digest
    world.promote(digest)
    assert world.registry.verify("iris", digest).digest == digest


@pytest.mark.parametrize("after", [False, True])
def test_a_version_republished_during_its_deletion_is_whole(world, after):
    """Files are deleted by the ids that they had before: the new ones have others."""
    digest = world.publish("again")
    racing = Between(world.client, deletes_for_good, lambda: world.publish("again"), after=after)
    assert world.collect(racing) == {digest: COLLECT}
    assert world.registry.verify("iris", digest).digest == digest
    assert len(world.left(digest)) == 3


def test_a_log_entry_after_hiding_is_noticed_by_any_clock(world, monkeypatch):
    digest = world.publish("skewed")
    newer = world.publish("newer")

    def append() -> None:
        # By a machine whose clock is years behind, and not the last of the log.
        world.registry.append_history("iris", "promoted", digest, EarlierRecord())
        key = history_key("team-a", "iris", 1)
        entry = world.client.get_object(Bucket=world.bucket, Key=key)["Body"].read().decode()
        at = world.registry.read_history("iris", 1).at.isoformat().replace("+00:00", "Z")
        assert at in entry
        world.client.put_object(
            Bucket=world.bucket, Key=key, Body=entry.replace(at, "2001-01-01T00:00:00Z").encode()
        )
        world.registry.append_history("iris", "promoted", newer, EarlierRecord())

    ends = world.collect(Between(world.client, hides, append))
    assert ends[digest] == KEEP
    assert world.registry.verify("iris", digest).digest == digest


@pytest.mark.parametrize("step", range(6))
def test_a_killed_collection_converges_on_a_rerun(world, step):
    digest, kept = world.publish(f"killed{step}"), world.publish(f"kept{step}")
    world.promote(kept)
    calls = []

    def is_step(name, named) -> bool:
        if name == "delete_object":
            calls.append(named)
        return name == "delete_object" and len(calls) == step + 1

    def die() -> None:
        raise KilledError

    # One to hide, then the manifest, two files, and the marker: the sixth never comes.
    if step < 5:
        with pytest.raises(KilledError):
            world.collect(Between(world.client, is_step, die))
        assert world.left(digest)
    world.collect()
    assert world.left(digest) == []
    assert world.registry.list_versions("iris") == [kept]
    world.registry.verify("iris", kept)


def test_a_needed_version_hidden_by_a_killed_run_comes_back(world, client):
    digest = world.publish("hidden")
    world.promote(digest)
    manifest = version_prefix("team-a", "iris", digest) + "manifest.json"
    client.delete_object(Bucket=world.bucket, Key=manifest)
    client.delete_object(Bucket=world.bucket, Key=manifest)
    assert world.registry.list_versions("iris") == []
    world.now = datetime.now(UTC) + timedelta(minutes=5)
    [verdict] = world.collector().plan(WINDOW)
    assert (verdict.action, verdict.reasons[-1]) == (KEEP, "being collected by another")
    world.now = datetime.now(UTC) + LATER
    assert world.actions() == {digest: RESTORE}
    assert world.collect() == {digest: RESTORE}
    assert world.registry.verify("iris", digest).digest == digest
    assert world.collect() == {digest: KEEP}


def test_two_collectors_at_once_leave_nothing_and_break_nothing(world):
    digest, kept = world.publish("two"), world.publish("kept")
    world.promote(kept)
    racing = Between(world.client, deletes_for_good, world.collect)
    assert world.collect(racing)[digest] == COLLECT
    assert world.left(digest) == []
    world.registry.verify("iris", kept)


def test_a_store_that_fails_half_way_is_named(world, monkeypatch):
    digest = world.publish("full")

    def fails() -> None:
        raise ClientError({"Error": {"Code": "SlowDown"}}, "DeleteObject")

    with pytest.raises(FailedError, match="SlowDown"):
        world.collect(Between(world.client, deletes_for_good, fails))
    world.collect()
    assert world.left(digest) == []
