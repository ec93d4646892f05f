import json

import pytest

from infra.upstream import bundle, lock, locking, object_store
from infra.upstream.part import Accepts, Own, Part, Stage
from slipway.core.errors import UsageError

SAMPLE = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "probe", "namespace": "n"}}


def config(name):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "n"}}


def part(name, *requires):
    return Part(name, "1", Stage.CONTROLLERS, (Own(()),), requires=requires, probes=(Accepts(SAMPLE),))


@pytest.fixture
def parts(tmp_path, monkeypatch):
    """Three parts, of which `c` needs `b` and `b` needs `a`; with a lock and their objects in the cache."""
    monkeypatch.setenv("SLIPWAY_CACHE", str(tmp_path / "cache"))
    made = {each.name: each for each in (part("a"), part("b", "a"), part("c", "b"), part("d"))}
    current = lock.Lock()
    for each in made.values():
        object_store.put(object_store.canonical(config(each.name)))
        current = current.with_part(locking.locked(each, [config(each.name)], {}, None))
    monkeypatch.setattr(bundle, "PARTS", made)
    monkeypatch.setattr(bundle, "LOCK_FILE", tmp_path / lock.FILE)
    (tmp_path / lock.FILE).write_text(lock.dumps(current))
    return tmp_path


def test_a_part_comes_after_all_that_it_needs(parts):
    found = bundle.bundled(["c"])
    assert [each.part.name for each in found] == ["a", "b", "c"]
    assert [each.documents for each in found] == [[config("a")], [config("b")], [config("c")]]
    assert found[0].samples == [SAMPLE]
    assert [each.part.name for each in bundle.bundled(["d", "a"])] == ["a", "d"]


def test_an_unknown_part_and_an_unlocked_one_are_refused(parts):
    with pytest.raises(UsageError, match="There is no part 'e'"):
        bundle.bundled(["e"])
    (parts / lock.FILE).unlink()
    with pytest.raises(UsageError, match=r"a is not in upstream\.lock"):
        bundle.bundled(["a"])


def test_objects_that_are_missing_or_changed_are_refused(parts):
    [path] = [
        each for each in (parts / "cache").rglob("*.json") if json.loads(each.read_bytes()) == config("b")
    ]
    path.write_text("{}")
    with pytest.raises(UsageError) as caught:
        bundle.bundled(["c"])
    assert caught.value.fix == "slipway upstream fetch b && slipway upstream render b"
    path.unlink()
    with pytest.raises(UsageError, match="The objects of b are not in the cache"):
        bundle.bundled(["c"])
    assert bundle.bundled(["a"])
