"""An entry of the cache is named by everything that decides what it is, and by nothing else."""

import dataclasses

import pytest
from support.toolchain import small_table

from embedded.toolchain import golang
from embedded.toolchain.golang import Go
from embedded.toolchain.tools import Binary


@pytest.fixture
def tool(tmp_path, monkeypatch):
    return small_table(tmp_path / "go", monkeypatch)["one"]


@pytest.fixture
def go(tmp_path):
    return Go(tmp_path / "go", "1.26.0", "amd64", switches=False)


def test_it_is_sixteen_hex_digits_and_repeatable(tool, go):
    assert golang.digest(tool, go) == golang.digest(tool, go)
    assert len(bytes.fromhex(golang.digest(tool, go))) == 8


@pytest.mark.parametrize("file", ["go.mod", "go.sum", "main.go"])
def test_it_changes_with_each_source(tool, go, file):
    before = golang.digest(tool, go)
    path = tool.folder / file
    path.write_text((path.read_text() if path.exists() else "") + "\n// changed\n")
    assert golang.digest(tool, go) != before


@pytest.mark.parametrize(
    "change",
    [
        {"version": "v9.9.9"},
        {"module": "example.com/other"},
        {"binaries": (Binary("two", "example.com/one"),)},
        {"variables": {"main.version": "v1"}},
        {"files": {"schema.json": "cmd/schema.json"}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_it_changes_with_the_row(tool, go, change):
    assert golang.digest(dataclasses.replace(tool, **change), go) != golang.digest(tool, go)


@pytest.mark.parametrize(
    "change", [{"version": "1.26.1"}, {"architecture": "arm64"}], ids=lambda c: next(iter(c))
)
def test_it_changes_with_go(tool, go, change):
    assert golang.digest(tool, dataclasses.replace(go, **change)) != golang.digest(tool, go)


def test_an_estimate_or_place_of_go_changes_no_digest(tool, go, tmp_path):
    same = golang.digest(tool, go)
    assert golang.digest(dataclasses.replace(tool, seconds=999), go) == same
    assert golang.digest(tool, dataclasses.replace(go, command=tmp_path / "elsewhere")) == same
    (tool.folder / "README").write_text("not compiled")
    assert golang.digest(tool, go) == same


def test_a_go_is_named_by_the_toolchain_it_fetches(tool, go):
    older = dataclasses.replace(go, version="1.22.0", switches=True)
    wanted = dataclasses.replace(go, version=tool.go_version)
    assert golang.digest(tool, older) == golang.digest(tool, wanted)
