"""Pinned versions of external software. Pure.

Python packages are pinned in uv.lock, Go modules in embedded/toolchain/go/*/go.sum.
"""

from typing import Final

KUBERNETES: Final = "1.34.4"
KUBERNETES_OLDEST: Final = (1, 30)
"""Of an existing cluster: the first with ValidatingAdmissionPolicy in version v1."""
KUBERNETES_NEWEST: Final = (1, 36)
"""Of an existing cluster: newer ones did not exist when this was written (2026-11)."""
ETCD: Final = "3.6.5"
COREDNS: Final = "1.14.7"
PULUMI_CLI: Final = "3.274.1"
"""As the Go module proxy serves it; works with the 3.272.0 SDK, the newest on PyPI (2026-11-29)."""
PULUMI_KUBERNETES: Final = "4.34.2"
"""The SDK, and the provider's plugin where the machine has it."""
PULUMI_KUBERNETES_MODULE: Final = "4.0.0-20260115033456-f47bc2d6f199"
"""The provider's Go module, from which `local` builds the plugin: the newest that the proxy serves."""
KFP: Final = "2.17.0"
KSERVE: Final = "0.20.0"
KATIB: Final = "0.19.0"
ONNXRUNTIME: Final = "1.32.0"
KUSTOMIZE: Final = "5.8.1"
HELM: Final = "3.22.0"
MINIO: Final = "0.0.0-20260212201848-7aac2a2c5b7c"
"""The last upstream version: the project is archived, which is why the store is an interface."""
VERSITYGW: Final = "1.8.0"
"""A second S3 server, only for tests: requirements on stores must not hold for MinIO only."""
DISTRIBUTION: Final = "3.0.0"
"""An image registry, only for tests."""
KIND: Final = "0.33.0"
"""Makes the cluster of an environment `kind`. A user installs it; for tests it is built."""
KIND_NODE_IMAGE: Final = (
    "docker.io/kindest/node:v1.34.11@sha256:44e222ee2132dab25ff87301682f89eb82c7880ea3a1bf543bfe9708fd08d67d"
)
"""As the release notes of kind 0.33.0 name it."""


def components() -> dict[str, str]:
    """Return versions by component, as in the stack's outputs."""
    return {
        "kubernetes": KUBERNETES,
        "kfp": KFP,
        "katib": KATIB,
        "kserve": KSERVE,
        "minio": MINIO,
        "onnxruntime": ONNXRUNTIME,
    }
