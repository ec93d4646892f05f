"""Images for registries: the same source gives the same bytes, and they say where they come from."""

import io
import json
import subprocess
import tarfile
from pathlib import Path

import pytest

from embedded import images
from embedded.images import provenance, sbom
from embedded.images.blobs import BlobStore, blob_of
from embedded.images.catalog import Recipe
from embedded.images.layer import RootLayer
from embedded.images.oci import ImageSettings, assemble
from embedded.images.publication import publish
from oci import manifests

TITLE = "org.opencontainers.image.title"
REVISION = "org.opencontainers.image.revision"
SOURCE = "org.opencontainers.image.source"
CREATED = "org.opencontainers.image.created"


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one commit, in place of this one."""
    monkeypatch.setattr(provenance, "PROJECT", tmp_path)
    for name in ("GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"):
        monkeypatch.setenv(name, "2026-01-02T03:04:05Z")
    git(tmp_path, "init", "--quiet")
    commit(tmp_path, "storage/a.py", "first")
    return tmp_path


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=tests", "-c", "user.email=tests@example.org"]
    return subprocess.run(
        ["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True, text=True
    ).stdout.strip()


def commit(folder: Path, name: str, text: str) -> str:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    git(folder, "add", name)
    git(folder, "commit", "--quiet", "--message", text)
    return git(folder, "rev-parse", "HEAD")


def test_a_commit_elsewhere_changes_nothing(checkout):
    first = provenance.annotations("pipelines", ["storage"])
    assert first[REVISION] == git(checkout, "rev-parse", "HEAD")
    assert first[CREATED] == "2026-01-02T03:04:05Z"
    commit(checkout, "docs.md", "documentation")
    assert provenance.annotations("pipelines", ["storage"]) == first
    changed = commit(checkout, "storage/a.py", "second")
    assert provenance.annotations("pipelines", ["storage"])[REVISION] == changed


def test_uncommitted_changes_are_told(checkout):
    (checkout / "storage/a.py").write_text("not committed")
    assert provenance.annotations("pipelines", ["storage"])[REVISION].endswith("-modified")


def test_without_a_repository_there_is_no_revision(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "PROJECT", tmp_path)
    found = provenance.annotations("pipelines", ["storage"])
    assert found[TITLE] == "pipelines"
    assert found[CREATED] == "2020-01-01T00:00:00Z"
    assert REVISION not in found


@pytest.mark.parametrize(
    ("remote", "source"),
    [
        ("https://user:secret@git.example.org/team/slipway.git", "https://git.example.org/team/slipway"),
        ("https://git.example.org/team/slipway", "https://git.example.org/team/slipway"),
        ("git@git.example.org:team/slipway.git", "https://git.example.org/team/slipway"),
        ("ssh://git@git.example.org:22/team/slipway.git", "https://git.example.org/team/slipway"),
        ("/srv/git/slipway.git", None),
        ("../slipway", None),
        ("file:///srv/git/slipway", None),
    ],
)
def test_the_source_has_no_user_and_no_place_of_a_machine(checkout, remote, source):
    git(checkout, "remote", "add", "origin", remote)
    assert provenance.annotations("pipelines", ["storage"]).get(SOURCE) == source


def test_a_publication_is_the_local_image_in_compressed_layers(tmp_path):
    recipe = Recipe((RootLayer(),), ImageSettings(entrypoint=["/none"], user=1))

    def made(folder: Path) -> images.Publication:
        store = BlobStore(folder)
        [(layer, key)] = recipe.keyed()
        blob = store.make(key, lambda out, work: layer.write(out, work, print))
        return publish("sample", "tag", recipe, [blob], store, print)

    first, second = made(tmp_path / "one"), made(tmp_path / "two")
    assert first.index.content == second.index.content
    assert first.sbom == second.sbom
    config = json.loads(first.content.config)
    [layer] = BlobStore(tmp_path / "one")._index.glob("[!gp]*.json")
    local = assemble("sample", recipe.settings, [blob_of(b"")])
    assert config["rootfs"]["diff_ids"] == [json.loads(layer.read_text())["digest"]]
    assert config["config"]["Labels"] == first.annotations == first.index.document["annotations"]
    assert config["config"]["Entrypoint"] == json.loads(local.config)["config"]["Entrypoint"]
    for blob in first.image.blobs:
        content = b"".join(first.read(blob, 0))
        assert manifests.digest_of(content) == blob.digest
        assert b"".join(first.read(blob, 10)) == content[10:]


def test_packages_are_read_from_a_layer(tmp_path):
    files = {
        "usr/lib/python3/Ruamel.Yaml-1.0.dist-info/METADATA": "Name: Ruamel.Yaml\nVersion: 1.0\n\nText",
        "var/lib/dpkg/status.d/libstdc++6": "Package: libstdc++6\nVersion: 12.2.0-14+deb12u1\n",
        "usr/share/doc/METADATA": "Name: none\nVersion: 0\n",
    }
    path = tmp_path / "layer.tar"
    with tarfile.open(path, "w") as archive:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))
    document = json.loads(sbom.document("sample", "1", sbom.in_layer(path)))
    assert [each["purl"] for each in document["components"]] == [
        "pkg:deb/debian/libstdc%2B%2B6@12.2.0-14%2Bdeb12u1",
        "pkg:pypi/ruamel-yaml@1.0",
    ]
    assert sbom.document("sample", "1", []) == sbom.document("sample", "1", [])


def test_modules_of_a_go_program_are_read():
    lines = [
        "\tpath\texample.org/cmd/program",
        "\tmod\texample.org/cmd\tv1.2.3\th1:abc=",
        "\tdep\texample.org/old\tv0.1.0",
        "\t=>\texample.org/New\tv0.2.0+incompatible\th1:def=",
        "\tbuild\t-compiler=gc",
    ]
    assert list(sbom._modules(lines)) == [
        ("pkg:golang/example.org/cmd", "example.org/cmd", "v1.2.3"),
        ("pkg:golang/example.org/new", "example.org/New", "v0.2.0+incompatible"),
    ]
