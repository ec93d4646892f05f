"""The specs of KServe's own objects. Pure.

Configuration keys, webhook paths and the way its pod mutator merges a ClusterStorageContainer into the
init container that downloads a model are those of KServe 0.17.
"""

import json
from dataclasses import dataclass
from typing import Any, Final

from infra.serving_form import MODEL_FORMAT, REQUESTS

WEBHOOK_PORT: Final = 9443
WEBHOOK_SERVICE: Final = "kserve-webhook-server-service"
WEBHOOK_SECRET: Final = "kserve-webhook-server-cert"
CONFIG_NAME: Final = "inferenceservice-config"
"""The controller looks up this name in its own namespace."""

CRDS: Final = (
    "clusterservingruntimes",
    "clusterstoragecontainers",
    "inferencegraphs",
    "inferenceservices",
    "servingruntimes",
    "trainedmodels",
)
"""CRDs that the controller needs; the generator also writes those of controllers that don't run here."""

_SCRATCH: Final = "/tmp"  # noqa: S108  # a volume of the pod
DRAIN_SECONDS: Final = 5
"""Seconds for which a model server still answers after its termination began."""
STORAGE_INITIALIZER: Final = "/usr/lib/slipway/storage_initializer.py"
"""Program of the image `model-server` that downloads a model; see embedded/images/programs."""
_UNUSED_IMAGE: Final = "slipway.invalid/not-in-this-release"
"""Features that need further images (agent, router) are off; a pod that uses one fails with this name."""


def _container_security_context() -> dict[str, Any]:
    return {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def controller_config(storage_image: str) -> dict[str, str]:
    """Return the data of the ConfigMap with the configuration of the controller and its webhooks."""
    sidecar = {
        "image": _UNUSED_IMAGE,
        "cpuRequest": "10m",
        "cpuLimit": "1",
        "memoryRequest": "32Mi",
        "memoryLimit": "256Mi",
    }
    sections: dict[str, dict[str, Any]] = {
        "deploy": {"defaultDeploymentMode": "Standard"},
        # The gateway reaches predictors by their Services, so no Ingress or route is created; the
        # controller still requires an ingressGateway.
        "ingress": {
            "disableIngressCreation": True,
            "disableIstioVirtualHost": True,
            "enableGatewayApi": False,
            "ingressGateway": "none/none",
            "ingressDomain": "cluster.local",
            "urlScheme": "http",
        },
        "storageInitializer": {
            "image": storage_image,
            "cpuRequest": "50m",
            "cpuLimit": "1",
            "memoryRequest": "64Mi",
            "memoryLimit": "512Mi",
            "enableModelcar": False,
        },
        "credentials": {
            # Credentials come only from the predictor's ServiceAccount: with a name here, an annotation
            # on an InferenceService could select any Secret of the namespace.
            "storageSecretNameAnnotation": "",
            "s3": {
                "s3AccessKeyIDName": "AWS_ACCESS_KEY_ID",
                "s3SecretAccessKeyName": "AWS_SECRET_ACCESS_KEY",
            },
        },
        "agent": sidecar,
        "batcher": sidecar,
        "logger": {**sidecar, "defaultUrl": "http://logger.invalid"},
        "router": sidecar,
        "explainers": {},
        "metricsAggregator": {"enableMetricAggregation": "false", "enablePrometheusScraping": "false"},
        "autoscaler": {
            "scaleUpStabilizationWindowSeconds": "0",
            "scaleDownStabilizationWindowSeconds": "300",
        },
        "security": {"autoMountServiceAccountToken": False},
        "localModel": {"enabled": False},
        "inferenceService": {
            "resource": {
                "cpuRequest": "50m",
                "cpuLimit": "1",
                "memoryRequest": "256Mi",
                "memoryLimit": "1Gi",
            }
        },
    }
    return {name: json.dumps(section, sort_keys=True) for name, section in sections.items()}


@dataclass(frozen=True, kw_only=True)
class Webhook:
    """One admission webhook that the controller serves."""

    configuration: str
    """Name of the Validating- or MutatingWebhookConfiguration that contains it."""

    name: str
    path: str
    group: str
    version: str
    resource: str
    operations: tuple[str, ...] = ("CREATE", "UPDATE")


def _serving(kind: str, version: str, *, mutating: bool = False) -> Webhook:
    verb, role = ("mutate", "defaulter") if mutating else ("validate", "validator")
    return Webhook(
        configuration=f"{kind}.serving.kserve.io",
        name=f"{kind}.kserve-webhook-server.{role}",
        path=f"/{verb}-serving-kserve-io-{version}-{kind}",
        group="serving.kserve.io",
        version=version,
        resource=f"{kind}s",
    )


VALIDATING: Final = (
    _serving("inferenceservice", "v1beta1"),
    _serving("trainedmodel", "v1alpha1"),
    _serving("inferencegraph", "v1alpha1"),
    _serving("clusterservingruntime", "v1alpha1"),
    _serving("servingruntime", "v1alpha1"),
)
DEFAULTER: Final = _serving("inferenceservice", "v1beta1", mutating=True)
POD_MUTATOR: Final = Webhook(
    configuration=DEFAULTER.configuration,
    name="inferenceservice.kserve-webhook-server.pod-mutator",
    path="/mutate-pods",
    group="",
    version="v1",
    resource="pods",
    operations=("CREATE",),
)


def serving_runtime(image: str, *, cpu_limit: str, memory_limit: str) -> dict[str, Any]:
    """Return the spec of the ClusterServingRuntime for models of tabular data."""
    return {
        "supportedModelFormats": [{**MODEL_FORMAT, "autoSelect": True, "priority": 1}],
        "protocolVersions": ["v2"],
        "containers": [
            {
                "name": "kserve-container",
                "image": image,
                "imagePullPolicy": "IfNotPresent",
                "args": ["/mnt/models"],
                # The InferenceService's name, filled in by the controller.
                "env": [{"name": "MODEL_NAME", "value": "{{.Name}}"}],
                "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
                "readinessProbe": {
                    "httpGet": {"path": "/v2/models/{{.Name}}/ready", "port": 8080},
                    "periodSeconds": 2,
                    "timeoutSeconds": 5,
                    "failureThreshold": 60,
                },
                "livenessProbe": {
                    "httpGet": {"path": "/v2/health/live", "port": 8080},
                    "initialDelaySeconds": 60,
                    "periodSeconds": 10,
                    "timeoutSeconds": 5,
                },
                # Nodes and the gateway notice a terminating pod with a delay; until then it must answer.
                "lifecycle": {"preStop": {"sleep": {"seconds": DRAIN_SECONDS}}},
                "securityContext": _container_security_context(),
                "resources": {
                    "requests": dict(REQUESTS),
                    "limits": {"cpu": cpu_limit, "memory": memory_limit},
                },
                "volumeMounts": [{"name": "scratch", "mountPath": _SCRATCH}],
            }
        ],
        "volumes": [{"name": "scratch", "emptyDir": {"sizeLimit": "256Mi"}}],
    }


def storage_container(image: str) -> dict[str, Any]:
    """Return the spec of the ClusterStorageContainer that downloads models from S3.

    KServe's default has no security context and is rejected in a `restricted` namespace. The spec must
    not contain `env`: 0.17 merges it over the credentials' variables by position, which makes the pod
    invalid.
    """
    return {
        "container": {
            "name": "storage-initializer",
            "image": image,
            "imagePullPolicy": "IfNotPresent",
            "command": ["python3", STORAGE_INITIALIZER],
            "securityContext": _container_security_context(),
            "resources": {
                "requests": {"cpu": "50m", "memory": "64Mi"},
                "limits": {"cpu": "1", "memory": "512Mi"},
            },
        },
        "supportedUriFormats": [{"prefix": "s3://"}],
        "workloadType": "initContainer",
        "supportsMultiModelDownload": False,
    }
