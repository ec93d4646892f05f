"""KServe and Katib from the Go module proxy, rendered by the real helm and kustomize."""

import json
import subprocess
from dataclasses import replace

import pytest
from support import upstream as support

from infra.upstream import object_store
from infra.upstream.fetching import source_store
from infra.upstream.images import images
from infra.upstream.parts import PARTS
from oci.references import parse, parse_place
from oci.rewriting import rewrite
from slipway.cli.app import main
from slipway.core.errors import UsageError
from slipway.operations import upstream

pytestmark = pytest.mark.contract

NAMES = ("kubeflow", "kserve", "katib")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """Fetch and render in a cache of our own, with nothing in it before."""
    with pytest.MonkeyPatch.context() as patch:
        support.own_cache(tmp_path_factory.mktemp("bundle") / "cache", patch)
        fetched = upstream.fetch(NAMES)
        yield fetched, upstream.render(NAMES)


def test_the_go_modules_have_the_locked_files(bundle):
    fetched, _ = bundle
    assert [(each.part, each.road) for each in fetched] == [("kserve", "Go module"), ("katib", "Go module")]


def test_each_object_is_the_locked_one(bundle):
    """`render` compares every digest; a second time it renders the same bytes again."""
    _, rendered = bundle
    assert [each.changed for each in rendered] == [False] * len(NAMES)
    assert upstream.render(NAMES) == rendered
    assert [(each.part, each.objects) for each in rendered] == [
        ("kubeflow", 1),
        ("kserve", 24),
        ("katib", 19),
    ]


def test_the_cache_has_each_object_by_its_digest(bundle):
    entry = upstream.read_lock().find("katib")
    for each in entry.objects:
        content = object_store.get(each.sha256)
        assert len(content) == each.size
        assert json.loads(content)["kind"] == each.kind


def test_nothing_but_digests_of_images_is_missing(bundle):
    assert {each.law for each in upstream.check(NAMES).findings} <= {"image"}


def test_katibs_password_is_not_in_the_bundle(bundle):
    entry = upstream.read_lock().find("katib")
    assert not [each for each in entry.objects if each.kind == "Secret"]
    [made] = PARTS["katib"].secrets
    mysql = next(each for each in entry.objects if each.name == "katib-mysql" and each.kind == "Deployment")
    assert made.name in object_store.get(mysql.sha256).decode()


def test_every_command_answers_in_json(bundle, capsys):
    for words, code in ((["fetch"], 0), (["render"], 0), (["check"], 1), (["images"], 0)):
        assert main(["upstream", *words, "kserve", "--json"]) == code
        assert json.loads(capsys.readouterr().out)


def test_a_mirror_and_an_archive_have_the_same_digest(bundle, tmp_path, monkeypatch):
    """A repository with the module's files, as a mirror and as a server's archive of it."""
    [locked] = upstream.read_lock().find("katib").sources
    [source] = PARTS["katib"].sources
    files = source_store.get(source, locked.tree)
    work = tmp_path / "work"
    at = support.repository(work, {path: content.decode() for path, content in files.items()})
    moved = replace(PARTS["katib"], sources=(replace(source, commit=at),))
    mirrors = tmp_path / "mirrors"
    mirrors.mkdir()
    support.git(work, "clone", "--quiet", "--mirror", ".", str(mirrors / "katib.git"))
    support.own_parts(monkeypatch, tmp_path / "upstream.lock", moved)
    support.own_cache(tmp_path / "one", monkeypatch)
    [by_mirror] = upstream.fetch(mirror=mirrors, update=True)
    archives = tmp_path / "archives"
    archives.mkdir()
    command = ["git", "archive", f"--prefix=katib-{at}/", f"--output={archives}/katib-{at}.tar.gz", at]
    subprocess.run(command, cwd=work, check=True)
    (tmp_path / "two").mkdir()
    monkeypatch.setenv("SLIPWAY_CACHE", str(tmp_path / "two"))
    [by_archive] = upstream.fetch(mirror=archives, update=True)
    assert (by_mirror.road, by_archive.road) == ("mirror", "archive")
    assert by_mirror.tree == by_archive.tree == locked.tree


def test_without_the_cache_each_command_says_what_to_run(tmp_path, monkeypatch):
    support.own_cache(tmp_path / "cache", monkeypatch)
    with pytest.raises(UsageError) as caught:
        upstream.render(["katib"])
    assert caught.value.fix == "slipway upstream fetch katib"
    with pytest.raises(UsageError) as caught:
        upstream.check(["katib"])
    assert caught.value.fix == "slipway upstream fetch katib && slipway upstream render katib"


def test_every_image_of_an_object_can_come_from_a_mirror(bundle):
    mirror = parse_place("mirror.example.org/all")
    count = 0
    for name in NAMES:
        entry = upstream.read_lock().find(name)
        mirrored = {each.name: str(mirror.of(parse(each.name))) for each in entry.images}
        for each in entry.objects:
            document = json.loads(object_store.get(each.sha256))
            no_images = PARTS[name].not_images
            before, after = (images(each, no_images) for each in (document, rewrite(document, mirrored)))
            assert sorted(after) == sorted(mirrored[image] for image in before)
            count += len(after)
    assert count > 15, "the control"
