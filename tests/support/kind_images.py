"""The images of a Kubernetes control plane as kubeadm names them, from programs that the toolchain builds."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from embedded.images.blobs import BlobStore
from embedded.images.catalog import GoTool, Recipe
from embedded.images.containerd import write_archive
from embedded.images.debian import DebianLayer
from embedded.images.layer import RootLayer, ToolLayer
from embedded.images.oci import ImageContent, ImageSettings, assemble
from infra import versions
from slipway.core.report import silent

_REGISTRY: Final = "registry.k8s.io"
PAUSE: Final = f"{_REGISTRY}/pause:3.10"
_NFT: Final = DebianLayer("nftables", packages=("nftables",), unneeded=("debconf", "dpkg"))
"""kube-proxy runs the program `nft`."""


def _program(tool: str) -> Recipe:
    base = _NFT if tool == "kube-proxy" else RootLayer()
    # kubeadm's manifests start a program by its name, and some by its place in usr/local/bin.
    return Recipe(
        (base, ToolLayer(f"usr/local/bin/{tool}", GoTool(tool))),
        ImageSettings(
            entrypoint=[f"/usr/local/bin/{tool}"], user=0, env={"PATH": "/usr/local/bin:/usr/sbin"}
        ),
    )


RECIPES: Final[Mapping[str, Recipe]] = {
    **{
        f"{_REGISTRY}/{name}:v{versions.KUBERNETES}": _program(name)
        for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy")
    },
    # The tags are those that kubeadm 1.34.4 asks for, whatever version the program has.
    f"{_REGISTRY}/etcd:3.6.5-0": _program("etcd"),
    f"{_REGISTRY}/coredns/coredns:v1.12.1": _program("coredns"),
    PAUSE: _program("pause"),
}


def image(reference: str, store: BlobStore) -> ImageContent:
    recipe = RECIPES[reference]
    layers = [
        store.make(key, lambda out, work, layer=layer: layer.write(out, work, silent))
        for layer, key in recipe.keyed()
    ]
    return assemble(reference, recipe.settings, layers)


def archives(folder: Path, store: BlobStore) -> None:
    """Write every image into `folder`, each as an archive that containerd imports."""
    folder.mkdir(parents=True)
    for reference in RECIPES:
        content = image(reference, store)
        with (folder / f"{reference.replace('/', '_').replace(':', '_')}.tar").open("wb") as out:
            write_archive(out, content, store, [*content.layers])
