import tomllib

import pytest

from infra.upstream.lock import Lock, dumps, parse
from infra.upstream.locking import differences, locked, pins_that_differ
from infra.upstream.part import GoModule, Helm, Part, Source, Stage
from infra.upstream.parts import PARTS
from infra.upstream.remote_bases import remote_bases
from slipway.core.errors import UsageError
from slipway.operations.upstream import LOCK_FILE

SOURCE = Source("s", "https://example.com/s", "a" * 40, ("charts",), GoModule("example.com/s", "v1"))
PART = Part("p", "1", Stage.CONTROLLERS, (Helm("s/charts", "p", "n"),), (SOURCE,))
TREES = {"s": "b" * 64}
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": 'with "quotes" \\ and ü', "namespace": "n"},
    "spec": {"containers": [{"name": "m", "image": "a/b:1"}]},
}


def entry(documents=(POD,), earlier=None, part=PART):
    return locked(part, documents, TREES, earlier)


def test_a_lock_is_read_as_it_was_written_and_is_toml():
    lock = Lock().with_part(entry())
    text = dumps(lock)
    assert parse(text, "upstream.lock") == lock
    assert tomllib.loads(text)["part"][0]["objects"][0]["stage"] == 5
    assert dumps(parse(text, "upstream.lock")) == text


def test_a_changed_object_changes_one_line():
    other = {**POD, "metadata": {"name": "other", "namespace": "n"}}
    before = dumps(Lock().with_part(entry([POD, other]))).splitlines()
    changed = {**POD, "spec": {**POD["spec"], "nodeName": "x"}}
    after = dumps(Lock().with_part(entry([changed, other]))).splitlines()
    assert len(before) == len(after)
    assert sum(one != two for one, two in zip(before, after, strict=True)) == 1


def test_parts_are_in_order_and_replaced_by_name():
    lock = Lock().with_part(entry()).with_part(entry(part=Part("a", "1", Stage.STORES, (), (SOURCE,))))
    assert [part.name for part in lock.with_part(entry()).part] == ["a", "p"]
    assert lock.find("p") == entry()
    assert lock.find("q") is None


def test_known_digests_of_images_are_kept():
    image = entry().images[0].model_copy(update={"digest": "sha256:" + "c" * 64})
    earlier = entry().model_copy(update={"images": (image,)})
    assert entry(earlier=earlier).images == (image,)
    assert entry([], earlier).images == ()


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("format = 1", "format = 2", "format 1"),
        ("[[part]]", "[[part", "line"),
        ("sha256 = ", "sha = ", "sha"),
        ('tree = "bb', 'tree = "zz', "tree"),
        ("stage = 5", 'stage = "5"', "stage"),
        ("version = ", "unknown = 1\nversion = ", "unknown"),
    ],
)
def test_a_damaged_lock_is_refused(old, new, why):
    text = dumps(Lock().with_part(entry()))
    assert old in text
    with pytest.raises(UsageError) as raised:
        parse(text.replace(old, new), "upstream.lock")
    assert "upstream.lock" in raised.value.what
    assert why in raised.value.why
    assert raised.value.fix


def test_a_changed_lock_or_render_is_told_by_object():
    changed = {**POD, "spec": {"containers": []}}
    other = {**POD, "metadata": {"name": "other", "namespace": "n"}}
    found = differences(entry([changed, other]), entry())
    assert any("other is not in the lock" in each for each in found)
    assert any("has digest" in each for each in found)
    assert any("is in the lock only" in each for each in differences(entry([]), entry()))
    assert differences(entry(), entry()) == []


def test_pins_of_the_part_and_the_lock_are_compared():
    assert pins_that_differ(PART, entry()) == []
    moved = Part("p", "2", Stage.CONTROLLERS, (), (Source("s", "https://example.com/s", "d" * 40, ("c",)),))
    assert pins_that_differ(moved, entry()) == [
        "version 2, locked 1",
        "s at dddddddddddd, locked aaaaaaaaaaaa",
        "rendered by nothing, locked helm 3.22.0, kubernetes 1.34.4",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "resources: [https://example.com/manifests.yaml]",
        "resources: ['github.com/a/b//config?ref=v1']",
        "resources: ['git@example.com:a/b']",
        "bases: ['https://example.com/a/b']",
        "components: ['ssh://example.com/a']",
        "patches: [{path: 'https://example.com/p.yaml'}]",
        "openapi: {path: 'https://example.com/o.json'}",
        "helmCharts: [{name: c, repo: 'https://example.com'}]",
    ],
)
def test_a_base_by_url_is_found(text):
    [found] = remote_bases({"a/kustomization.yaml": text.encode(), "a/other.yaml": b"https://example.com"})
    assert found.startswith("a/kustomization.yaml: ")


def test_bases_of_the_tree_are_none():
    text = b"resources: [../base, x.yaml, ./a.b/c.yaml, ../../v1.2/base]\npatches: [{path: p.yaml}]\n"
    assert remote_bases({"a/kustomization.yaml": text}) == []


@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS)
def test_every_part_is_pinned_and_installed_after_what_it_needs(part):
    names = list(PARTS)
    assert all(names.index(needed) < names.index(part.name) for needed in part.requires)
    for source in part.sources:
        assert source.repository.startswith("https://")
        assert len(source.commit) == 40
        assert source.folders
    assert len({source.name for source in part.sources}) == len(part.sources)


@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS)
def test_the_committed_lock_is_of_the_parts_as_they_are(part):
    committed = parse(LOCK_FILE.read_text(), LOCK_FILE.name).find(part.name)
    assert committed
    assert pins_that_differ(part, committed) == []
    assert committed.requires == part.requires
    assert committed.render == tuple(step.command for step in part.steps)


def test_no_object_is_in_two_parts():
    objects = [each.identity for part in parse(LOCK_FILE.read_text(), "").part for each in part.objects]
    assert len(objects) > 400
    assert len(objects) == len(set(objects))


def test_a_secret_of_up_is_in_no_part():
    made = {(each.namespace, each.name) for part in PARTS.values() for each in part.secrets}
    there = {
        (each.namespace, each.name)
        for part in parse(LOCK_FILE.read_text(), "").part
        for each in part.objects
        if each.kind == "Secret"
    }
    assert len(made) == 7
    assert not made & there


def test_no_namespace_has_two_makers():
    made = [name for part in PARTS.values() for name in part.namespaces]
    assert len(made) == len(set(made))
