"""Images without a containerd: references, layers, the cache, the gateway's configuration."""

import io
import json
import tarfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest

from embedded import images
from embedded.images import catalog, code
from embedded.images.blobs import BlobStore, blob_of
from embedded.images.oci import ImageSettings, assemble
from embedded.images.programs import gateway
from embedded.images.tree import pack
from embedded.images.wheels import Requirements
from slipway.core.errors import FailedError, UsageError


def packed(root: Path) -> bytes:
    out = io.BytesIO()
    pack(root, out)
    return out.getvalue()


def test_references_are_distinct_and_stable() -> None:
    references = {name: images.reference(name) for name in images.IMAGES}
    assert len(set(references.values())) == len(references)
    for name, reference in references.items():
        assert reference.startswith(f"slipway.local/{name}:")
        assert len(reference.rpartition(":")[2]) == 12
        assert images.reference(name) == reference


def test_a_reference_is_quick_and_builds_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLIPWAY_CACHE", str(tmp_path))
    images.reference("model-server")
    started = time.perf_counter()
    for name in images.IMAGES:
        images.reference(name)
    assert time.perf_counter() - started < 0.5
    assert not list(tmp_path.iterdir())


def test_an_unknown_image_is_refused() -> None:
    with pytest.raises(UsageError, match="model-server"):
        images.reference("nginx")


def test_a_change_of_code_changes_only_images_with_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {name: images.reference(name) for name in images.IMAGES}
    monkeypatch.setattr(code, "PROJECT", tmp_path)
    (tmp_path / "storage").mkdir()
    (tmp_path / "storage" / "keys.py").write_text("changed = True\n")
    after = {name: images.reference(name) for name in images.IMAGES}
    assert {name for name in images.IMAGES if before[name] != after[name]} == {"pipelines", "model-server"}


def test_a_group_does_not_depend_on_others_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    steps, serving = Requirements(("steps",)).key(), Requirements(("serving",)).key()
    original = Path.read_text

    def other_httptools(path: Path, encoding: str | None = None) -> str:
        return original(path, encoding=encoding).replace(
            'name = "httptools"\nversion = "0', 'name = "httptools"\nversion = "9'
        )

    monkeypatch.setattr(Path, "read_text", other_httptools)
    assert Requirements(("steps",)).key() == steps
    assert Requirements(("serving",)).key() != serving


def test_a_layer_depends_on_names_modes_and_contents(tmp_path: Path) -> None:
    for name, order in (("one", ("a", "b")), ("two", ("b", "a"))):
        for each in order:
            (tmp_path / name / "d").mkdir(parents=True, exist_ok=True)
            (tmp_path / name / "d" / each).write_text(each)
        (tmp_path / name / "link").symlink_to("d/a")
    (tmp_path / "two" / "d" / "a").chmod(0o600)
    assert packed(tmp_path / "one") == packed(tmp_path / "two")
    with tarfile.open(fileobj=io.BytesIO(packed(tmp_path / "one"))) as archive:
        assert {(info.uid, info.gid, info.uname) for info in archive} == {(0, 0, "")}
        assert archive.getnames() == ["d", "d/a", "d/b", "link"]
    (tmp_path / "two" / "d" / "a").chmod(0o755)
    assert packed(tmp_path / "one") != packed(tmp_path / "two")


def test_an_image_is_reproducible_with_a_numeric_user() -> None:
    layer = blob_of(b"layer")
    settings = ImageSettings(entrypoint=["/x"], user=65532, env={"B": "2", "A": "1"})
    image = assemble("slipway.local/x:1", settings, [layer])
    assert image == assemble("slipway.local/x:1", settings, [layer])
    described = json.loads(image.config)
    assert described["config"]["User"] == "65532:65532"
    assert described["rootfs"]["diff_ids"] == [layer.digest]
    assert image.digest != assemble("slipway.local/x:1", settings, [blob_of(b"other")]).digest


@pytest.mark.parametrize("groups", [("steps", "kfp-server", "jobs"), ("serving",)])
def test_no_image_has_the_aws_crt(groups: tuple[str, ...]) -> None:
    """It is 12 MB that only the command line needs."""
    names = {line.split("==")[0] for line in Requirements(groups).lines()}
    assert "boto3" in names
    assert "awscrt" not in names


def test_no_image_runs_as_root() -> None:
    assert all(recipe().settings.user >= 1000 for recipe in catalog.RECIPES.values())


def writer(content: bytes, calls: list[int]) -> Callable[[BinaryIO, Path], None]:
    def write(out: BinaryIO, work: Path) -> None:
        calls.append(1)
        time.sleep(0.05)
        out.write(content)

    return write


def test_concurrent_calls_build_a_layer_once(tmp_path: Path) -> None:
    store, calls = BlobStore(tmp_path), list[int]()
    threads = [threading.Thread(target=store.make, args=("key", writer(b"x", calls))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert calls == [1]
    blob = store.find("key")
    assert blob == blob_of(b"x")
    assert store.path(blob).read_bytes() == b"x"


def test_a_failed_layer_leaves_no_files(tmp_path: Path) -> None:
    def breaks(out: BinaryIO, work: Path) -> None:
        out.write(b"half")
        raise FailedError("no network")

    store = BlobStore(tmp_path)
    with pytest.raises(FailedError):
        store.make("key", breaks)
    assert store.find("key") is None
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.parent.name != "locks"]


def test_a_damaged_blob_is_rebuilt(tmp_path: Path) -> None:
    store, calls = BlobStore(tmp_path), list[int]()
    blob = store.make("key", writer(b"whole", calls))
    store.path(blob).write_bytes(b"cut")
    assert store.find("key") is None
    store.make("key", writer(b"whole", calls))
    assert store.path(blob).read_bytes() == b"whole"


def test_the_gateway_uses_the_clusters_name_server() -> None:
    resolv = (
        "search team.svc.example.org svc.example.org example.org\nnameserver 198.18.8.10\noptions ndots:5\n"
    )
    text = gateway.configuration(resolv)
    assert "resolver 198.18.8.10 valid" in text
    assert '"$endpoint-predictor.$namespace.svc.example.org"' in text
    assert "svc.cluster.local" in gateway.configuration("nameserver fd00::1\n")
    assert "resolver [fd00::1] valid" in gateway.configuration("nameserver fd00::1\n")
