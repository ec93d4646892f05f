"""A stack's state and settings there and back, with the real Pulumi CLI and a real store between."""

import io
import json
import os
import subprocess
from hashlib import sha256

import pytest
import yaml
from pydantic import SecretStr
from support.promotions import key_of
from support.pulumi_cli import PASSPHRASE, environment, project

from infra.stack.stack import Stack
from slipway.cli import app
from slipway.core.errors import FailedError, UsageError
from slipway.operations import backup, restore, workspace
from slipway.operations.backup import Snapshot
from slipway.operations.backup_key import signing_key
from storage.backup.finish import finish
from storage.backup.index import StackFile
from storage.backup.place import BackupPlace
from storage.backup.pool import Pool
from storage.client import StoreAccess, open_store
from storage.keys import backup_key

pytestmark = pytest.mark.contract

CANARY = "a value that only the state may know"
PROGRAM = f"""\
    import pulumi
    class Inner(pulumi.ComponentResource):
        def __init__(self):
            super().__init__("test:inner:Inner", "inner")
            self.register_outputs({{"secret": pulumi.Output.secret({CANARY!r})}})
    Inner()
    pulumi.export("secret", pulumi.Output.secret({CANARY!r}))
    """


@pytest.fixture(scope="module")
def place(minio):
    client = open_store(StoreAccess(endpoint=minio.url, key=key_of(minio), region="us-east-1"))
    client.create_bucket(Bucket="backups")
    yield BackupPlace.at(client, "s3://backups")
    client.close()


@pytest.fixture(scope="module")
def lost(tmp_path_factory):
    """A stack with resources, as it was before it was lost."""
    root = tmp_path_factory.mktemp("lost")
    stack = Stack("local", project(root / "project", PROGRAM), environment(root / "env", PASSPHRASE))
    stack.init()
    (stack.project / "tenants/team-a.yaml").write_text("name: team-a\n")
    stack.up()
    return stack


def snapshot_of(stack: Stack, place: BackupPlace, key: SecretStr) -> Snapshot:
    """Its files alone; there are no models."""
    taken = finish(
        Pool(place),
        key,
        stack="local",
        versions=("0.1.0", 2),
        tenants=(),
        objects=(),
        damaged=(),
        files=backup._stack_files(stack),
    )
    return Snapshot(place, taken.id, place.index("local", taken.id))


@pytest.fixture(scope="module")
def snapshot(lost, place):
    return snapshot_of(lost, place, backup_key(lost.stack_settings.secret().get_secret_value()))


@pytest.fixture
def fresh(tmp_path):
    """The same project on a machine that has nothing but the passphrase."""
    folder = project(tmp_path / "project", PROGRAM)
    return Stack("local", folder, environment(tmp_path / "env", PASSPHRASE))


def secret_of(stack: Stack) -> str:
    return subprocess.run(
        ["pulumi", "config", "get", "slipway:secret", "-s", "local"],
        cwd=stack.project, env={**os.environ, **stack.env}, capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip


def test_no_secret_is_in_what_was_written(lost, snapshot, minio):
    stored = b"".join(minio.read("backups", key) for key in minio.keys("backups"))
    secret = secret_of(lost)
    assert len(secret) >= 43, "the control: there is one"
    for value in (secret, CANARY, PASSPHRASE, minio.secret_key):
        assert value.encode() not in stored
    assert b'"ciphertext"' in stored, "the state is there, with its secrets encrypted"


def test_settings_and_state_come_back(lost, snapshot, fresh):
    outcomes = {each.name: each.outcome for each in restore.restore_files(snapshot, fresh.project)}
    assert outcomes == {"Pulumi.local.yaml": "restored", "tenants/team-a.yaml": "restored"}
    assert restore.restore_state(snapshot, fresh) == len(lost.resources()) > 0
    assert fresh.resources() == lost.resources()
    assert secret_of(fresh) == secret_of(lost), "every key of the platform derives from it"
    assert set(fresh.preview().changes) == {"same"}
    again = {each.outcome for each in restore.restore_files(snapshot, fresh.project)}
    assert again == {"unchanged"}


def test_a_state_never_replaces_one_that_has_resources(snapshot, fresh):
    restore.restore_files(snapshot, fresh.project)
    restore.restore_state(snapshot, fresh)
    before = fresh.export()
    with pytest.raises(UsageError, match="has 2 resources") as caught:
        restore.restore_state(snapshot, fresh)
    assert "slipway destroy local" in caught.value.fix
    assert fresh.export() == before


def test_an_existing_file_is_kept_and_other_settings_refused(snapshot, fresh):
    other = fresh.project / "tenants/team-a.yaml"
    other.write_text("name: team-a\nkey_generation: 2\n")
    fresh.init()
    mine = fresh.settings.read_bytes()
    outcomes = {each.name: each.outcome for each in restore.restore_files(snapshot, fresh.project)}
    assert outcomes == {"Pulumi.local.yaml": "kept, differs", "tenants/team-a.yaml": "kept, differs"}
    assert "key_generation" in other.read_text()
    with pytest.raises(UsageError, match="not the one of the snapshot"):
        restore.restore_state(snapshot, fresh)
    assert fresh.settings.read_bytes() == mine


def test_another_passphrase_keeps_the_settings_secret(snapshot, tmp_path):
    stack = Stack(
        "local", project(tmp_path / "project", PROGRAM), environment(tmp_path / "env", "another one")
    )
    restore.restore_files(snapshot, stack.project)
    with pytest.raises(FailedError, match="can't be read here") as caught:
        restore.restore_state(snapshot, stack)
    assert "docs/backup.md" in caught.value.fix
    assert "secure" in yaml.safe_load(stack.settings.read_text())["config"]["slipway:secret"]
    assert stack.resources() == ()


def test_the_state_of_another_stack_is_refused(snapshot, fresh):
    stack = Stack("other", fresh.project, fresh.env)
    stack.settings.write_bytes(snapshot.place.read(snapshot.index.file("settings.yaml")))
    with pytest.raises(UsageError, match="not one of stack other"):
        restore.restore_state(snapshot, stack)


# --- who signed it ---------------------------------------------------------------------------------------


@pytest.fixture
def here(monkeypatch):
    """Say which checkout a command runs in."""

    def at(stack: Stack) -> None:
        monkeypatch.setattr(workspace, "project", lambda: stack.project)
        monkeypatch.setattr(workspace, "tool_environment", lambda *_, **__: stack.env)

    return at


def test_stack_file_and_snapshot_give_the_same_key(lost, snapshot, fresh, place, here):
    made = backup_key(secret_of(lost))
    here(lost)
    assert signing_key("local", place, snapshot.id) == made, "of the stack that is up"
    here(fresh)
    assert signing_key("local", place, snapshot.id) == made, "of the passphrase alone"
    assert not fresh.settings.exists()
    restore.restore_files(snapshot, fresh.project)
    assert signing_key("local", place, snapshot.id) == made, "of its settings, without a state"
    assert not fresh.exists()
    assert place.index("local", snapshot.id, made) == snapshot.index


def test_without_the_passphrase_no_signature_is_believed(snapshot, place, tmp_path, here):
    here(Stack("local", project(tmp_path / "project", PROGRAM), environment(tmp_path / "env", "another one")))
    with pytest.raises(FailedError, match="signature can't be checked") as caught:
        signing_key("local", place, snapshot.id)
    assert "passphrase" in caught.value.fix
    assert PASSPHRASE not in str(caught.value)


def altered(snapshot, place, change) -> str:
    """A snapshot with other settings, by somebody who may write there and knows no passphrase."""
    settings = yaml.safe_load(place.read(snapshot.index.file("settings.yaml")))
    change(settings)
    content = yaml.safe_dump(settings).encode()
    blob = StackFile(name="settings.yaml", size=len(content), sha256=sha256(content).hexdigest())
    place.put(io.BytesIO(content), blob)
    files = [blob, *(each for each in snapshot.index.files if each.name != "settings.yaml")]
    return place.write(snapshot.index.model_copy(update={"files": tuple(files)}), backup_key("known" * 9))


def test_settings_with_a_foreign_secret_vouch_for_nothing(snapshot, place, fresh, here):
    """In clear, as another secret of the same stack, or under a key that their maker shares."""
    here(fresh)
    state = json.loads(place.read(snapshot.index.file("state.json")))
    other = state["deployment"]["resources"][0]["outputs"]["secret"]["ciphertext"]
    for value, words in (("known" * 9, "plain text"), ({"secure": other}, "can't be trusted")):
        identity = altered(snapshot, place, lambda s, v=value: s["config"].update({"slipway:secret": v}))
        with pytest.raises(UsageError, match=words):
            signing_key("local", place, identity)
    identity = altered(snapshot, place, lambda s: s.update(secretsprovider="awskms://alias/shared"))
    with pytest.raises(UsageError, match="signature can't be checked"):
        signing_key("local", place, identity)


# --- the commands ----------------------------------------------------------------------------------------


def test_the_commands_check_the_signature(lost, place, minio, here, monkeypatch, capsys):
    here(lost)
    monkeypatch.setenv(backup.ACCESS_KEY, minio.access_key)
    monkeypatch.setenv(backup.SECRET_KEY, minio.secret_key)
    own = BackupPlace.at(place.client, "s3://backups/of/commands")
    made = backup_key(secret_of(lost))
    old, new = snapshot_of(lost, own, made), snapshot_of(lost, own, made)
    there = sorted(minio.keys("backups", own.prefix))

    def run(*words: str) -> tuple[int, dict[str, object]]:
        way = ["--from", f"s3://backups/{own.prefix}", "--endpoint", minio.url, "--json"]
        code = app.main(["backup", *words, "local", *way])
        return code, json.loads(capsys.readouterr().out)

    prune = ("prune", "--keep", "1", "--keep-days", "0")
    strangers = snapshot_of(lost, own, backup_key("the secret of a stranger"))
    for words in (("verify",), prune, (*prune, "--yes")):
        code, document = run(*words)
        assert code == 1
        reason = f"{strangers.id} was not signed with the secret of stack local"
        assert reason in f"{document['error']} {document['why']}"
    assert run("verify", "--unsigned")[0] == 0
    own.forget("local", strangers.id)
    assert sorted(minio.keys("backups", own.prefix)) == there

    code, document = run(*prune)
    assert code == 0
    assert document["removed"] is False
    assert {each["snapshot"]: each["action"] for each in document["snapshots"]} == {
        old.id: "remove",
        new.id: "keep",
    }
    assert sorted(minio.keys("backups", own.prefix)) == there, "a dry run by default"
    assert run(*prune, "--yes")[0] == 0
    assert own.snapshots() == [("local", new.id)]
    assert run("verify")[1] == {"snapshot": new.id, "faults": []}
