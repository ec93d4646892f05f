"""What a cluster made by kind consists of: names, its ports, the configuration that kind reads. Pure."""

import re
from collections.abc import Iterable
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

CLUSTER: Final = "slipway:kind:Cluster"
IMAGE: Final = "slipway:kind:Image"
ISSUER: Final = "https://kubernetes.default.svc.cluster.local"
"""Issuer of ServiceAccount tokens. Slipway's and Kubeflow's parts verify tokens against it."""
SIGNING_KEY: Final = "/etc/kubernetes/pki/sa.key"
"""Where kubeadm keeps the key that signs them."""
POD_ADDRESSES: Final = "10.244.0.0/16"
"""kind's own choice, fixed because network policies name it."""
ARGUMENTS_ARE_A_LIST: Final = (1, 36)
"""From this version of Kubernetes on kind writes kubeadm's configuration as v1beta4."""
_VERSION: Final = re.compile(r":v([0-9]+)\.([0-9]+)\.[0-9]+@sha256:")


class PortInput(BaseModel):
    """A port of 127.0.0.1 that leads to a port of the node."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    port: int
    nodePort: int  # noqa: N815  properties are in camel case throughout Pulumi


class ClusterInputs(BaseModel):
    """The program's inputs for the cluster."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    owner: str
    """Path of the stack's settings: two stacks of one user may name the same cluster."""

    nodeImage: str  # noqa: N815
    """With the version of Kubernetes as its tag, and by digest."""

    engine: str | None = None
    """`docker`, `podman` or `nerdctl`; found where it is not named."""

    ports: tuple[PortInput, ...] = ()


class ImageInputs(BaseModel):
    """The program's inputs for an image that is built here and loaded into the node."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cluster: str
    name: str
    reference: str


def kubernetes_version(node_image: str) -> tuple[int, int]:
    """Return major and minor version of Kubernetes in a node's image, from its tag.

    Raises:
        ValueError: the reference has no such tag, or no digest.
    """
    if not (found := _VERSION.search(node_image)):
        raise ValueError(f"{node_image}: neither the tag of a version of Kubernetes nor a digest")
    return int(found[1]), int(found[2])


def configuration(inputs: ClusterInputs) -> dict[str, Any]:
    """Return the configuration of kind for one node, with its ports open on this machine alone."""
    return {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "name": inputs.name,
        # As in the cluster of `local`: it asks the kernel for nothing but nftables.
        "networking": {
            "apiServerAddress": "127.0.0.1",
            "kubeProxyMode": "nftables",
            "podSubnet": POD_ADDRESSES,
        },
        "kubeadmConfigPatches": [_kubeadm_patch(kubernetes_version(inputs.nodeImage))],
        "nodes": [
            {
                "role": "control-plane",
                "image": inputs.nodeImage,
                "extraPortMappings": [_mapping(each) for each in inputs.ports],
            }
        ],
    }


def _mapping(port: PortInput) -> dict[str, Any]:
    return {
        "listenAddress": "127.0.0.1",
        "hostPort": port.port,
        "containerPort": port.nodePort,
        "protocol": "TCP",
    }


def _kubeadm_patch(version: tuple[int, int]) -> str:
    wanted = {"service-account-issuer": ISSUER, "service-account-signing-key-file": SIGNING_KEY}
    if version < ARGUMENTS_ARE_A_LIST:
        lines = [f"    {name}: {value}" for name, value in wanted.items()]
    else:
        lines = [
            line
            for name, value in wanted.items()
            for line in (f"    - name: {name}", f"      value: {value}")
        ]
    return "\n".join(["kind: ClusterConfiguration", "apiServer:", "  extraArgs:", *lines, ""])


def fixed_differences(old: dict[str, Any], new: dict[str, Any]) -> Iterable[str]:
    """Return the inputs that differ and that a cluster keeps from its creation to its deletion."""
    return [path for path in ("nodeImage", "ports") if old.get(path) != new.get(path)]
