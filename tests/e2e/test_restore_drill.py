"""The shared platform backed up to another store, no secret in it, and brought back in a scratch stack."""

import base64
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.checkout import Checkout, Finished
from support.minio import Minio, running_minio

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Minio]:
    with running_minio(tmp_path_factory.mktemp("backups")) as server:
        server.client().create_bucket(Bucket="backups")
        yield server


def slipway(clone: Checkout, store: Minio, *words: str) -> Finished:
    way = "--to" if "create" in words else "--from"
    return clone.slipway(
        *words, way, "s3://backups/slipway", "--endpoint", store.url, "--json",
        env={
            "SLIPWAY_BACKUP_ACCESS_KEY_ID": store.access_key,
            "SLIPWAY_BACKUP_SECRET_ACCESS_KEY": store.secret_key,
        },
    )  # fmt: skip


@pytest.fixture(scope="module")
def taken(clone: Checkout, first_up: Finished, elsewhere: Minio) -> Finished:
    assert first_up.code == 0
    done = slipway(clone, elsewhere, "backup", "create", "local")
    assert done.code == 0, done.err
    return done


def in_shell(clone: Checkout, command: str) -> str:
    exports = clone.slipway("env", "local")
    assert exports.code == 0, exports.err
    done = subprocess.run(
        ["bash", "-euc", f"{exports.out}\n{command}"],
        cwd=clone.path, env=clone.env, capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip
    return done.stdout


def secrets_of(clone: Checkout) -> dict[str, bytes]:
    """Everything secret of the platform: the stack's own, its passphrase, and what its Secrets hold."""
    found = {
        "the stack's secret": in_shell(clone, "pulumi config get slipway:secret -s local").strip().encode(),
        "the passphrase": in_shell(clone, 'cat "$PULUMI_CONFIG_PASSPHRASE_FILE"').strip().encode(),
    }
    listed = json.loads(in_shell(clone, "kubectl get secrets --all-namespaces -o json"))
    for each in listed["items"]:
        for name, value in (each.get("data") or {}).items():
            content = base64.b64decode(value)
            if re.search(r"secret|password|token|\.key$|^[a-z0-9-]+-(runner|server|editor)-\d+$", name, re.I):
                metadata = each["metadata"]
                found[f"{metadata['namespace']}/{metadata['name']}/{name}"] = content.strip()
    return {name: value for name, value in found.items() if len(value) >= 16}


def test_a_second_backup_sends_nothing(clone: Checkout, elsewhere: Minio, taken: Finished) -> None:
    assert taken.json["complete"]
    assert taken.json["uploaded"] >= 12
    again = slipway(clone, elsewhere, "backup", "create", "local")
    assert again.code == 0, again.err
    assert again.json["uploaded"] == 0
    whole = slipway(clone, elsewhere, "backup", "verify", "local")
    assert whole.code == 0, whole.err
    assert whole.json["faults"] == []


def test_no_secret_of_the_platform_is_in_the_backup(
    clone: Checkout, elsewhere: Minio, taken: Finished
) -> None:
    assert taken.code == 0
    stored = {key: elsewhere.read("backups", key) for key in elsewhere.keys("backups")}
    secrets = secrets_of(clone)
    assert len(secrets) >= 8, "the control: there are some to look for"
    leaks = [
        (name, key)
        for name, value in secrets.items()
        for form in (value, base64.b64encode(value))
        for key, content in stored.items()
        if form in content
    ]
    assert leaks == []
    assert any(b'"ciphertext"' in content for content in stored.values()), "the state is there, encrypted"


def test_restoring_over_what_is_there_changes_nothing(
    clone: Checkout, elsewhere: Minio, taken: Finished
) -> None:
    assert taken.code == 0
    done = slipway(clone, elsewhere, "restore", "local")
    assert done.code == 0, done.err
    assert {each["outcome"] for each in done.json["restored"]} == {"unchanged"}
    assert all(each["verified"] for each in done.json["restored"])


def test_the_drill_restores_every_alias_and_leaves_nothing(
    clone: Checkout, elsewhere: Minio, taken: Finished
) -> None:
    before = {path.name for path in Path("/var/lib/slipway").iterdir()}
    done = slipway(clone, elsewhere, "backup", "drill", "local", "--snapshot", taken.json["snapshot"])
    assert done.code == 0, f"{done.out[-3000:]}\n{done.err[-3000:]}"
    assert done.json["passed"]
    found = {each["what"]: each["detail"] for each in done.json["findings"]}
    assert "imported by Pulumi" in found["state.json"]
    for model in ("wisconsin", "iris"):
        assert "verified" in found[f"team-a/{model}@champion"]
        assert "for a row of zeros" in found[f"team-a/{model} served"]
    left = {path.name for path in Path("/var/lib/slipway").iterdir()} - before
    assert not [name for name in left if name.startswith("drill-")]
    assert clone.git_status() == ""
