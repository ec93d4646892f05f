import json
import threading
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedded.addresses import RANGE, SLICES, Addresses, Ports
from embedded.instance import (
    Instance,
    candidates,
    current,
)
from slipway.core.errors import FailedError, UsageError


def nothing_in_use(number: int) -> str | None:
    """A machine that uses no address or port of the range."""
    return None


names = st.from_regex(r"[a-z]([a-z0-9-]{0,22}[a-z0-9])?", fullmatch=True)
numbers = st.integers(0, SLICES - 1)


@given(numbers, numbers)
def test_no_two_slices_share_an_address_or_a_port(one, other):
    if one == other:
        return
    assert not Addresses.of(one).slice.overlaps(Addresses.of(other).slice)
    assert not set(Ports.of(one).all()) & set(Ports.of(other).all())


@given(numbers)
def test_the_parts_of_a_slice_do_not_overlap(number):
    addresses = Addresses.of(number)
    parts = (addresses.pods, addresses.services, addresses.link)
    assert addresses.slice.subnet_of(RANGE)
    assert all(part.subnet_of(addresses.slice) for part in parts)
    assert not any(one.overlaps(other) for one, other in combinations(parts, 2))
    assert {addresses.host, addresses.node} <= set(addresses.link.hosts())
    assert {addresses.api_service, addresses.dns_service} <= set(addresses.services.hosts())


@given(names)
def test_every_name_has_short_paths_and_all_candidates(name):
    instance = Instance(name)
    assert len(str(instance.containerd_socket)) <= 107, "a Unix socket's path"
    assert len(instance.host_link) <= 15, "a link's name"
    assert sorted(candidates(name)) == list(range(SLICES))


@given(names, names)
def test_two_names_share_no_folder_and_no_link(one, other):
    if one != other:
        assert Instance(one).data != Instance(other).data
        assert Instance(one).host_link != Instance(other).host_link


@pytest.mark.parametrize("name", ["", "Team", "a/b", "..", "-a", "a-", "a" * 25, "a b", "1a", "a\n"])
def test_invalid_names_are_refused(name):
    with pytest.raises(UsageError, match="SLIPWAY_INSTANCE"):
        Instance(name)


def test_the_environment_overrides_the_clones_name(monkeypatch):
    monkeypatch.delenv("SLIPWAY_INSTANCE", raising=False)
    assert current().name.startswith("slw-")
    assert current() == current()
    monkeypatch.setenv("SLIPWAY_INSTANCE", "mine")
    assert current().name == "mine"


def test_creating_an_instance_has_no_side_effects(tmp_path):
    instance = Instance("mine", data_root=tmp_path / "data")
    assert instance.recorded() is None
    assert not (tmp_path / "data").exists()


def test_the_preferred_slice_is_allocated_once(tmp_path):
    instance = Instance("mine", data_root=tmp_path)
    record = instance.allocate(nothing_in_use)
    assert record.slice == next(candidates("mine"))
    assert instance.allocate(lambda number: "everything is in use now") == record
    assert instance.data.stat().st_mode & 0o777 == 0o700
    assert (instance.data / "instance.json").stat().st_mode & 0o777 == 0o600


def test_a_slice_in_use_is_skipped(tmp_path):
    preferred, second, *_ = candidates("mine")
    instance = Instance("mine", data_root=tmp_path)
    assert instance.allocate(lambda n: "a route" if n == preferred else None).slice == second


def test_instances_never_share_a_slice(tmp_path):
    slices = [Instance(f"i{n}", data_root=tmp_path).allocate(nothing_in_use).slice for n in range(SLICES)]
    assert sorted(slices) == list(range(SLICES))
    with pytest.raises(UsageError, match="instance i"):
        Instance("late", data_root=tmp_path).allocate(nothing_in_use)


def test_concurrent_instances_never_share_a_slice(tmp_path):
    slices: list[int] = []
    threads = [
        threading.Thread(
            target=lambda n=n: slices.append(
                Instance(f"i{n}", data_root=tmp_path).allocate(nothing_in_use).slice
            )
        )
        for n in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(slices)) == len(slices) == 16


@pytest.mark.parametrize(
    "text", ["", "{", '{"name": "mine", "slice": 99}', '{"name": "mine", "slice": 1, "x": 2}']
)
def test_a_damaged_record_is_reported_and_kept(tmp_path, text):
    instance = Instance("mine", data_root=tmp_path)
    instance.data.mkdir()
    path = instance.data / "instance.json"
    path.write_text(text)
    with pytest.raises(FailedError, match=r"instance.json is damaged"):
        instance.allocate(nothing_in_use)
    assert path.read_text() == text


def test_a_damaged_record_of_another_instance_is_skipped(tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "instance.json").write_text("{")
    assert Instance("mine", data_root=tmp_path).allocate(nothing_in_use)


def test_the_record_contains_name_and_slice(tmp_path):
    instance = Instance("mine", data_root=tmp_path)
    instance.allocate(nothing_in_use)
    recorded = json.loads((instance.data / "instance.json").read_text())
    assert recorded == {"name": "mine", "slice": instance.number}
    assert [path.name for path in instance.data.iterdir()] == ["instance.json"], "no temporary file is left"
