"""Files of a step are read without following links."""

import os
from pathlib import Path

import pytest

from embedded.kfp import tree
from embedded.kfp.objects import digest_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "step" / "out" / "deep").mkdir(parents=True)
    (tmp_path / "step" / "out" / "b").write_text("b")
    (tmp_path / "step" / "out" / "deep" / "a").write_text("a")
    return tmp_path / "step"


def names(folder: Path, path: Path) -> list[tuple[str, bytes]]:
    with tree.opened(folder, path) as descriptor:
        return [(str(name), file.read()) for name, file in tree.files(descriptor)]


def test_files_are_read_in_the_order_of_their_paths(folder: Path) -> None:
    assert names(folder, folder / "out") == [("b", b"b"), ("deep/a", b"a")]
    assert tree.read(folder, folder / "out" / "b", 10) == b"b"
    assert tree.read(folder, folder / "out" / "c", 10) is None


def test_a_link_is_neither_opened_nor_listed(folder: Path) -> None:
    before = digest_of(folder / "out")
    (folder / "out" / "link").symlink_to("../../secret")
    (folder / "folder-link").symlink_to("..")
    os.mkfifo(folder / "out" / "pipe")
    assert names(folder, folder / "out") == [("b", b"b"), ("deep/a", b"a")]
    assert digest_of(folder / "out") == before
    for path in ("out/link", "folder-link/secret", "folder-link", "out/pipe"):
        with pytest.raises(tree.NotPlainError), tree.opened(folder, folder / path):
            pass
    with pytest.raises(tree.NotPlainError):
        tree.read(folder, folder / "out" / "link", 10)


@pytest.mark.parametrize("path", ["/etc/passwd", "../secret", "out/../../secret"])
def test_a_path_out_of_the_folder_is_refused(folder: Path, path: str) -> None:
    with pytest.raises(tree.NotPlainError), tree.opened(folder, folder / path):
        pass


def test_more_bytes_than_the_limit_are_refused(folder: Path) -> None:
    (folder / "large").write_bytes(b"x" * 11)
    with pytest.raises(OSError, match="more than 10 bytes"):
        tree.read(folder, folder / "large", 10)


def test_no_descriptor_is_left_open(folder: Path) -> None:
    (folder / "out" / "link").symlink_to("b")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for path in ("out", "out/b", "out/link", "missing", "out/deep/missing"):
        try:
            names(folder, folder / path)
        except OSError:
            continue
    assert len(list(Path("/proc/self/fd").iterdir())) == before
