"""An image for a node of kind, made without Docker and without a registry, and kept by its digest.

The official one is built by `kind build node-image`, which runs Docker and pulls images. This has the same
parts: Debian packages, the files of the kind module's images/base, Kubernetes' programs and the images
of the control plane, which a unit imports before the kubelet starts. What differs is what the network of
a namespace without a way out needs: a fixed CNI configuration and volumes that are there from the start.
"""

import json
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from support import kind_images

from embedded.images.blobs import BlobStore, blob_of
from embedded.images.debian import DebianLayer
from embedded.images.layer import ROOT_FILES, ROOT_MODES, digest_of, lay_out, make_root
from embedded.images.oci import ImageContent, ImageSettings, assemble
from embedded.images.tree import pack
from embedded.toolchain import BINARIES, binary, cache, golang
from infra import versions
from slipway.core.report import Report, silent

NAME: Final = "localhost/slipway-tests/kind-node"
POD_SUBNET: Final = "10.244.0.0/24"
VOLUMES: Final = 6
_PACKAGES: Final = (
    "bash", "ca-certificates", "conntrack", "containerd", "containernetworking-plugins", "coreutils",
    "debianutils", "ethtool", "findutils", "grep", "gzip", "hostname", "iproute2", "iptables", "jq", "kmod",
    "libc-bin", "mawk", "mount", "nftables", "procps", "runc", "sed", "systemd", "util-linux",
)  # fmt: skip
_BASE: Final = DebianLayer("packages of a node", packages=_PACKAGES)
_UNWANTED: Final = (
    "usr/lib/systemd/system/sysinit.target.wants/systemd-tmpfiles-setup.service",
    "usr/lib/systemd/system/multi-user.target.wants/*",
    "usr/lib/systemd/system/local-fs.target.wants/*",
    "usr/lib/systemd/system/sockets.target.wants/*udev*",
    "usr/lib/systemd/system/sockets.target.wants/*initctl*",
    "etc/systemd/system/*.wants/*",
)
"""What the Dockerfile of kind's base image removes."""
_MASKED: Final = ("systemd-binfmt.service", "sys-kernel-config.mount", "sys-kernel-debug.mount")
_ENABLED: Final = ("containerd", "kubelet", "undo-mount-hacks", "slipway-images")
_IMPORT: Final = """\
[Unit]
After=containerd.service
Requires=containerd.service
Before=kubelet.service
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -euc 'test -e /var/lib/images-imported && exit; \
for each in /kind/images/*.tar; do ctr --namespace=k8s.io images import $each; done; \
touch /var/lib/images-imported'
"""
_CNI: Final = {
    "cniVersion": "0.4.0",
    "name": "tests",
    "plugins": [
        {
            "type": "ptp",
            "ipMasq": False,
            "ipam": {
                "type": "host-local",
                "ranges": [[{"subnet": POD_SUBNET}]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        },
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ],
}


@dataclass(frozen=True)
class _NodeSettings(ImageSettings):
    def as_json(self) -> dict[str, object]:
        # systemd ends on this signal; without it a stop waits until it is killed.
        return {**super().as_json(), "StopSignal": "SIGRTMIN+3"}


@dataclass(frozen=True)
class _NodeLayer:
    """All files of a node that are not Debian's."""

    store: BlobStore
    name: str = "a node of kind"

    def key(self) -> str:
        source = Path(__file__).read_text()
        images = {name: recipe.key() for name, recipe in kind_images.RECIPES.items()}
        tools = {name: BINARIES[name].version for name in ("kind", "kubeadm", "kubelet", "kubectl")}
        return digest_of("kind node", source, images, tools, _BASE.key())

    def write(self, out: BinaryIO, work: Path, report: Report) -> None:
        root = work / "root"
        _BASE.unpack(root, work / "archives", report)
        _complete_packages(root)
        _copy_base_files(root)
        lay_out(root, _texts())
        for name in ("kubelet", "kubeadm", "kubectl"):
            lay_out(root, {f"usr/bin/{name}": binary(name)})
        kind_images.archives(root / "kind/images", self.store)
        _enable_units(root)
        for number in range(VOLUMES):
            (root / f"var/volumes/{number}").mkdir(parents=True)
        pack(root, out, modes={**ROOT_MODES, "tmp": 0o1777})


def _complete_packages(root: Path) -> None:
    """Make what the packages' scripts would have made."""
    make_root(root)
    for name in ("bin", "sbin", "lib", "lib64"):
        (root / "usr" / name).mkdir(parents=True, exist_ok=True)
        (root / name).symlink_to(f"usr/{name}")
    lay_out(root, {"etc/passwd": ROOT_FILES["etc/passwd"].replace("/sbin/nologin", "/bin/bash", 1)})
    (root / "usr/sbin/init").symlink_to("/usr/lib/systemd/systemd")
    for name, target in {
        "usr/bin/which": "which.debianutils",
        "usr/bin/awk": "mawk",
        "usr/bin/sh": "bash",
        **{
            f"usr/sbin/{name}{command}": "xtables-nft-multi"
            for name in ("iptables", "ip6tables")
            for command in ("", "-save", "-restore")
        },
    }.items():
        if not (root / name).exists():
            (root / name).symlink_to(target)
    # There is one kind of iptables, so there is nothing to select.
    (root / "usr/local/sbin").mkdir(parents=True, exist_ok=True)
    (root / "usr/local/sbin/update-alternatives").symlink_to("/usr/bin/true")
    (root / "opt/cni").mkdir(parents=True)
    (root / "opt/cni/bin").symlink_to("/usr/lib/cni")
    for name in (
        "root",
        "proc",
        "sys",
        "dev",
        "run",
        "lib/modules",
        "etc/kubernetes/manifests",
        "var/log/journal",
    ):
        (root / name).mkdir(parents=True, exist_ok=True)


def _copy_base_files(root: Path) -> None:
    tool = BINARIES["kind"]
    go = golang.find((tool,))
    done = subprocess.run(
        golang.download_command(go, tool), cwd=tool.folder, env=golang.environment(go),
        capture_output=True, check=True,
    )  # fmt: skip
    shutil.copytree(
        Path(json.loads(done.stdout)["Dir"]) / "images/base/files", root, dirs_exist_ok=True,
        copy_function=_copied,
    )  # fmt: skip
    config = root / "etc/containerd/config.toml"
    # Root in a sandbox may have no CAP_SYS_RESOURCE, which lowering an OOM score needs.
    config.write_text(
        config.read_text().replace("restrict_oom_score_adj = false", "restrict_oom_score_adj = true")
    )
    (root / "usr/local/bin/containerd").symlink_to("/usr/bin/containerd")


def _copied(source: str, target: str) -> None:
    shutil.copyfile(source, target)
    script = Path(source).suffix == ".sh" or Path(source).parent.name == "bin"
    Path(target).chmod(0o755 if script else 0o644)


def _texts() -> Mapping[str, str]:
    return {
        "kind/version": f"v{versions.KUBERNETES}",
        # The only CNI configuration is in the image already.
        "kind/manifests/default-cni.yaml": json.dumps(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "cni", "namespace": "kube-system"}}
        ),
        "kind/manifests/default-storage.yaml": "\n---\n".join(map(json.dumps, _storage())),
        "etc/cni/net.d/10-tests.conflist": json.dumps(_CNI),
        "etc/containerd/cri-base.json": json.dumps(_container_spec()),
        "etc/systemd/system/slipway-images.service": _IMPORT,
        "etc/systemd/journald.conf": "[Journal]\nReadKMsg=no\n",
        # The kubelet may neither set sysctls nor lower OOM scores without CAP_SYS_RESOURCE.
        "etc/default/kubelet": "KUBELET_EXTRA_ARGS=--runtime-cgroups=/system.slice/containerd.service "
        "--feature-gates=KubeletInUserNamespace=true\n",
        "etc/os-release": "ID=debian\nPRETTY_NAME=a node of the tests\n",
        "etc/hosts": "127.0.0.1 localhost\n",
    }


def _container_spec() -> dict[str, Any]:
    done = subprocess.run(["ctr", "oci", "spec"], capture_output=True, check=True)
    spec: dict[str, Any] = json.loads(done.stdout)
    spec["process"].pop("rlimits", None)
    hook = {"path": "/kind/bin/mount-product-files.sh"}
    return {**spec, "hooks": {"createContainer": [hook]}}


def _storage() -> list[dict[str, Any]]:
    """Return the default StorageClass, and the volumes that are there instead of a provisioner."""
    here = [{"key": "kubernetes.io/os", "operator": "In", "values": ["linux"]}]
    return [
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {
                "name": "standard",
                "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
            },
            "provisioner": "kubernetes.io/no-provisioner",
            "volumeBindingMode": "WaitForFirstConsumer",
        },
        *(
            {
                "apiVersion": "v1",
                "kind": "PersistentVolume",
                "metadata": {"name": f"volume-{number}"},
                "spec": {
                    "capacity": {"storage": "100Gi"},
                    "accessModes": ["ReadWriteOnce"],
                    "persistentVolumeReclaimPolicy": "Retain",
                    "storageClassName": "standard",
                    "local": {"path": f"/var/volumes/{number}"},
                    "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": here}]}},
                },
            }
            for number in range(VOLUMES)
        ),
    ]


def _enable_units(root: Path) -> None:
    for pattern in _UNWANTED:
        for path in root.glob(pattern):
            path.unlink()
    units = root / "etc/systemd/system"
    wants = units / "multi-user.target.wants"
    wants.mkdir(parents=True, exist_ok=True)
    for name in _ENABLED:
        (wants / f"{name}.service").symlink_to(f"/etc/systemd/system/{name}.service")
    for name in _MASKED:
        (units / name).symlink_to("/dev/null")
    (units / "default.target").symlink_to("/usr/lib/systemd/system/multi-user.target")


def node_image() -> tuple[ImageContent, BlobStore]:
    """Return the image, built where it is not cached, and where its layer is."""
    store = BlobStore(cache.root() / "images")
    layer = _NodeLayer(store)
    blob = store.make(layer.key(), lambda out, work: layer.write(out, work, silent))
    settings = _NodeSettings(
        entrypoint=["/usr/local/bin/entrypoint", "/sbin/init"], user=0,
        env={"container": "docker", "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
    )  # fmt: skip
    return assemble(f"{NAME}:v{versions.KUBERNETES}", settings, [blob]), store


def write_node_layout(folder: Path) -> str:
    """Write the image as a folder of the OCI's layout, for `podman pull oci:…`; return its digest.

    The layer of 1 GB is a link to the one in the cache.
    """
    content, store = node_image()
    blobs = folder / "blobs/sha256"
    blobs.mkdir(parents=True)
    (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    (folder / "index.json").write_bytes(content.index())
    for small in (content.config, content.manifest):
        (blobs / blob_of(small).digest.removeprefix("sha256:")).write_bytes(small)
    for layer in content.layers:
        (blobs / layer.digest.removeprefix("sha256:")).symlink_to(store.path(layer))
    return content.digest
