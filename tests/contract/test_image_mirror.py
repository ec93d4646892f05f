"""Copies between two real image registries, and locks of what they have."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.image_registry import TestRegistry, image_registry

from oci import manifests, references, uploads
from oci.client import ImageRegistry
from oci.copying import Target, put_image, put_manifest
from oci.manifests import Descriptor, Manifest
from oci.references import Reference
from slipway.cli import app

pytestmark = pytest.mark.contract

Run = Callable[..., tuple[int, Any]]
PLATFORMS = ("linux/amd64", "linux/arm64")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestRegistry]:
    with image_registry(tmp_path_factory.mktemp("source")) as running:
        yield running


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestRegistry]:
    with image_registry(tmp_path_factory.mktemp("mirror")) as running:
        yield running


@pytest.fixture
def authorities(tmp_path: Path, source: TestRegistry, mirror: TestRegistry) -> Path:
    path = tmp_path / "authorities.pem"
    path.write_text(source.ca_file.read_text() + mirror.ca_file.read_text())
    return path


@pytest.fixture(autouse=True)
def accounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source, mirror) -> None:
    entries = {}
    for registry in (source, mirror):
        entries |= json.loads(registry.auth_file(tmp_path / "one.json").read_text())["auths"]
    (tmp_path / "auth.json").write_text(json.dumps({"auths": entries}))
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "auth.json"))


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], authorities: Path) -> Run:
    """Call `slipway images …`; return the exit code and the JSON that it printed."""

    def call(*arguments: object) -> tuple[int, Any]:
        words = ["images", *map(str, arguments), "--ca-file", str(authorities), "--json"]
        code = app.main(words)
        return code, json.loads(capsys.readouterr().out)

    return call


def publish(client: ImageRegistry, repository: str, tag: str) -> Manifest:
    """Write an index of an image for each platform, with random layers."""
    target = Target(client, repository)
    entries = []
    for platform in PLATFORMS:
        layer = os.urandom(1 << 16)
        contents = {manifests.digest_of(each): each for each in (layer, platform.encode())}
        config, blob = (
            Descriptor(kind, manifests.digest_of(each), len(each)).as_json()
            for kind, each in (
                ("application/vnd.oci.image.config.v1+json", platform.encode()),
                ("application/vnd.oci.image.layer.v1.tar", layer),
            )
        )
        document = {"schemaVersion": 2, "mediaType": manifests.IMAGE, "config": config, "layers": [blob]}
        image = Manifest(manifests.IMAGE, manifests.canonical(document))
        put_image(target, image, lambda each, offset, held=contents: (held[each.digest][offset:],))
        entries.append(image.descriptor(platform=platform))
    index = manifests.index(entries)
    put_manifest(target, index, tag)
    return index


@pytest.fixture(scope="module")
def index(source: TestRegistry) -> Manifest:
    with source.open() as client:
        return publish(client, "team/tool", "v1")


def test_an_index_is_copied_with_all_its_images(run, source, mirror, index):
    place = f"{mirror.address}/all"
    code, [done] = run("mirror", f"{source.address}/team/tool:v1", "--to", place)
    assert code == 0
    reference = references.parse(done["reference"])
    assert reference.digest == index.digest, "a copy keeps its digest"
    assert reference.repository == f"all/{source.address.replace(':', '-')}/team/tool"
    with mirror.open() as client, source.open() as original:
        assert client.manifest(reference).content == index.content
        for entry in index.manifests:
            asked = Reference(mirror.address, reference.repository, digest=entry.digest)
            for blob in client.manifest(asked).blobs:
                copied = b"".join(client.read_blob(reference.repository, blob))
                assert copied == b"".join(original.read_blob("team/tool", blob))
    assert done["uploaded"] > 2 << 16
    code, [again] = run("mirror", f"{source.address}/team/tool:v1@{index.digest}", "--to", place)
    assert (code, again["uploaded"], again["reference"]) == (0, 0, done["reference"])


def test_only_the_chosen_platforms_are_copied(run, source, mirror, index):
    place = f"{mirror.address}/chosen"
    arguments = ("mirror", f"{source.address}/team/tool:v1", "--to", place, "--platform", "linux/arm64")
    code, [done] = run(*arguments)
    assert code == 0
    reference = references.parse(done["reference"])
    with mirror.open() as client:
        [entry] = client.manifest(reference).manifests
    assert entry.platform == "linux/arm64"
    assert entry.digest in {each.digest for each in index.manifests}, "the image keeps its digest"
    assert reference.digest != index.digest
    code, [again] = run(*arguments)
    assert (code, again["uploaded"], again["reference"]) == (0, 0, done["reference"])
    code, refused = run(*arguments[:-1], "linux/riscv64")
    assert code == 1
    assert refused["error"] == "The image has no variant for linux/riscv64."


def test_a_mirror_is_the_source_of_another(run, source, mirror, index):
    named = f"{source.address}/team/tool:v1"
    assert run("mirror", named, "--to", f"{mirror.address}/first")[0] == 0
    first, second = f"{mirror.address}/first", f"{mirror.address}/second"
    code, [done] = run("mirror", named, "--to", second, "--from", first)
    assert code == 0
    assert references.parse(done["reference"]).digest == index.digest
    assert done["uploaded"] < 1 << 16, "blobs are taken over inside the registry"
    code, refused = run("mirror", named, "--to", second, "--from", f"{mirror.address}/typo")
    assert (code, refused["error"][:20]) == (2, "There is nothing to ")


def test_a_lock_has_the_digests_of_the_registry(run, source, index, tmp_path):
    file = tmp_path / "images.txt"
    file.write_text(f"{source.address}/team/tool:v1\n")
    code, [locked] = run("lock", "--file", file)
    assert code == 0
    assert locked["locked"] == f"{source.address}/team/tool:v1@{index.digest}"
    assert run("lock", locked["locked"])[0] == 0
    assert run("lock", f"{source.address}/team/tool@{index.digest}")[0] == 0


def test_a_tag_that_moved_is_a_failure(run, source):
    with source.open() as client:
        before = publish(client, "team/moving", "v1")
        given = f"{source.address}/team/moving:v1@{before.digest}"
        assert run("lock", given)[0] == 0
        after = publish(client, "team/moving", "v1")
    code, refused = run("lock", given)
    assert code == 1
    assert refused["error"] == "1 of 1 tags name another image than before."
    assert after.digest in refused["why"]


def test_an_image_that_is_missing_is_a_mistake(run, source):
    code, refused = run("lock", f"{source.address}/team/none:v1")
    assert (code, refused["error"]) == (2, f"There is no image {source.address}/team/none:v1.")


def test_an_untrusted_registry_is_a_mistake(run, source, mirror, capsys, index):
    named = f"{source.address}/team/tool:v1"
    assert app.main(["images", "lock", named, "--ca-file", str(mirror.ca_file), "--json"]) == 2
    assert "not trusted" in json.loads(capsys.readouterr().out)["error"]
    assert app.main(["images", "lock", named, "--ca-file", str(source.ca_file)]) == 0
    assert capsys.readouterr().out == f"{named}@{index.digest}\n"


def test_an_interrupted_copy_is_continued(run, source, mirror, index):
    """One blob is there, as after an interruption: it is not sent again."""
    place = f"{mirror.address}/partly"
    repository = f"partly/{source.address.replace(':', '-')}/team/tool"
    with source.open() as original, mirror.open() as client:
        part = original.manifest(Reference(source.address, "team/tool", digest=index.manifests[0].digest))
        layer = max(part.blobs, key=lambda each: each.size)
        content = b"".join(original.read_blob("team/tool", layer))
        uploads.upload(client, repository, layer, lambda offset: (content[offset:],))
    code, [done] = run("mirror", f"{source.address}/team/tool:v1", "--to", place)
    assert code == 0
    assert 1 << 16 < done["uploaded"] < 2 << 16


@pytest.mark.parametrize(
    ("name", "damage", "said"),
    [
        ("changed", lambda content: b"x" + content[1:], "sent something else"),
        ("cut", lambda content: content[:-1], "sent something else"),
        ("longer", lambda content: content + b"x", "is not what its manifest says"),
    ],
    ids=["changed", "cut", "longer"],
)
def test_a_damaged_blob_is_not_copied(run, source, mirror, name, damage, said):
    with source.open() as client:
        index = publish(client, f"team/{name}", "v1")
        asked = Reference(source.address, f"team/{name}", digest=index.manifests[0].digest)
        layer = max(client.manifest(asked).blobs, key=lambda each: each.size)
    digest = layer.digest.removeprefix("sha256:")
    [file] = (source.folder / "storage").rglob(f"{digest}/data")
    content = file.read_bytes()
    file.write_bytes(damage(content))
    arguments = ("mirror", f"{source.address}/team/{name}:v1", "--to", f"{mirror.address}/damaged")
    code, refused = run(*arguments)
    assert code == 1
    assert said in refused["error"]
    with mirror.open() as client:
        repository = f"damaged/{source.address.replace(':', '-')}/team/{name}"
        assert client.digest(Reference(mirror.address, repository, "v1")) is None
    file.write_bytes(content)
    assert run(*arguments)[0] == 0, "the control"
