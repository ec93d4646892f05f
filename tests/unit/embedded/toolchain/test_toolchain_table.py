"""The table, the pins and the committed Go modules say the same."""

import re
import subprocess

import pytest

from embedded.toolchain.tools import BINARIES, SOURCES, TOOLS, Binary, Tool, chosen
from infra import versions

UPSTREAM = [tool for tool in TOOLS.values() if tool.name != "pause"]
OWN = "slipway.dev/toolchain/"


def _mod(tool: Tool) -> str:
    return (tool.folder / "go.mod").read_text()


@pytest.mark.parametrize("tool", UPSTREAM, ids=lambda tool: tool.name)
def test_go_mod_requires_the_version_of_the_table(tool):
    found = re.search(rf"^\s*(?:require )?{re.escape(tool.module)} (\S+)", _mod(tool), re.MULTILINE)
    assert found, f"go.mod of {tool.name} doesn't require {tool.module}"
    assert found[1] == tool.version


@pytest.mark.parametrize("tool", UPSTREAM, ids=lambda tool: tool.name)
def test_go_sum_pins_the_source_and_not_only_the_go_mod(tool):
    assert f"{tool.module} {tool.version} h1:" in (tool.folder / "go.sum").read_text()


@pytest.mark.parametrize(
    "tool",
    [tool for tool in UPSTREAM if not tool.binaries[0].package.startswith(OWN)],
    ids=lambda tool: tool.name,
)
def test_go_mod_names_exactly_the_packages_that_are_built(tool):
    block = re.search(r"^tool \((.*?)\)", _mod(tool), re.MULTILINE | re.DOTALL)
    named = block[1].split() if block else re.findall(r"^tool (\S+)$", _mod(tool), re.MULTILINE)
    assert sorted(named) == sorted(binary.package for binary in tool.binaries)


@pytest.mark.parametrize("tool", TOOLS.values(), ids=lambda tool: tool.name)
def test_modules_have_neutral_names_and_no_path_of_a_machine(tool):
    assert f"module slipway.dev/toolchain/{tool.name}\n" in _mod(tool)
    assert not re.search(r"=> [./]", _mod(tool)), "a replace by a folder builds on one machine only"


def test_every_folder_of_sources_is_a_row():
    assert {path.name for path in SOURCES.iterdir()} == set(TOOLS)


def test_a_platform_needs_no_tool_of_the_tests():
    assert {tool.name for tool in TOOLS.values() if not chosen(tool, tests=False)} == {
        *("distribution", "helm", "kind", "kubeadm", "kustomize", "versitygw")
    }
    assert all(chosen(tool, tests=True) for tool in TOOLS.values())


def test_no_binary_has_two_tools():
    assert len(BINARIES) == sum(len(tool.binaries) for tool in TOOLS.values())
    assert set(BINARIES) >= {
        *("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy"),
        *("kubectl", "coredns", "minio", "kserve-controller", "pulumi", "pause"),
        "pulumi-resource-kubernetes",
    }


@pytest.mark.parametrize(
    ("package", "file"),
    [
        ("go.etcd.io/etcd/server/v3", "server"),
        ("github.com/pulumi/pulumi/pkg/v3/cmd/pulumi", "pulumi"),
        ("github.com/coredns/coredns", "coredns"),
        ("example.com/v8engine", "v8engine"),
    ],
)
def test_go_names_no_binary_after_a_major_version(package, file):
    assert Binary("any", package).built_as == file


def test_programs_are_told_their_version():
    kubernetes, pulumi, minio = (TOOLS[name].ldflags.split() for name in ("kubernetes", "pulumi", "minio"))
    assert "-X=k8s.io/component-base/version.gitVersion=v1.34.4" in kubernetes
    assert "-X=k8s.io/component-base/version.gitMinor=34" in kubernetes
    assert "-X=github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v3.274.1" in pulumi
    assert "-X=github.com/minio/minio/cmd.Version=2026-02-12T20:18:48Z" in minio


def test_provider_has_the_version_of_its_sdk_and_its_commit():
    flags = TOOLS["pulumi-kubernetes"].ldflags.split()
    package = "github.com/pulumi/pulumi-kubernetes/provider/v4/pkg/version"
    assert f"-X={package}.Version={versions.PULUMI_KUBERNETES}+f47bc2d6f199" in flags


@pytest.mark.parametrize("tool", TOOLS.values(), ids=lambda tool: tool.name)
def test_embedded_files_are_in_the_source_and_not_committed(tool):
    source = "".join(path.read_text() for path in tool.folder.glob("*.go"))
    assert sorted(tool.files) == sorted(re.findall(r"^//go:embed (\S+)$", source, re.MULTILINE))
    assert not [name for name in tool.files if (tool.folder / name).exists()]


def test_a_version_made_from_a_commit_is_shown_as_the_commit():
    assert TOOLS["minio"].title == "minio 7aac2a2c5b7c"
    assert TOOLS["etcd"].title == "etcd v3.6.5"


def test_what_git_ignores_is_not_needed():
    paths = [path for tool in TOOLS.values() for path in tool.folder.iterdir()]
    ignored = subprocess.run(
        ["git", "check-ignore", *paths], capture_output=True, text=True, check=False, cwd=SOURCES
    )
    assert ignored.stdout == "", "it would be missing from a clone"
