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


def nothing_taken(number: int) -> str | None:
    """A machine that uses nothing of the range."""
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
def test_the_parts_of_a_slice_are_in_it_and_apart(number):
    addresses = Addresses.of(number)
    parts = (addresses.pods, addresses.services, addresses.link)
    assert addresses.slice.subnet_of(RANGE)
    assert all(part.subnet_of(addresses.slice) for part in parts)
    assert not any(one.overlaps(other) for one, other in combinations(parts, 2))
    assert {addresses.host, addresses.node} <= set(addresses.link.hosts())
    assert {addresses.api_service, addresses.dns_service} <= set(addresses.services.hosts())


@given(names)
def test_every_name_has_short_paths_and_all_slices_to_choose_from(name):
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
def test_a_name_that_cannot_be_one_is_refused(name):
    with pytest.raises(UsageError, match="SLIPWAY_INSTANCE"):
        Instance(name)


def test_the_clone_names_the_instance_unless_the_environment_does(monkeypatch):
    monkeypatch.delenv("SLIPWAY_INSTANCE", raising=False)
    assert current().name.startswith("slw-")
    assert current() == current()
    monkeypatch.setenv("SLIPWAY_INSTANCE", "mine")
    assert current().name == "mine"


def test_making_one_touches_nothing(tmp_path):
    instance = Instance("mine", data_root=tmp_path / "data")
    assert instance.recorded() is None
    assert not (tmp_path / "data").exists()


def test_the_preferred_slice_is_taken_and_kept(tmp_path):
    instance = Instance("mine", data_root=tmp_path)
    record = instance.allocate(nothing_taken)
    assert record.slice == next(candidates("mine"))
    assert instance.allocate(lambda number: "everything is taken now") == record
    assert instance.data.stat().st_mode & 0o777 == 0o700
    assert (instance.data / "instance.json").stat().st_mode & 0o777 == 0o600


def test_a_taken_slice_is_passed_over(tmp_path):
    preferred, second, *_ = candidates("mine")
    instance = Instance("mine", data_root=tmp_path)
    assert instance.allocate(lambda n: "a route" if n == preferred else None).slice == second


def test_instances_of_one_machine_never_share_a_slice_and_the_last_is_told_who_has_them(tmp_path):
    made = [Instance(f"i{n}", data_root=tmp_path).allocate(nothing_taken).slice for n in range(SLICES)]
    assert sorted(made) == list(range(SLICES))
    with pytest.raises(UsageError, match="instance i"):
        Instance("late", data_root=tmp_path).allocate(nothing_taken)


def test_instances_made_at_once_never_share_a_slice(tmp_path):
    made: list[int] = []
    threads = [
        threading.Thread(
            target=lambda n=n: made.append(
                Instance(f"i{n}", data_root=tmp_path).allocate(nothing_taken).slice
            )
        )
        for n in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == len(made) == 16


@pytest.mark.parametrize(
    "text", ["", "{", '{"name": "mine", "slice": 99}', '{"name": "mine", "slice": 1, "x": 2}']
)
def test_a_damaged_record_is_named_and_not_replaced(tmp_path, text):
    instance = Instance("mine", data_root=tmp_path)
    instance.data.mkdir()
    path = instance.data / "instance.json"
    path.write_text(text)
    with pytest.raises(FailedError, match=r"instance.json is damaged"):
        instance.allocate(nothing_taken)
    assert path.read_text() == text


def test_a_damaged_record_of_another_instance_is_passed_over(tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "instance.json").write_text("{")
    assert Instance("mine", data_root=tmp_path).allocate(nothing_taken)


def test_the_record_holds_the_name_and_the_slice(tmp_path):
    instance = Instance("mine", data_root=tmp_path)
    instance.allocate(nothing_taken)
    held = json.loads((instance.data / "instance.json").read_text())
    assert held == {"name": "mine", "slice": instance.number}
    assert [path.name for path in instance.data.iterdir()] == ["instance.json"], "no draft is left"
