"""Tampered sources, renders and locks; commits that are gone; a network that ends half-way."""

import http.server
import json
import threading
from dataclasses import replace

import pytest
from support import upstream as support
from support.commands import raising

from infra.upstream import object_store
from infra.upstream.part import GoModule, Helm, Rewrite, Set, Target
from slipway.cli.app import main
from slipway.core.errors import FailedError, UsageError
from slipway.operations import upstream

pytestmark = pytest.mark.contract


@pytest.fixture
def cache(tmp_path, monkeypatch):
    return support.own_cache(tmp_path / "cache", monkeypatch)


@pytest.fixture
def lock_file(tmp_path):
    return tmp_path / "upstream.lock"


@pytest.fixture
def use(monkeypatch, lock_file):
    """Return what makes a part the only one."""
    return lambda part: support.own_parts(monkeypatch, lock_file, part)


@pytest.fixture
def part(cache, use, tmp_path):
    """A part that is fetched, rendered and locked."""
    made = support.part_of(tmp_path / "source", support.repository(tmp_path / "source"))
    use(made)
    upstream.fetch(update=True)
    upstream.render(update=True)
    return made


def trees(cache):
    return sorted(path.name for path in (cache / "upstream" / "trees").glob("*"))


def refused(call, kind=FailedError):
    with pytest.raises(kind) as caught:
        call()
    assert type(caught.value) is kind
    assert caught.value.what
    assert caught.value.fix
    return f"{caught.value.what} {caught.value.why}"


def test_a_locked_part_is_fetched_and_rendered_again(part):
    """The control of everything below."""
    [fetched] = upstream.fetch()
    assert fetched.road == "cache"
    [rendered] = upstream.render()
    assert (rendered.objects, rendered.changed) == (2, False)
    assert upstream.check().findings == []


def test_a_tampered_lock_refuses_the_source(part, cache, lock_file):
    tree = upstream.read_lock(lock_file).part[0].sources[0].tree
    lock_file.write_text(lock_file.read_text().replace(tree, "0" * 64))
    before = trees(cache)
    said = refused(upstream.fetch)
    assert "are not those of upstream.lock" in said
    assert trees(cache) == before


def test_a_tampered_lock_refuses_the_render(part, lock_file):
    for each in upstream.read_lock(lock_file).part[0].objects:
        lock_file.write_text(lock_file.read_text().replace(each.sha256, "0" * 64))
    said = refused(upstream.render)
    assert "ConfigMap n/c has digest" in said


def test_a_lock_that_is_no_toml_is_a_usage_error(part, lock_file, capsys):
    lock_file.write_text("[[part")
    assert main(["upstream", "render"]) == 2
    assert "upstream.lock is damaged" in capsys.readouterr().err


def test_tampered_files_in_the_cache_are_not_rendered(part, cache):
    [tree] = trees(cache)
    changed = cache / "upstream" / "trees" / tree / "config" / "c.yaml"
    changed.write_text(changed.read_text().replace("value", "other"))
    said = refused(upstream.render, UsageError)
    assert "is not in the cache" in said
    [fetched] = upstream.fetch()
    assert fetched.road == "git"
    assert upstream.render()[0].changed is False


def test_a_tampered_object_in_the_cache_is_not_checked(part, cache):
    for path in (cache / "objects").rglob("*.json"):
        path.write_text(path.read_text() + " ")
    assert "damaged" in refused(upstream.check, UsageError)
    upstream.render()
    assert upstream.check().findings == []


def test_another_commit_needs_update(part, use, tmp_path):
    at = support.commit(tmp_path / "source", {"config/c.yaml": support.MANIFEST.replace("value", "new")})
    use(support.part_of(tmp_path / "source", at, version="2"))
    for call in (upstream.fetch, upstream.render, upstream.check):
        assert "version 2, locked 1" in refused(call, UsageError)
    upstream.fetch(update=True)
    assert upstream.render(update=True)[0].changed
    assert upstream.render()[0].changed is False


def test_a_commit_that_is_gone_is_named(part, use, cache, tmp_path):
    use(support.part_of(tmp_path / "source", "1" * 40))
    before = trees(cache)
    said = refused(lambda: upstream.fetch(update=True))
    assert f"does not have commit {'1' * 12}" in said
    assert trees(cache) == before


def test_a_mirror_without_the_source_or_commit_is_named(part, cache, use, tmp_path):
    use(support.part_of(tmp_path / "source", "1" * 40))
    (tmp_path / "mirrors").mkdir()
    said = refused(lambda: upstream.fetch(update=True, mirror=tmp_path / "mirrors"), UsageError)
    assert "The mirror has no source" in said
    said = refused(lambda: upstream.fetch(update=True, mirror=tmp_path))
    assert "does not have commit" in said
    refused(lambda: upstream.fetch(mirror=tmp_path / "nowhere"), UsageError)


def test_a_cut_archive_keeps_nothing(part, cache, use, tmp_path):
    at = part.sources[0].commit
    mirrors = tmp_path / "mirrors"
    mirrors.mkdir()
    archive = mirrors / f"source-{at}.tar.gz"
    support.git(tmp_path / "source", "archive", "--prefix=source/", f"--output={archive}", at)
    whole = archive.read_bytes()
    archive.write_bytes(whole[: len(whole) // 2])
    [tree] = trees(cache)
    for path in (cache / "upstream" / "trees" / tree).rglob("*.yaml"):
        path.write_text("")
    assert "can't be read as an archive" in refused(lambda: upstream.fetch(mirror=mirrors))
    archive.write_bytes(whole)
    assert upstream.fetch(mirror=mirrors)[0].road == "archive"


@pytest.fixture
def cutting_server():
    """A server whose answers end after a few bytes."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", "1000000")
            self.end_headers()
            self.wfile.write(b"{" if self.path.endswith(".info") else b"PK\x03\x04")

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_network_that_ends_half_way_keeps_nothing(cache, use, tmp_path, monkeypatch, cutting_server):
    monkeypatch.setenv("GOPROXY", cutting_server)
    monkeypatch.setenv("GONOSUMDB", "*")
    made = support.part_of(tmp_path / "source", support.repository(tmp_path / "source"))
    [source] = made.sources
    cut = replace(source, repository=f"{cutting_server}/x", module=GoModule("example.com/x", "v1.0.0"))
    use(replace(made, sources=(cut,)))
    said = refused(lambda: upstream.fetch(update=True))
    assert "neither as a Go module nor by git" in said
    assert trees(cache) == []
    assert not list((cache / "upstream").rglob("commits/*"))
    # git reaches it although the proxy does not answer.
    use(replace(made, sources=(replace(cut, repository=source.repository),)))
    assert upstream.fetch(update=True)[0].road == "git"


def test_a_base_by_url_is_refused_and_a_rewrite_cures_it(cache, use, tmp_path):
    url = "https://example.com/base.yaml"
    files = {**support.FILES, "config/kustomization.yaml": f"resources: [{url}]\n"}
    made = support.part_of(tmp_path / "source", support.repository(tmp_path / "source", files))
    use(made)
    upstream.fetch(update=True)
    assert url in refused(lambda: upstream.render(update=True))
    use(replace(made, rewrites=(Rewrite("source/config/kustomization.yaml", url, "c.yaml"),)))
    assert upstream.render(update=True)[0].objects == 2
    use(replace(made, rewrites=(Rewrite("source/config/c.yaml", url, "c.yaml"),)))
    assert "0 times, not once" in refused(lambda: upstream.render(update=True))


def test_a_link_in_the_source_is_refused(cache, use, tmp_path):
    made = support.part_of(tmp_path / "source", support.repository(tmp_path / "source"))
    (tmp_path / "source" / "config" / "link").symlink_to("c.yaml")
    use(support.part_of(tmp_path / "source", support.commit(tmp_path / "source", {})))
    assert "config/link" in refused(lambda: upstream.fetch(update=True))
    use(made)
    assert upstream.fetch(update=True)


def test_a_chart_that_renders_differently_is_refused(cache, use, tmp_path):
    chart = "apiVersion: v2\nname: c\nversion: 1.0.0\n"
    files = {
        "config/Chart.yaml": chart,
        "config/templates/c.yaml": support.MANIFEST
        + "  random: {{ randAlphaNum 20 | default .Values.key }}\n",
    }
    made = support.part_of(tmp_path / "source", support.repository(tmp_path / "source", files))
    use(replace(made, steps=(Helm("source/config", "c", "n"),)))
    upstream.fetch(update=True)
    assert "renders differently each time" in refused(lambda: upstream.render(update=True))


def test_a_patch_that_fits_nothing_is_refused(part, use):
    use(replace(part, patches=(Set(Target("Deployment", "d"), ("spec",), {}),)))
    assert "no object is Deployment d" in refused(lambda: upstream.render(update=True))


def test_a_changed_patch_needs_update(part, use):
    use(replace(part, patches=(Set(Target("ConfigMap", "c"), ("data", "key"), "mine"),)))
    assert "was rendered to something else" in refused(upstream.render)
    assert upstream.render(update=True)[0].changed


def test_a_name_that_is_no_part_is_refused(part, capsys):
    for command in ("fetch", "render", "check", "images"):
        assert main(["upstream", command, "nosuch"]) == 2
        assert "There is no part 'nosuch'" in capsys.readouterr().err


def test_a_finding_is_exit_code_1(part, use, capsys):
    assert main(["upstream", "check"]) == 0
    use(replace(part, patches=(Set(Target("ConfigMap", "c"), ("data", "password"), "minio123"),)))
    upstream.render(update=True)
    assert main(["upstream", "check"]) == 1
    assert "MinIO's key" in capsys.readouterr().out


@pytest.fixture
def upgraded(part, use, tmp_path, lock_file):
    """The lock before and after an upgrade that removes the namespace."""
    before = tmp_path / "before.lock"
    before.write_text(lock_file.read_text())
    upstream.render(output=tmp_path / "exported")
    use(replace(part, patches=(Set(Target("ConfigMap", "c"), ("data", "key"), "new"),), namespaces={}))
    upstream.render(update=True)
    return before


def test_an_upgrade_is_planned_from_two_locks(upgraded, lock_file, capsys):
    assert main(["upstream", "diff", str(upgraded), str(lock_file), "--json"]) == 3
    planned = json.loads(capsys.readouterr().out)
    assert planned["forbidden"] is True
    assert [(each["action"], each["object"], each["consequence"]) for each in planned["changes"]] == [
        ("changed", "ConfigMap n/c", ""),
        ("removed", "Namespace n", "forbidden"),
    ]
    assert main(["upstream", "diff", str(lock_file), str(upgraded)]) == 0
    assert "1 added, 0 removed, 1 changed" in capsys.readouterr().out
    assert main(["upstream", "diff", str(upgraded), str(upgraded)]) == 0


def test_an_exported_bundle_needs_no_cache(upgraded, lock_file, cache, tmp_path, capsys):
    exported = tmp_path / "exported"
    [digest] = [
        each.sha256 for each in upstream.read_lock(upgraded).part[0].objects if each.kind == "ConfigMap"
    ]
    (cache / "objects" / digest[:2] / f"{digest}.json").unlink()
    assert main(["upstream", "diff", str(upgraded), str(lock_file)]) == 2
    assert "are not in the cache" in capsys.readouterr().err
    assert main(["upstream", "diff", str(exported), str(lock_file)]) == 3
    (exported / "objects" / digest[:2] / f"{digest}.json").write_text("{}")
    assert main(["upstream", "diff", str(exported), str(lock_file)]) == 2
    assert "is damaged" in capsys.readouterr().err
    assert main(["upstream", "diff", str(tmp_path / "nowhere"), str(lock_file)]) == 2
    assert main(["upstream", "render", "--output", str(exported)]) == 2


@pytest.fixture
def with_image(part, use):
    use(replace(part, patches=(Set(Target("ConfigMap", "c"), ("data", "image"), "busybox:1.36"),)))
    upstream.render(update=True)


def test_digests_of_images_are_taken_from_a_list(with_image, tmp_path, capsys):
    digest = "sha256:" + "a" * 64
    listed = tmp_path / "images.txt"
    assert main(["upstream", "check"]) == 1
    assert main(["upstream", "images", "--names"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "busybox:1.36"
    listed.write_text(f"docker.io/library/busybox:1.36@{digest}\n")
    assert main(["upstream", "images", "--digests", str(listed), "--json"]) == 0
    [image] = json.loads(capsys.readouterr().out)
    assert image["digest"] == digest
    assert main(["upstream", "check"]) == 0
    assert upstream.render()[0].changed is False
    listed.write_text(f"docker.io/library/busybox:1.36@{digest[:-1]}b\n")
    assert main(["upstream", "images", "--digests", str(listed)]) == 1
    assert "another digest" in capsys.readouterr().err
    listed.write_text("busybox:1.36\n")
    assert main(["upstream", "images", "--digests", str(listed)]) == 2
    assert "has no digest" in capsys.readouterr().err


def test_an_export_takes_every_image_from_a_mirror(part, use, tmp_path, capsys):
    hidden = "controller:\n  sidecar: ghcr.io/example/sidecar:v1.2.3 # pinned\n"
    image, settings = (Set(Target("ConfigMap", "c"), ("data", key), value) for key, value in (
        ("image", "busybox:1.36"), ("settings.yaml", hidden)
    ))  # fmt: skip
    use(replace(part, patches=(image, settings)))
    upstream.render(update=True)
    digest = "sha256:" + "a" * 64
    (tmp_path / "images.txt").write_text(f"ghcr.io/example/sidecar:v1.2.3@{digest}\n")
    assert main(["upstream", "images", "--digests", str(tmp_path / "images.txt")]) == 0
    folder = tmp_path / "exported"
    command = ["upstream", "render", "--from", "registry.test/mirror"]
    assert main(command) == 2
    assert "--from needs --output" in capsys.readouterr().err
    assert main([*command, "--output", str(folder)]) == 0
    [entry] = upstream.read_lock(folder / "upstream.lock").part
    assert {each.name: each.digest for each in entry.images} == {
        "registry.test/mirror/docker.io/library/busybox:1.36": "",
        f"registry.test/mirror/ghcr.io/example/sidecar:v1.2.3@{digest}": digest,
    }
    [changed] = [each.sha256 for each in entry.objects if each.kind == "ConfigMap"]
    written = json.loads(object_store.place(folder, changed).read_text())
    name = f"registry.test/mirror/ghcr.io/example/sidecar:v1.2.3@{digest}"
    assert written["data"]["settings.yaml"] == f"controller:\n  sidecar: {name} # pinned\n"
    assert upstream.render()[0].changed is False, "the cache and the lock keep upstream's names"


def test_what_a_killed_fetch_left_is_removed(cache, use, tmp_path):
    left = cache / "upstream" / "trees" / ".draft-abc"
    left.mkdir(parents=True)
    (left / "half").write_text("x")
    use(support.part_of(tmp_path / "source", support.repository(tmp_path / "source")))
    [fetched] = upstream.fetch(update=True)
    assert trees(cache) == [fetched.tree]


def test_a_missing_program_is_named_with_its_version(part, monkeypatch, capsys):
    monkeypatch.setattr(
        upstream.upstream_parts.toolchain, "binary", raising(UsageError("Go is not installed."))
    )
    assert main(["upstream", "render"]) == 2
    said = capsys.readouterr().err
    assert "kustomize 5.8.1 is not on this machine" in said
    assert "Go is not installed" in said


def test_a_mirror_that_is_not_whole_is_named(part, cache, tmp_path):
    mirrors = tmp_path / "mirrors"
    mirrors.mkdir()
    whole = mirrors / "source.git"
    support.git(tmp_path / "source", "clone", "--quiet", "--mirror", ".", str(whole))
    blob = support.git(whole, "rev-parse", f"{part.sources[0].commit}:config/c.yaml")
    [tree] = trees(cache)
    for path in (cache / "upstream" / "trees" / tree).rglob("*.yaml"):
        path.write_text("")
    kept = whole / "objects" / blob[:2] / blob[2:]
    moved = kept.rename(tmp_path / "kept")
    said = refused(lambda: upstream.fetch(mirror=mirrors))
    assert "does not have config/c.yaml" in said
    moved.rename(kept)
    assert upstream.fetch(mirror=mirrors)[0].road == "mirror"
