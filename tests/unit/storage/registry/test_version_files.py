"""What a model's files may be called, and their digest."""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.core.errors import UsageError
from storage.registry.version_files import MAX_FILES, File, checked_path, checked_paths, digest_of


@pytest.mark.parametrize(
    "path", ["model.pkl", "schema.json", "a/b/c.bin", "Größe.txt", "v1.2_x-y.pkl", "a b.csv", ".a"]
)
def test_plain_names_are_accepted(path):
    assert checked_path(path) == path


@pytest.mark.parametrize(
    "path",
    [
        "",
        "..",
        "../x",
        "a/../../b",
        "./x",
        "a//b",
        "a/",
        "/etc/passwd",
        "~root/x",
        "C:x",
        "..\\x",
        "a\\b",
        "x\x00y",
        "x\ny",
        "x\x7f",
        "a\u202eb",
        "a\u00a0b",
        "\ud800",
        "model.pkl.",
        "model.pkl ",
        " model.pkl",
        "...",
        "a./b",
        "a /b",
        "a/ b",
        " ",
        "%2e%2e/x",
        "a%2fb",
        "e\u0301.pkl",
        "a" * 1025,
        "ä" * 513,
    ],
)
def test_names_that_could_escape_are_refused(path):
    with pytest.raises(UsageError, match="can't name a file"):
        checked_path(path)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("C:x", "colon"),
        ("/etc/x", "slash"),
        ("~root/x", "tilde"),
        ("a%2fb", "percent"),
        ("a\\b", "backslash"),
    ],
)
def test_the_reason_names_what_is_wrong_with_a_name(path, reason):
    with pytest.raises(UsageError) as refused:
        checked_path(path)
    assert reason in refused.value.why


def test_names_of_data_may_hold_colons_and_no_more():
    assert checked_path("a/colon:x.csv", colons=True) == "a/colon:x.csv"
    for path in ("/c:x", "~c:x", "c:\\x", "../c:x"):
        with pytest.raises(UsageError):
            checked_path(path, colons=True)


def test_the_prefix_counts_towards_the_length_of_the_key():
    assert checked_path("a" * 24, below="p" * 1000)
    with pytest.raises(UsageError, match="1024 bytes"):
        checked_path("a" * 25, below="p" * 1000)


@given(st.text(max_size=40))
def test_an_accepted_path_stays_below_its_folder(path):
    try:
        checked_path(path)
    except UsageError:
        return
    parts = path.split("/")
    assert not {"", ".", ".."} & set(parts)
    assert path.isprintable()


@given(st.lists(st.text("ab .", min_size=1, max_size=4), min_size=1, max_size=3))
def test_no_accepted_path_collides_on_a_lossy_disk(parts):
    path = "/".join(parts)
    kept = "/".join(part.strip(" ").rstrip(" .") for part in parts)
    if kept == path:
        assert checked_path(path) == path
    else:
        with pytest.raises(UsageError, match="can't name a file"):
            checked_path(path)


@pytest.mark.parametrize(
    "paths",
    [
        ["Model.pkl", "model.pkl"],
        ["\ufb01.txt", "fi.txt"],
        ["a", "a/b"],
        [f"f{i}" for i in range(MAX_FILES + 1)],
    ],
)
def test_files_that_collide_on_some_disk_are_refused(paths):
    with pytest.raises(UsageError):
        checked_paths(paths)
    assert checked_paths(paths[:1]) == tuple(paths[:1])


def file(path: str, content: bytes) -> File:
    return File(path=path, sha256=hashlib.sha256(content).hexdigest(), size=len(content))


def test_the_digest_is_the_one_that_the_train_step_writes():
    listed = [
        {"path": "model.pkl", "sha256": hashlib.sha256(b"m").hexdigest(), "size": 1},
        {"path": "schema.json", "sha256": hashlib.sha256(b"").hexdigest(), "size": 0},
    ]
    canonical = json.dumps(listed, sort_keys=True, separators=(",", ":")).encode()
    files = [file("schema.json", b""), file("model.pkl", b"m")]
    assert digest_of(files) == hashlib.sha256(canonical).hexdigest()


PATHS = st.lists(st.text("abc", min_size=1, max_size=2), min_size=1, max_size=2).map("/".join)


@given(st.dictionaries(PATHS, st.binary(max_size=3), min_size=1))
def test_the_digest_depends_on_content_not_on_order(contents):
    files = [file(path, content) for path, content in contents.items()]
    digest = digest_of(files)
    assert digest_of(reversed(files)) == digest
    assert digest_of([*files, file("zzzzz", b"")]) != digest
    assert digest_of([files[0].model_copy(update={"size": 99}), *files[1:]]) != digest
