"""A tool of the machine is used when its version fits, and never when it is our own link."""

import pytest

from embedded.toolchain import cache, host
from embedded.toolchain.host import KUBERNETES_PROVIDER, LAUNCHER_MARK, PROVIDER_FOLDER


def _program(folder, name, says):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\ncat <<'END'\n{says}\nEND\n")
    path.chmod(0o755)
    return path


@pytest.fixture(autouse=True)
def path(tmp_path, monkeypatch):
    monkeypatch.setenv("SLIPWAY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{tmp_path}/first:{tmp_path}/second:/usr/bin:/bin")
    return tmp_path


@pytest.mark.parametrize(
    ("says", "fits"),
    [
        ("v3.274.1", True),
        ("v3.300.0", True),
        ("v3.274.0", False),
        ("v4.0.0", False),
        ("v3.274.1-alpha.1", True),
        ("nonsense", False),
        ("", False),
    ],
)
def test_pulumi_fits_from_the_pin_to_the_next_major(path, says, fits):
    program = _program(path / "first", "pulumi", says)
    assert host.find("pulumi") == (program if fits else None)


@pytest.mark.parametrize(
    ("version", "fits"),
    [("v1.33.0", True), ("v1.34.9", True), ("v1.35.1", True), ("v1.32.9", False), ("v2.34.0", False)],
)
def test_kubectl_fits_within_the_version_skew_policy(path, version, fits):
    program = _program(path / "first", "kubectl", f'{{"clientVersion": {{"gitVersion": "{version}"}}}}')
    assert host.find("kubectl") == (program if fits else None)


@pytest.mark.parametrize("says", ["{}", "[]", "not json", '{"clientVersion": null}'])
def test_a_kubectl_that_answers_something_else_is_not_used(path, says):
    _program(path / "first", "kubectl", says)
    assert host.find("kubectl") is None


def test_the_first_on_path_that_fits_is_taken(path):
    _program(path / "first", "pulumi", "v3.1.0")
    second = _program(path / "second", "pulumi", "v3.280.0")
    assert host.find("pulumi") == second


def test_our_own_links_are_not_the_machines(path, monkeypatch):
    built = _program(cache.root() / "tools" / "pulumi" / ("a" * 16), "pulumi", "v3.274.1")
    (path / "first").mkdir()
    (path / "first" / "pulumi").symlink_to(built)
    assert host.find("pulumi") is None


def test_nothing_else_is_taken_from_the_machine(path):
    _program(path / "first", "etcd", "etcd Version: 3.6.5")
    assert host.find("etcd") is None


@pytest.mark.parametrize("place", ["PATH", "PULUMI_HOME", "HOME"])
def test_provider_is_found_where_the_cli_looks(path, monkeypatch, place):
    monkeypatch.setenv("PULUMI_HOME", f"{path}/pulumi")
    monkeypatch.setenv("HOME", f"{path}/user")
    assert host.find(KUBERNETES_PROVIDER) is None
    folder = {
        "PATH": path / "second",
        "PULUMI_HOME": path / "pulumi/plugins" / PROVIDER_FOLDER,
        "HOME": path / "user/.pulumi/plugins" / PROVIDER_FOLDER,
    }[place]
    program = _program(folder, KUBERNETES_PROVIDER, "")
    assert host.find(KUBERNETES_PROVIDER) == program


@pytest.mark.parametrize("what", ["our build", "a launcher"])
def test_what_we_put_into_a_pulumi_home_is_not_the_machines(path, monkeypatch, what):
    place = path / "pulumi/plugins" / PROVIDER_FOLDER / KUBERNETES_PROVIDER
    monkeypatch.setenv("PULUMI_HOME", f"{path}/pulumi")
    monkeypatch.setenv("HOME", f"{path}/user")
    program = _program(place.parent, KUBERNETES_PROVIDER, "")
    assert host.find(KUBERNETES_PROVIDER) == program, "the control"
    if what == "a launcher":
        place.write_text(f"#!/bin/sh\n{LAUNCHER_MARK}\n")
    else:
        place.unlink()
        place.symlink_to(_program(cache.root() / "tools/pulumi-kubernetes/0", KUBERNETES_PROVIDER, ""))
    assert host.find(KUBERNETES_PROVIDER) is None


@pytest.mark.parametrize(
    ("name", "says", "fits"),
    [
        ("kustomize", "v5.8.1", True),
        ("kustomize", "v5.8.0", False),
        ("kustomize", "(devel)", False),
        ("helm", "v3.22.0", True),
        ("helm", "v3.22.1", False),
        ("helm", "v4.0.0", False),
    ],
)
def test_renderers_fit_in_exactly_the_pinned_version(path, name, says, fits):
    _program(path / "first", name, says)
    assert (host.find(name) is not None) is fits
