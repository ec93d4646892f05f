"""Names that several modules share. Pure."""

from typing import Final

OWNER_NAMESPACE: Final = "slipway-system"
OWNER: Final = "platform-owner"
"""ConfigMap that says which stack the platform in a cluster belongs to."""

STORE_NAMESPACE: Final = "slipway-store"
STORE_SERVICE: Final = "minio"
STORE_PORT: Final = 9000
STORE_CONSOLE_PORT: Final = 9001
KSERVE_NAMESPACE: Final = "kserve"
KFP_NAMESPACE: Final = "kubeflow"
KFP_SERVICE: Final = "ml-pipeline"
KFP_PORT: Final = 8888
KFP_SERVICE_ACCOUNT: Final = "ml-pipeline"
GATEWAY_NAMESPACE: Final = "slipway-gateway"
GATEWAY_SERVICE: Final = "gateway"
GATEWAY_PORT: Final = 8080
LOCAL_STORAGE_CLASS: Final = "standard"
"""The only StorageClass of the embedded cluster."""

SERVING_RUNTIME: Final = "slipway-onnx"

EDITOR: Final = "default-editor"
VIEWER: Final = "default-viewer"
RUNNER: Final = "pipeline-runner"
SERVER: Final = "model-server"

RUNNER_SECRET: Final = "store-runner"
SERVER_SECRET: Final = "store-server"
EDITOR_SECRET: Final = "store-editor"
PROMOTER_SECRET: Final = "store-promoter"
COLLECTOR_SECRET: Final = "store-collector"
PULL_SECRET: Final = "regcred"
"""Secret with the account with which nodes pull the platform's images."""
STORE_CA: Final = "store-ca"
CA_KEY: Final = "ca.crt"
"""Key of CA certificates in ConfigMaps and Secrets."""

STORE_ROOT: Final = "store-root"
STORE_USERS: Final = "store-users"
STORE_DESIRED: Final = "store-desired"
RBAC_GROUP: Final = "rbac.authorization.k8s.io"
STORAGE_CONFIG: Final = "storage-config"
"""The name that KServe expects."""

LAUNCHER_CONFIG: Final = "kfp-launcher"

SYSTEM_NAMESPACES: Final = frozenset(
    {
        "auth",
        "cert-manager",
        "default",
        "istio-system",
        "knative-serving",
        "local-path-storage",
        "oauth2-proxy",
        "pulumi-system",
        KFP_NAMESPACE,
        KSERVE_NAMESPACE,
    }
)
"""Not available as tenant names, like names that begin with `kube-` or `slipway-`."""

PART_OF: Final = {"app.kubernetes.io/part-of": "slipway"}
"""Label of every object that the program creates."""
STORE_LABELS: Final = {
    **PART_OF,
    "app.kubernetes.io/name": "minio",
    "app.kubernetes.io/component": "store",
}
"""Labels of the pods that the Service `STORE_SERVICE` selects; so are the following."""
GATEWAY_LABELS: Final = {
    **PART_OF,
    "app.kubernetes.io/name": "gateway",
    "app.kubernetes.io/component": "proxy",
}
KFP_LABELS: Final = {
    **PART_OF,
    "app.kubernetes.io/name": "kubeflow-pipelines",
    "app.kubernetes.io/component": "api-server",
}


def service_url(service: str, namespace: str, port: int) -> str:
    """Return the URL of a Service inside the cluster."""
    return f"http://{service}.{namespace}.svc.cluster.local:{port}"


def settings_file(stack: str) -> str:
    """Return the name of the file with a stack's settings."""
    return f"Pulumi.{stack}.yaml"
