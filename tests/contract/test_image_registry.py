"""Pushes to a real image registry, over TLS with a private CA and a login; each denial has its control."""

import gzip
import io
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from support.cut import cutting_relay
from support.drive import small_drive
from support.image_registry import TestRegistry, image_registry
from support.minio import free_port

from embedded import images
from embedded.images import sbom
from embedded.images.blobs import blob_of
from embedded.images.oci import architecture
from embedded.toolchain import cache
from oci import copying, manifests, references, uploads
from oci.client import ImageRegistry
from oci.copying import Target
from oci.login import IDENTITY_TOKEN, Login
from oci.manifests import Descriptor, Manifest
from oci.references import Reference
from slipway.cli import app
from slipway.core.errors import FailedError, UsageError

pytestmark = pytest.mark.contract


@dataclass(frozen=True)
class Result:
    """What a command did: its exit code, standard output and standard error."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        assert self.code == 0, self.err
        return json.loads(self.out)


Run = Callable[..., Result]


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestRegistry]:
    with image_registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Call the command line."""

    def call(*arguments: object) -> Result:
        code = app.main([str(each) for each in arguments])
        return Result(code, *capsys.readouterr())

    return call


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without any login; tools and images stay in the cache that all tests share."""
    monkeypatch.setenv("SLIPWAY_CACHE", str(cache.root()))
    for name in ("REGISTRY_AUTH_FILE", "DOCKER_CONFIG", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def logged_in(registry: TestRegistry, home: Path) -> None:
    (home / ".docker").mkdir(exist_ok=True)
    registry.auth_file(home / ".docker" / "config.json")


def push(run: Run, registry: TestRegistry, path: str = "slipway", *options: object) -> Result:
    place = f"{registry.address}/{path}"
    return run("images", "push", place, "--only", "pause", "--ca-file", registry.ca_file, "--json", *options)


def test_a_pushed_image_is_pulled_by_digest_with_the_same_bytes(run, registry, home):
    logged_in(registry, home)
    reference = references.parse(push(run, registry).document["images"][0]["reference"])
    built = images.build("pause")
    with registry.open() as client:
        index = client.manifest(reference)
        [entry] = index.manifests
        image = client.manifest(
            references.Reference(reference.registry, reference.repository, digest=entry.digest)
        )
        config, *layers = (b"".join(client.read_blob(reference.repository, blob)) for blob in image.blobs)
    assert json.loads(config)["rootfs"]["diff_ids"] == [layer.digest for layer in built.layers]
    for content, layer in zip(layers, built.layers, strict=True):
        assert blob_of(gzip.decompress(content)) == layer, "a layer is what the local cluster runs"
    assert entry.platform == f"linux/{architecture()}"


def test_a_second_push_sends_nothing(run, registry, home):
    logged_in(registry, home)
    first = push(run, registry, "second").document
    before = len(registry.log)
    again = push(run, registry, "second").document
    assert first["uploaded"] > 0
    assert again["uploaded"] == 0
    assert again["images"][0]["reference"] == first["images"][0]["reference"]
    sent = [method for method in ("PUT", "PATCH") if f'"{method} /v2/' in registry.log[before:]]
    assert sent == [], "the registry saw no upload"
    assert '"PATCH /v2/' in registry.log[:before], "the control: its log has uploads"


def test_an_image_has_an_sbom_and_says_where_it_comes_from(run, registry, home):
    logged_in(registry, home)
    reference = references.parse(push(run, registry, "sbom").document["images"][0]["reference"])
    with registry.open() as client:
        index = client.manifest(reference)
        [entry] = copying.referrers(Target(client, reference.repository), reference.digest)
        artifact = client.manifest(Reference(reference.registry, reference.repository, digest=entry.digest))
        [layer] = [blob for blob in artifact.blobs if blob.media_type == sbom.MEDIA_TYPE]
        document = json.loads(b"".join(client.read_blob(reference.repository, layer)))
    assert artifact.document["subject"]["digest"] == reference.digest
    assert entry.artifact_type == sbom.MEDIA_TYPE
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    assert "std" in {each["name"] for each in document["components"]}, "Go's library is in the program"
    said = index.document["annotations"]
    labels = ("title", "version", "revision", "created")
    assert said.keys() >= {f"org.opencontainers.image.{each}" for each in labels}


def test_a_wrong_password_is_a_users_mistake(run, registry, home):
    (home / ".docker").mkdir()
    registry.auth_file(home / ".docker" / "config.json", password="not-the-password")
    refused = push(run, registry)
    assert refused.code == 2
    assert json.loads(refused.out)["error"] == f"The registry {registry.address} refused the login."
    logged_in(registry, home)
    assert push(run, registry).code == 0


def test_a_missing_login_is_a_users_mistake(run, registry, home):
    refused = push(run, registry)
    assert refused.code == 2
    assert "It wants a login" in json.loads(refused.out)["why"]
    logged_in(registry, home)
    assert push(run, registry).code == 0


def test_a_password_comes_by_standard_input(run, registry, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{registry.password}\n"))
    done = push(run, registry, "slipway", "--username", registry.username, "--password-stdin")
    assert done.code == 0
    assert registry.password not in done.out + done.err


def test_an_unknown_ca_is_a_users_mistake(run, registry, home):
    logged_in(registry, home)
    place = f"{registry.address}/slipway"
    refused = run("images", "push", place, "--only", "pause", "--json")
    assert refused.code == 2
    assert "not trusted" in json.loads(refused.out)["error"]
    assert "CA certificate" in json.loads(refused.out)["fix"]
    assert push(run, registry).code == 0


def test_an_expired_certificate_is_a_failure(run, tmp_path_factory):
    with image_registry(tmp_path_factory.mktemp("expired"), days=-1) as registry:
        refused = push(run, registry)
    assert refused.code == 1
    assert "has expired" in json.loads(refused.out)["error"]


def test_a_certificate_for_another_name_is_a_users_mistake(run, registry):
    place = f"localhost:{registry.address.rpartition(':')[2]}/slipway"
    refused = run("images", "push", place, "--only", "pause", "--ca-file", registry.ca_file, "--json")
    assert refused.code == 2
    assert "is for another name" in json.loads(refused.out)["error"]


def test_a_registry_that_is_down_is_a_failure(run, registry):
    refused = run("images", "push", f"127.0.0.1:{free_port()}/slipway", "--only", "pause", "--json")
    assert refused.code == 1
    assert "did not answer" in json.loads(refused.out)["error"]
    assert json.loads(refused.out)["why"] == "Connection refused."


@pytest.fixture(scope="module")
def by_token(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestRegistry]:
    """A registry whose authorization server gives tokens."""
    with image_registry(tmp_path_factory.mktemp("tokens"), tokens=True) as running:
        yield running


def test_an_account_without_the_right_to_push_is_told_so(run, home, by_token):
    logged_in(by_token, home)
    refused = push(run, by_token, "public")
    assert refused.code == 2
    assert "has no right" in json.loads(refused.out)["why"]
    assert push(run, by_token, "team").code == 0, "the control: elsewhere it may"


def test_an_authorization_server_refuses_a_password(run, home, by_token):
    (home / ".docker").mkdir()
    by_token.auth_file(home / ".docker" / "config.json", password="not-the-password")
    refused = push(run, by_token, "team")
    assert refused.code == 2
    assert json.loads(refused.out)["error"] == f"The registry {by_token.address} refused the login."


def test_an_identity_token_is_exchanged(by_token):
    def opened(token: str) -> ImageRegistry:
        login = Login(IDENTITY_TOKEN, SecretStr(token))
        return ImageRegistry(by_token.address, login, ca_file=by_token.ca_file)

    with opened(by_token.identity_token) as client:
        assert upload(client, "team/exchanged", b"content") == 7
    with opened("not-the-token") as client, pytest.raises(UsageError, match="refused the login"):
        upload(client, "team/refused", b"content")


def test_everybody_reads_what_is_public(by_token):
    with ImageRegistry(by_token.address, ca_file=by_token.ca_file) as client:
        assert client.digest(Reference(by_token.address, "public/tool", "v1")) is None, (
            "asked without a login"
        )
        with pytest.raises(UsageError, match="It wants a login"):
            client.digest(Reference(by_token.address, "team/tool", "v1"))


def test_plain_http_stays_on_this_machine(run, registry, home, tmp_path_factory):
    with image_registry(tmp_path_factory.mktemp("plain"), tls=False) as plain:
        place = f"{plain.address}/slipway"
        refused = run("images", "push", place, "--only", "pause", "--json")
        assert (refused.code, json.loads(refused.out)["error"]) == (
            2,
            f"The registry {plain.address} does not use TLS.",
        )
        assert run("images", "push", place, "--only", "pause", "--plain-http").code == 0
    refused = run("images", "push", "registry.example.org/slipway", "--plain-http", "--json")
    assert refused.code == 2
    assert "plain HTTP is refused" in json.loads(refused.out)["error"]


def test_a_read_only_registry_is_a_failure(run, home, tmp_path_factory):
    with image_registry(tmp_path_factory.mktemp("frozen"), read_only=True) as registry:
        logged_in(registry, home)
        refused = push(run, registry)
    assert refused.code == 1
    assert json.loads(refused.out)["why"].startswith("It is read-only")


def test_a_full_disk_of_the_registry_is_named(run, home, tmp_path_factory):
    folder = tmp_path_factory.mktemp("full")
    with small_drive(folder / "storage", 1) as resize, image_registry(folder) as registry:
        logged_in(registry, home)
        with registry.open() as client, pytest.raises(FailedError) as refused:
            upload(client, "big", os.urandom(3 << 20))
        assert refused.value.why.startswith("Its disk is full")
        resize(16)
        with registry.open() as client:
            assert upload(client, "big", os.urandom(3 << 20)) == 3 << 20


def upload(client: ImageRegistry, repository: str, content: bytes, mount_from: str | None = None) -> int:
    blob = Descriptor("application/octet-stream", manifests.digest_of(content), len(content))
    return uploads.upload(
        client, repository, blob, lambda offset: parts(content, offset), mount_from=mount_from
    )


def parts(content: bytes, offset: int) -> Iterator[bytes]:
    for start in range(offset, len(content), 1 << 16):
        yield content[start : start + (1 << 16)]


def test_a_manifest_without_its_parts_is_refused(registry):
    missing = Descriptor(manifests.IMAGE, manifests.digest_of(b"nothing"), 7)
    document = {
        "schemaVersion": 2,
        "mediaType": manifests.IMAGE,
        "config": missing.as_json(),
        "layers": [missing.as_json()],
    }
    manifest = Manifest(manifests.IMAGE, manifests.canonical(document))
    with registry.open() as client:
        with pytest.raises(FailedError, match="rejected as invalid: MANIFEST_BLOB_UNKNOWN"):
            client.put_manifest("broken", manifest)
        upload(client, "broken", b"nothing")
        client.put_manifest("broken", manifest)
        assert client.digest(Reference(registry.address, "broken", digest=manifest.digest)) == manifest.digest


def test_an_upload_that_was_cut_is_completed(registry, tmp_path):
    content = os.urandom(4 << 20)
    with cutting_relay(registry.address, 1 << 20) as address:
        opened = ImageRegistry(address, registry.login, ca_file=registry.ca_file)
        before = len(registry.log)
        with opened as client:
            upload(client, "cut", content)
    assert registry.log[before:].count('"GET /v2/cut/blobs/uploads/') >= 1, "asked how far the upload was"
    with registry.open() as client:
        blob = Descriptor("", manifests.digest_of(content), len(content))
        assert b"".join(client.read_blob("cut", blob)) == content


def test_a_failed_layer_ends_the_others(registry):
    size = 1 << 26
    slow, broken = (
        Descriptor("layer", manifests.digest_of(each), size).as_json() for each in (b"slow", b"broken")
    )
    document = {"schemaVersion": 2, "mediaType": manifests.IMAGE, "config": broken, "layers": [slow]}
    image = Manifest(manifests.IMAGE, manifests.canonical(document))
    began, sent = threading.Event(), 0

    def read(blob: Descriptor, offset: int) -> Iterator[bytes]:
        nonlocal sent
        if blob.digest == broken["digest"]:
            assert began.wait(60)
            raise KeyboardInterrupt
        for _ in range(size >> 16):
            yield bytes(1 << 16)
            began.set()
            sent += 1
            time.sleep(0.01)

    with registry.open() as client, pytest.raises(KeyboardInterrupt):
        copying.put_image(Target(client, "interrupted"), image, read)
    assert 0 < sent < size >> 16, "it was not read to its end"


def test_a_blob_of_another_repository_is_not_sent_again(registry):
    content = os.urandom(1 << 16)
    with registry.open() as client:
        assert upload(client, "one", content) == len(content)
        assert upload(client, "two", content, mount_from="one") == 0
        assert client.has_blob("two", manifests.digest_of(content))
        assert not client.has_blob("three", manifests.digest_of(content)), "the control"


def test_a_blob_that_is_not_its_digest_is_refused(registry):
    wrong = Descriptor("", manifests.digest_of(b"expected"), len(b"received"))
    with registry.open() as client:
        with pytest.raises(FailedError, match="DIGEST_INVALID"):
            uploads.upload(client, "wrong", wrong, lambda offset: (b"received",))
        assert upload(client, "wrong", b"received") == len(b"received")


def test_an_unknown_name_is_a_users_mistake(registry):
    with registry.open() as client, pytest.raises(UsageError, match="There is nothing to read"):
        client.manifest(Reference(registry.address, "nothing", "here"))
