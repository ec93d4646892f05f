"""The table of the programs that a bare machine does not have, and where their source is pinned. Pure.

A tool is one Go module of ours under `go/<tool>/`: its go.mod pins the upstream module, its go.sum
the digests of everything that is compiled. One tool may provide several binaries; they are built
together, because they share most of their packages.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal

from infra import versions

SOURCES: Final = Path(__file__).parent / "go"
Purpose = Literal["platform", "upstream", "tests"]
"""Who needs a tool: a local platform, `slipway upstream render`, or only the tests."""

_MAJOR_SUFFIX = re.compile(r"^v[0-9]+$")
_PSEUDO_VERSION = re.compile(r"-[0-9]{14}-([0-9a-f]{12})$")


@dataclass(frozen=True)
class Binary:
    """One program: its name here, and the Go package it is built from."""

    name: str
    package: str

    @property
    def built_as(self) -> str:
        """The file name that `go build -o folder/` gives it."""
        *_, parent, last = ["", *self.package.split("/")]
        return parent if _MAJOR_SUFFIX.match(last) else last


@dataclass(frozen=True)
class Tool:
    """One row: a pinned Go module and the binaries that are built from it."""

    name: str
    module: str
    version: str
    binaries: tuple[Binary, ...]
    seconds: int
    """How long a build without caches takes on two cores; only used to order builds and as an estimate."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """Go string variables that the linker sets; they contain the program's own version."""

    files: Mapping[str, str] = field(default_factory=dict)
    """Files that our Go source embeds, each by its path in the module, which the module cache holds."""

    purpose: Purpose = "platform"

    @property
    def title(self) -> str:
        """Name and version for messages; for a version made from a commit only the commit."""
        commit = _PSEUDO_VERSION.search(self.version)
        return f"{self.name} {commit.group(1) if commit else self.version}"

    @property
    def folder(self) -> Path:
        """Where go.mod and go.sum of the tool are."""
        return SOURCES / self.name

    @property
    def ldflags(self) -> str:
        """The linker's flags: no symbol table, no DWARF, the version."""
        return " ".join(["-s", "-w", *(f"-X={key}={value}" for key, value in sorted(self.variables.items()))])

    @property
    def go_version(self) -> str:
        """The oldest Go that can build it, as its go.mod says."""
        return pinned_go(self.folder / "go.mod")


def pinned_go(mod: Path) -> str:
    """The `go` line of a go.mod."""
    line = re.search(r"^go (\S+)$", mod.read_text(encoding="utf-8"), re.MULTILINE)
    assert line, f"{mod.name} of {mod.parent.name} has no go line"
    return line.group(1)


def _kubernetes_variables() -> dict[str, str]:
    major, minor, _ = versions.KUBERNETES.split(".")
    return {
        f"{package}.{name}": value
        for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
        for name, value in {
            "gitVersion": f"v{versions.KUBERNETES}",
            "gitMajor": major,
            "gitMinor": minor,
        }.items()
    }


def _minio_variables() -> dict[str, str]:
    _, stamp, commit = versions.MINIO.split("-")
    year, month, day, hour, minute, second = (
        stamp[i:j] for i, j in ((0, 4), (4, 6), (6, 8), (8, 10), (10, 12), (12, 14))
    )
    cmd = "github.com/minio/minio/cmd"
    return {
        f"{cmd}.Version": f"{year}-{month}-{day}T{hour}:{minute}:{second}Z",
        # DEVELOPMENT, as upstream marks what it has not released: it does not look for updates.
        f"{cmd}.ReleaseTag": f"DEVELOPMENT.{year}-{month}-{day}T{hour}-{minute}-{second}Z",
        f"{cmd}.CommitID": commit,
        f"{cmd}.ShortCommitID": commit,
        f"{cmd}.CopyrightYear": year,
    }


_KUBERNETES_PROVIDER = "github.com/pulumi/pulumi-kubernetes/provider/v4"


def _kubernetes_provider_version() -> str:
    """Name the SDK's version and the commit: the engine warns of a provider older than its SDK."""
    return f"{versions.PULUMI_KUBERNETES}+{versions.PULUMI_KUBERNETES_MODULE.rpartition('-')[2]}"


_KUBERNETES_COMMANDS = (
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "kubectl",
)

TOOLS: Final[Mapping[str, Tool]] = MappingProxyType(
    {
        tool.name: tool
        for tool in (
            Tool(
                name="etcd",
                module="go.etcd.io/etcd/server/v3",
                version=f"v{versions.ETCD}",
                binaries=(Binary("etcd", "go.etcd.io/etcd/server/v3"),),
                seconds=70,
            ),
            Tool(
                name="kubernetes",
                module="k8s.io/kubernetes",
                version=f"v{versions.KUBERNETES}",
                binaries=tuple(
                    Binary(name, f"k8s.io/kubernetes/cmd/{name}") for name in _KUBERNETES_COMMANDS
                ),
                seconds=250,
                variables=_kubernetes_variables(),
            ),
            Tool(
                name="coredns",
                module="github.com/coredns/coredns",
                version=f"v{versions.COREDNS}",
                binaries=(Binary("coredns", "github.com/coredns/coredns"),),
                seconds=90,
            ),
            Tool(
                name="minio",
                module="github.com/minio/minio",
                version=f"v{versions.MINIO}",
                binaries=(Binary("minio", "github.com/minio/minio"),),
                seconds=100,
                variables=_minio_variables(),
            ),
            Tool(
                name="kserve",
                module="github.com/kserve/kserve",
                version=f"v{versions.KSERVE}",
                binaries=(Binary("kserve-controller", "github.com/kserve/kserve/cmd/manager"),),
                seconds=110,
            ),
            Tool(
                name="katib-controller",
                module="github.com/kubeflow/katib",
                version=f"v{versions.KATIB}",
                binaries=(
                    Binary("katib-controller", "github.com/kubeflow/katib/cmd/katib-controller/v1beta1"),
                ),
                seconds=90,
            ),
            Tool(
                name="katib-db-manager",
                module="github.com/kubeflow/katib",
                version=f"v{versions.KATIB}",
                binaries=(Binary("katib-db-manager", "github.com/kubeflow/katib/cmd/db-manager/v1beta1"),),
                seconds=20,
            ),
            Tool(
                name="pulumi",
                module="github.com/pulumi/pulumi/pkg/v3",
                version=f"v{versions.PULUMI_CLI}",
                binaries=(Binary("pulumi", "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"),),
                seconds=160,
                variables={
                    "github.com/pulumi/pulumi/sdk/v3/go/common/version.Version": f"v{versions.PULUMI_CLI}"
                },
            ),
            Tool(
                name="pulumi-kubernetes",
                module=_KUBERNETES_PROVIDER,
                version=f"v{versions.PULUMI_KUBERNETES_MODULE}",
                binaries=(Binary("pulumi-resource-kubernetes", "slipway.dev/toolchain/pulumi-kubernetes"),),
                seconds=600,
                variables={f"{_KUBERNETES_PROVIDER}/pkg/version.Version": _kubernetes_provider_version()},
                files={
                    name: f"cmd/pulumi-resource-kubernetes/{name}"
                    for name in ("schema.json", "terraform-mapping.json")
                },
            ),
            Tool(
                name="pause",
                module="slipway.dev/toolchain/pause",
                version="v1",
                binaries=(Binary("pause", "slipway.dev/toolchain/pause"),),
                seconds=2,
            ),
            Tool(
                name="kustomize",
                module="sigs.k8s.io/kustomize/kustomize/v5",
                version=f"v{versions.KUSTOMIZE}",
                binaries=(Binary("kustomize", "sigs.k8s.io/kustomize/kustomize/v5"),),
                seconds=40,
                variables={"sigs.k8s.io/kustomize/api/provenance.version": f"v{versions.KUSTOMIZE}"},
                purpose="upstream",
            ),
            Tool(
                name="helm",
                module="helm.sh/helm/v3",
                version=f"v{versions.HELM}",
                binaries=(Binary("helm", "helm.sh/helm/v3/cmd/helm"),),
                seconds=120,
                variables={"helm.sh/helm/v3/internal/version.version": f"v{versions.HELM}"},
                purpose="upstream",
            ),
            Tool(
                name="versitygw",
                module="github.com/versity/versitygw",
                version=f"v{versions.VERSITYGW}",
                binaries=(Binary("versitygw", "github.com/versity/versitygw/cmd/versitygw"),),
                seconds=170,
                variables={"main.Version": f"v{versions.VERSITYGW}"},
                purpose="tests",
            ),
            Tool(
                name="distribution",
                module="github.com/distribution/distribution/v3",
                version=f"v{versions.DISTRIBUTION}",
                binaries=(Binary("registry", "github.com/distribution/distribution/v3/cmd/registry"),),
                seconds=120,
                purpose="tests",
            ),
            Tool(
                name="kind",
                module="sigs.k8s.io/kind",
                version=f"v{versions.KIND}",
                binaries=(Binary("kind", "sigs.k8s.io/kind"),),
                seconds=10,
                purpose="tests",
            ),
            Tool(
                name="kubeadm",
                module="k8s.io/kubernetes",
                version=f"v{versions.KUBERNETES}",
                # Its module has fewer dependencies than the one of the cluster's own programs.
                binaries=(Binary("kubeadm", "k8s.io/kubernetes/cmd/kubeadm"),),
                seconds=60,
                variables=_kubernetes_variables(),
                purpose="tests",
            ),
        )
    }
)
"""Every tool by its name."""

BINARIES: Final[Mapping[str, Tool]] = MappingProxyType(
    {binary.name: tool for tool in TOOLS.values() for binary in tool.binaries}
)
"""The tool that provides each binary."""


def chosen(tool: Tool, *, tests: bool) -> bool:
    """Whether a tool is included where none is named; `tests` also includes those that no platform needs."""
    return tests or tool.purpose == "platform"
