"""A stack's state and settings there and back, with the real Pulumi CLI and a real store between."""

import os
import subprocess
import textwrap
from pathlib import Path

import pytest
import yaml
from support.minio import running_minio
from support.promotions import key_of
from support.pulumi_cli import PASSPHRASE, Project

from infra.stack import Stack
from slipway import backup
from slipway.backup import Snapshot
from storage.backup.finish import finish
from storage.backup.place import BackupPlace
from storage.backup.pool import Pool
from storage.client import StoreAccess, open_store
from storage.errors import FailedError, UsageError

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


def project(folder: Path) -> Path:
    (folder / "stacks").mkdir(parents=True)
    (folder / "tenants").mkdir()
    (folder / "Pulumi.yaml").write_text("name: slipway\nruntime: python\nmain: program.py\n")
    (folder / "stacks/local.yaml").write_text("config:\n  slipway:platform:\n    environment: local\n")
    (folder / "program.py").write_text(textwrap.dedent(PROGRAM))
    return folder


def surroundings(folder: Path, passphrase: str) -> dict[str, str]:
    """What `embedded.session` gives: a backend of files, and a passphrase in a file beside it."""
    folder.mkdir()
    made = dict(Project(folder).env)
    made.pop("PULUMI_CONFIG_PASSPHRASE")
    (folder / "passphrase").write_text(passphrase)
    return {**made, "PULUMI_CONFIG_PASSPHRASE_FILE": str(folder / "passphrase")}


@pytest.fixture(scope="module")
def minio(tmp_path_factory):
    with running_minio(tmp_path_factory.mktemp("minio")) as server:
        yield server


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
    stack = Stack("local", project(root / "project"), surroundings(root / "env", PASSPHRASE))
    stack.init()
    (stack.project / "tenants/team-a.yaml").write_text("name: team-a\n")
    stack.up()
    return stack


@pytest.fixture(scope="module")
def snapshot(lost, place):
    taken = finish(
        Pool(place),
        stack="local",
        versions=("0.1.0", 2),
        tenants=(),
        objects=(),
        damaged=(),
        files=backup._stack_files(lost),
    )
    return Snapshot(place, taken.id, place.index("local", taken.id))


@pytest.fixture
def fresh(tmp_path):
    """The same project on a machine that has nothing but the passphrase."""
    folder = project(tmp_path / "project")
    return Stack("local", folder, surroundings(tmp_path / "env", PASSPHRASE))


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
    outcomes = {each.name: each.outcome for each in backup.restore_files(snapshot, fresh.project)}
    assert outcomes == {"Pulumi.local.yaml": "restored", "tenants/team-a.yaml": "restored"}
    assert backup.restore_state(snapshot, fresh) == len(lost.resources()) > 0
    assert fresh.resources() == lost.resources()
    assert secret_of(fresh) == secret_of(lost), "every key of the platform derives from it"
    assert set(fresh.preview().changes) == {"same"}
    again = {each.outcome for each in backup.restore_files(snapshot, fresh.project)}
    assert again == {"unchanged"}


def test_a_state_never_replaces_one_that_has_resources(snapshot, fresh):
    backup.restore_files(snapshot, fresh.project)
    backup.restore_state(snapshot, fresh)
    before = fresh.export()
    with pytest.raises(UsageError, match="has 2 resources") as caught:
        backup.restore_state(snapshot, fresh)
    assert "slipway destroy local" in caught.value.fix
    assert fresh.export() == before


def test_a_file_that_is_there_is_kept_and_the_state_does_not_go_with_other_settings(snapshot, fresh):
    other = fresh.project / "tenants/team-a.yaml"
    other.write_text("name: team-a\nkey_generation: 2\n")
    fresh.init()
    mine = fresh.settings.read_bytes()
    outcomes = {each.name: each.outcome for each in backup.restore_files(snapshot, fresh.project)}
    assert outcomes == {"Pulumi.local.yaml": "kept, differs", "tenants/team-a.yaml": "kept, differs"}
    assert "key_generation" in other.read_text()
    with pytest.raises(UsageError, match="not the one of the snapshot"):
        backup.restore_state(snapshot, fresh)
    assert fresh.settings.read_bytes() == mine


def test_another_passphrase_is_said_and_the_settings_keep_their_secret(snapshot, tmp_path):
    stack = Stack("local", project(tmp_path / "project"), surroundings(tmp_path / "env", "another one"))
    backup.restore_files(snapshot, stack.project)
    with pytest.raises(FailedError, match="can't be read here") as caught:
        backup.restore_state(snapshot, stack)
    assert "docs/backup.md" in caught.value.fix
    assert "secure" in yaml.safe_load(stack.settings.read_text())["config"]["slipway:secret"]
    assert stack.resources() == ()


def test_the_state_of_another_stack_is_refused(snapshot, fresh):
    stack = Stack("other", fresh.project, fresh.env)
    stack.settings.write_bytes(snapshot.place.read(snapshot.index.file("settings.yaml")))
    with pytest.raises(UsageError, match="not one of stack other"):
        backup.restore_state(snapshot, stack)
