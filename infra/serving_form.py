"""The only form of an InferenceService: promotion writes it, and admission denies any other. Pure.

The caller passes every value: promotion passes strings, and the admission policy passes expressions
that the API server evaluates.
"""

from collections.abc import Mapping
from typing import Any, Final

from infra.names import PART_OF

API_VERSION: Final = "serving.kserve.io/v1beta1"
DOMAIN: Final = "slipway.dev"
MODEL_FORMAT: Final = {"name": "onnx", "version": "1"}
REQUESTS: Final = {"cpu": "100m", "memory": "128Mi"}
"""In canonical form: KServe's webhook would rewrite `1000m` to `1`."""

TENANT: Final = f"{DOMAIN}/tenant"
"""Label of a tenant's namespace and of everything in it."""
DIGEST: Final = f"{DOMAIN}/model-digest"
PROMOTION: Final = f"{DOMAIN}/promotion"
STORE_KEY: Final = f"{DOMAIN}/store-key"
"""Annotation of the pods: a checksum of the store key that they started with. Written by key rotation."""

_TEXT: Final = r"[0-9A-Za-z._:+-]{1,200}"
LINEAGE: Final = {
    PROMOTION: r"[1-9][0-9]{0,7}",
    f"{DOMAIN}/run-id": _TEXT,
    f"{DOMAIN}/pipeline-digest": _TEXT,
    f"{DOMAIN}/git-commit": _TEXT,
    f"{DOMAIN}/data-digest": _TEXT,
}
"""Annotations with the lineage of a version -> regular expression of each value."""

STORE_KEY_CHECKSUM: Final = r"[0-9a-f]{16}"

_MODE: Final = {
    "serving.kserve.io/deploymentMode": "Standard",
    # "none" creates no HorizontalPodAutoscaler, which would only warn about missing metrics; KServe
    # keeps the Deployment at minReplicas.
    "serving.kserve.io/autoscalerClass": "none",
}


def labels(tenant: str) -> dict[str, str]:
    """Return the labels of the tenant's InferenceServices."""
    return {**PART_OF, TENANT: tenant}


def annotations() -> dict[str, str]:
    """Return the annotations that configure KServe for `standard` mode."""
    return dict(_MODE)


def defaulted_annotations() -> dict[str, str]:
    """Return the annotations that KServe's webhook adds (setPredictorModelDefaults, v0.20.0)."""
    return {"modelFormat": MODEL_FORMAT["name"]}


def resources(limits: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Return the resources of a model server.

    `limits` maps `cpu` and `memory` to canonical quantities (`infra.settings.quantity.canonical`).
    """
    return {"requests": dict(REQUESTS), "limits": dict(limits)}


def predictor(
    *,
    account: str,
    runtime: str,
    resources: object,
    storage_uri: str,
    pod_annotations: object,
) -> dict[str, Any]:
    """Return `spec.predictor`; an update keeps the old pod until the new one is ready."""
    return {
        "minReplicas": 1,
        "maxReplicas": 1,
        "serviceAccountName": account,
        # The predictor does not use the Kubernetes API.
        "automountServiceAccountToken": False,
        "annotations": pod_annotations,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "model": {
            "modelFormat": dict(MODEL_FORMAT),
            "protocolVersion": "v2",
            "runtime": runtime,
            "storageUri": storage_uri,
            "resources": resources,
            "securityContext": {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
                "runAsNonRoot": True,
            },
        },
        "deploymentStrategy": {
            "type": "RollingUpdate",
            "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
        },
    }


def defaulted(form: dict[str, Any]) -> dict[str, Any]:
    """Return `spec.predictor` with the defaults of KServe's webhook: it adds an empty container name."""
    return {**form, "model": {**form["model"], "name": ""}}
