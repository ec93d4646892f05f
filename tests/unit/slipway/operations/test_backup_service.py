"""What backup and restore refuse before anything is read or written."""

import pytest
from support.platform import outputs

from infra.stack.stack import Stack
from infra.stack.state import plain_secrets
from slipway.cli import app
from slipway.core.errors import FailedError, UsageError
from slipway.operations import backup, workspace
from slipway.operations.backup import ACCESS_KEY, SECRET_KEY, Where, open_place

KEY = {ACCESS_KEY: "backup", SECRET_KEY: "a secret of the tests"}
SIGNATURE = "4dabf18193072939515e22adb298388d"
SECRET = "1b47061264138c4ac30d75fd1eb44270"


@pytest.mark.parametrize("environment", [{}, {ACCESS_KEY: "backup"}, {SECRET_KEY: "x"}])
def test_a_key_comes_from_the_environment_or_not_at_all(environment):
    with pytest.raises(UsageError, match="SLIPWAY_BACKUP_") as caught:
        open_place(Where("s3://backups", "http://127.0.0.1:9"), environment)
    assert "never a command-line argument" in caught.value.fix
    opened = open_place(Where("s3://backups/a/b/", "http://127.0.0.1:9"), KEY)
    assert (opened.bucket, opened.prefix) == ("backups", "a/b/")


@pytest.mark.parametrize(
    ("where", "words"),
    [
        (Where("backups", "http://127.0.0.1:9"), "not an S3 URI"),
        (Where("s3://backups", "127.0.0.1:9"), "not a URL"),
        (Where("s3://backups", "http://key:secret@127.0.0.1:9"), "not a URL"),
    ],
)
def test_an_address_that_is_none_is_refused(where, words):
    with pytest.raises(UsageError, match=words) as caught:
        open_place(where, KEY)
    assert "secret" not in str(caught.value)


def test_a_ca_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"missing\.pem can't be read"):
        open_place(Where("s3://backups", "https://127.0.0.1:9", ca=tmp_path / "missing.pem"), KEY)


@pytest.fixture
def up(monkeypatch, tmp_path):
    """A stack that is up, of which nothing may be read."""
    (tmp_path / "Pulumi.yaml").write_text("name: slipway\nruntime: python\n")
    stack = Stack("test", tmp_path, {"PULUMI_BACKEND_URL": f"file://{tmp_path}"})
    monkeypatch.setattr(Stack, "outputs", lambda self: outputs("https://127.0.0.1:20002"))
    monkeypatch.setattr(workspace, "open_stack", lambda *_: stack)
    for name, value in KEY.items():
        monkeypatch.setenv(name, value)
    return stack


def test_a_backup_into_the_stacks_own_store_is_refused(up):
    for own in ("https://127.0.0.1:20002", "http://minio.slipway-store:9000"):
        with pytest.raises(UsageError, match="the store of stack test itself"):
            backup.create("test", Where("s3://slipway-data/backups", own))


def test_a_state_with_a_secret_in_clear_is_not_backed_up(up, monkeypatch):
    sealed = {SIGNATURE: SECRET, "ciphertext": "v1:abc"}
    plain = {SIGNATURE: SECRET, "plaintext": '"a secret of the tests"'}

    def state(value):
        resources = [{"urn": "urn:x::store", "outputs": {"a": [{"deep": value}]}}]
        return {"version": 3, "deployment": {"resources": resources}}

    assert plain_secrets(state(sealed)) == []
    assert plain_secrets(state(plain)) == ["urn:x::store"]
    monkeypatch.setattr(backup, "load_file", lambda path: None)
    monkeypatch.setattr(Stack, "export", lambda self: state(plain))
    with pytest.raises(FailedError, match="not encrypted") as caught:
        backup._stack_files(up)
    assert "a secret of the tests" not in str(caught.value)


@pytest.mark.parametrize("option", [["--tenant", "team-a"], ["--replace"], ["--of", "other"]])
def test_files_and_models_are_restored_one_after_the_other(option, capsys):
    assert app.main(["restore", "local", "--from", "s3://backups", "--settings", *option]) == 2
    assert "no models" in capsys.readouterr().err


def test_the_key_is_asked_for_before_anything_else(monkeypatch, capsys):
    for name in KEY:
        monkeypatch.delenv(name, raising=False)
    where = ["--from", "s3://backups", "--endpoint", "http://127.0.0.1:9"]
    for words in (
        ["backup", "list"],
        ["backup", "verify", "local"],
        ["backup", "drill", "local"],
        ["backup", "prune", "local"],
    ):
        assert app.main([*words, *where]) == 2
        assert ACCESS_KEY in capsys.readouterr().err
