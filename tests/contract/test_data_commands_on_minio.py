"""A tenant's data by the command line, against a real store: what travels, and what is refused first."""

import hashlib
import json
import os

import pytest
from support.minio import running_minio
from support.platform import outputs
from support.promotions import FakeServing, emptied, key_of, promoter_on, table_text, write_run

from serving import access
from slipway.cli import app
from slipway.operations import workspace
from storage.client import StoreAccess

pytestmark = pytest.mark.contract


@pytest.fixture(scope="module")
def minio(tmp_path_factory):
    with running_minio(tmp_path_factory.mktemp("minio")) as server:
        server.client().create_bucket(Bucket=outputs(server.url).store.data_bucket)
        yield server


@pytest.fixture
def bucket(minio, monkeypatch):
    made = outputs(minio.url)
    roles = []

    def store_access(given, tenant, role):
        roles.append(role)
        return StoreAccess(endpoint=minio.url, region="us-east-1", key=key_of(minio))

    monkeypatch.setattr(workspace, "outputs", lambda stack: made)
    monkeypatch.setattr(access, "store_access", store_access)
    yield made.store.data_bucket
    assert set(roles) <= {"editor"}


@pytest.fixture
def folder(tmp_path):
    source = tmp_path / "source"
    for name in ("a.csv", "deep/er/b.csv", "deep/ü c.csv"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(os.urandom(1000))
    return source


def test_a_folder_goes_up_is_listed_and_comes_back(minio, bucket, folder, tmp_path, capsys):
    assert app.main(["data", "upload", str(folder), "--prefix", "2026", "--json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out) == {"files": 3, "bytes": 3000}
    assert "0.0 of 0.0 MiB" in printed.err
    keys = ["a.csv", "deep/er/b.csv", "deep/ü c.csv"]
    assert minio.keys(bucket) == [f"team-a/2026/{key}" for key in keys]
    minio.client().put_object(Bucket=bucket, Key="team-a/2026b/other", Body=b"")
    minio.client().put_object(Bucket=bucket, Key="team-ab/2026/other", Body=b"")
    assert app.main(["data", "list", "--prefix", "2026/", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [{"path": key, "bytes": 1000} for key in keys]
    assert app.main(["data", "download", str(tmp_path / "to"), "--prefix", "2026"]) == 0
    assert {str(path.relative_to(tmp_path / "to")) for path in (tmp_path / "to").rglob("*.csv")} == set(keys)
    for key in keys:
        assert (tmp_path / "to" / key).read_bytes() == (folder / key).read_bytes()


def test_a_file_goes_up_under_its_own_name(minio, bucket, folder):
    assert app.main(["data", "upload", str(folder / "a.csv"), "--prefix", "one"]) == 0
    assert minio.keys(bucket, "team-a/one/") == ["team-a/one/a.csv"]


def test_a_name_with_a_colon_goes_up_and_comes_back(minio, bucket, folder, tmp_path):
    (folder / "colon:x.csv").write_bytes(b"x")
    assert app.main(["data", "upload", str(folder / "colon:x.csv"), "--prefix", "colons"]) == 0
    assert app.main(["data", "download", str(tmp_path / "to"), "--prefix", "colons"]) == 0
    assert (tmp_path / "to" / "colon:x.csv").read_bytes() == b"x"


@pytest.mark.parametrize("prefix", ["../team-b", "/", "a//b", "a/../b", "%2e%2e", "a\\b", "..", "x" * 1100])
@pytest.mark.parametrize("verb", ["upload", "download"])
def test_a_prefix_that_could_escape_is_refused(minio, bucket, folder, tmp_path, verb, prefix):
    before = minio.keys(bucket)
    target = folder if verb == "upload" else tmp_path / "to"
    given = prefix if prefix != "/" else "//"
    assert app.main(["data", verb, str(target), "--prefix", given]) == 2
    assert minio.keys(bucket) == before
    assert not (tmp_path / "to").exists()


@pytest.mark.parametrize("name", ["a\\b", "a%2e", "~a", "e\u0301"])
def test_a_name_that_could_escape_refuses_all_files(minio, bucket, folder, name):
    before = minio.keys(bucket)
    (folder / name).write_bytes(b"x")
    assert app.main(["data", "upload", str(folder)]) == 2
    assert minio.keys(bucket) == before


def test_a_link_is_not_followed(minio, bucket, folder):
    before = minio.keys(bucket)
    (folder / "link").symlink_to("/etc/passwd")
    assert app.main(["data", "upload", str(folder), "--prefix", "links"]) == 2
    (folder / "link").unlink()
    (folder / "link").symlink_to("/etc")
    assert app.main(["data", "upload", str(folder), "--prefix", "links"]) == 2
    assert minio.keys(bucket) == before


def test_keys_that_another_client_left_do_not_escape(minio, bucket, tmp_path):
    minio.client().put_object(Bucket=bucket, Key="team-a/evil/fine.csv", Body=b"x")
    minio.client().put_object(Bucket=bucket, Key="team-a/evil/a\\b", Body=b"x")
    assert app.main(["data", "download", str(tmp_path / "to"), "--prefix", "evil"]) == 2
    assert not (tmp_path / "to").exists()


def test_nothing_to_move_is_the_callers_mistake(bucket, tmp_path):
    (tmp_path / "empty").mkdir()
    assert app.main(["data", "upload", str(tmp_path / "empty")]) == 2
    assert app.main(["data", "upload", str(tmp_path / "missing")]) == 2
    assert app.main(["data", "download", str(tmp_path / "to"), "--prefix", "missing"]) == 2


@pytest.fixture
def left(minio, bucket):
    """A promoted version of one file, a candidate on another, and two files that nothing needs."""
    client = minio.client()
    emptied(client, "artifacts", "models", "data")
    serving = FakeServing(client)
    write_run(client, "run-1")
    assert promoter_on(minio, serving, client).promote_run("run-1").promoted
    emptied(client, "artifacts")
    write_run(client, "run-2", content=table_text(seed=5))
    for key in ("free/a.csv", "free/b.csv", "freer.csv"):
        client.put_object(Bucket="data", Key=f"team-a/{key}", Body=b"x")
    client.put_object(Bucket="data", Key="team-ab/free/a.csv", Body=b"x")
    client.put_object(Bucket="artifacts", Key="team-a/runs/training/run-3/x/candidate", Body=b"{")
    return minio


def test_data_that_nothing_needs_is_deleted_by_order(left, bucket, capsys):
    before = left.keys("data")
    assert app.main(["data", "delete", "free", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "deleted": False,
        "files": {"free/a.csv": 1, "free/b.csv": 1},
    }
    assert left.keys("data") == before
    assert app.main(["data", "delete", "free/", "--yes"]) == 0
    assert set(before) - set(left.keys("data")) == {"team-a/free/a.csv", "team-a/free/b.csv"}
    assert app.main(["data", "delete", "freer.csv", "--yes"]) == 0
    assert "team-a/freer.csv" not in left.keys("data")


@pytest.mark.parametrize(("which", "reason"), [(0, "of churn"), (1, "the candidate of run run-2")])
def test_data_that_a_version_or_a_candidate_names_is_kept(left, bucket, capsys, which, reason):
    before = left.keys("data")
    contents = (table_text(), table_text(seed=5))
    path = f"{hashlib.sha256(contents[which]).hexdigest()}/churn.csv"
    for given in (path, path.split("/", maxsplit=1)[0]):
        capsys.readouterr()
        assert app.main(["data", "delete", given, "--yes"]) == 2
        printed = capsys.readouterr().err
        assert "is in use; nothing was deleted" in printed
        assert reason in printed
    assert left.keys("data") == before


@pytest.mark.parametrize("path", ["", "/", "..", "../team-ab/free", "nothing", "fre"])
def test_a_path_that_names_no_data_deletes_nothing(left, bucket, path):
    before = left.keys("data")
    assert app.main(["data", "delete", path, "--yes"]) == 2
    assert left.keys("data") == before


def test_nothing_is_deleted_where_nobody_can_say_what_needs_it(left, bucket):
    before = left.keys("data")
    [manifest] = [key for key in left.keys("models") if key.endswith("/manifest.json")]
    left.client().put_object(Bucket="models", Key=manifest, Body=b"{")
    assert app.main(["data", "delete", "free", "--yes"]) == 1
    assert left.keys("data") == before
