"""The InferenceService of a model version: a manifest from data. Pure."""

from dataclasses import dataclass
from typing import Any, Final

from infra.contract import PlatformOutputs
from infra.names import PART_OF
from storage.errors import UsageError

API_VERSION: Final = "serving.kserve.io/v1beta1"
DOMAIN: Final = "slipway.dev"
FIELD_MANAGER: Final = "slipway-promotion"
DIGEST: Final = f"{DOMAIN}/model-digest"
PROMOTION: Final = f"{DOMAIN}/promotion"

REQUESTS: Final = {"cpu": "100m", "memory": "256Mi"}
LIMITS: Final = {"cpu": "1", "memory": "1Gi"}
_MODES: Final = {"standard": "Standard", "knative": "Knative"}
_SCALING: Final = {
    # "none" makes no HorizontalPodAutoscaler, which would only warn that it finds no metrics, and
    # lets KServe hold the Deployment at minReplicas. Knative scales by itself.
    "standard": {"serving.kserve.io/autoscalerClass": "none"},
    "knative": {},
}


@dataclass(frozen=True)
class ServedVersion:
    """A model version and where it comes from."""

    model: str
    digest: str
    storage_uri: str
    promotion: int
    run_id: str
    pipeline_version: str
    git_commit: str
    data_sha256: str

    def annotations(self) -> dict[str, str]:
        """Lineage, as it stands on the InferenceService."""
        return {
            DIGEST: self.digest,
            PROMOTION: str(self.promotion),
            f"{DOMAIN}/run-id": self.run_id,
            f"{DOMAIN}/pipeline-digest": self.pipeline_version,
            f"{DOMAIN}/git-commit": self.git_commit,
            f"{DOMAIN}/data-digest": self.data_sha256,
        }


def manifest(outputs: PlatformOutputs, tenant: str, version: ServedVersion) -> dict[str, Any]:
    """The InferenceService that serves `version` for `tenant`, its old pod kept until the new is ready.

    Raises:
        UsageError: The version doesn't lie below the tenant's own models.
    """
    place = outputs.tenants[tenant]
    home = f"{place.models_uri}/{version.model}/versions/{version.digest}/"
    if not version.storage_uri.startswith(home):
        raise UsageError(
            f"{version.storage_uri} is not a version of {tenant}'s model {version.model}.",
            why=f"It does not begin with {home}.",
        )
    return {
        "apiVersion": API_VERSION,
        "kind": "InferenceService",
        "metadata": {
            "name": version.model,
            "namespace": place.namespace,
            "labels": {**PART_OF, f"{DOMAIN}/tenant": tenant},
            "annotations": {
                "serving.kserve.io/deploymentMode": _MODES[outputs.serving.mode],
                **_SCALING[outputs.serving.mode],
                **version.annotations(),
            },
        },
        "spec": {"predictor": _predictor(outputs, place.server_service_account, version)},
    }


def _predictor(outputs: PlatformOutputs, service_account: str, version: ServedVersion) -> dict[str, Any]:
    predictor: dict[str, Any] = {
        "minReplicas": 1,
        "maxReplicas": 1,
        "serviceAccountName": service_account,
        # The predictor never asks the Kubernetes API anything.
        "automountServiceAccountToken": False,
        "annotations": {DIGEST: version.digest},
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "model": {
            "modelFormat": {"name": "sklearn", "version": "1"},
            "protocolVersion": "v2",
            "runtime": outputs.serving.runtime,
            "storageUri": version.storage_uri,
            "resources": {"requests": dict(REQUESTS), "limits": dict(LIMITS)},
            "securityContext": {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
                "runAsNonRoot": True,
            },
        },
    }
    if outputs.serving.mode == "standard":
        predictor["deploymentStrategy"] = {
            "type": "RollingUpdate",
            "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
        }
    return predictor
