"""The bodies of KServe's own objects. Pure.

Facts are those of KServe 0.17: configuration keys, webhook paths and how its pod mutator merges a
ClusterStorageContainer into the init container that fetches a model.
"""

import json
from dataclasses import dataclass
from typing import Any, Final

from infra.serving_form import MODEL_FORMAT, REQUESTS

WEBHOOK_PORT: Final = 9443
WEBHOOK_SERVICE: Final = "kserve-webhook-server-service"
WEBHOOK_SECRET: Final = "kserve-webhook-server-cert"
CONFIG_NAME: Final = "inferenceservice-config"
"""Looked up by this name in the controller's own namespace."""

CRDS: Final = (
    "clusterservingruntimes",
    "clusterstoragecontainers",
    "inferencegraphs",
    "inferenceservices",
    "servingruntimes",
    "trainedmodels",
)
"""What the controller reads; the generator also writes kinds of controllers that don't run here."""

_SCRATCH: Final = "/tmp"  # noqa: S108  # the pod's own
DRAIN_SECONDS: Final = 5
"""How long a model server answers on after it was told to go."""
STORAGE_INITIALIZER: Final = "/usr/lib/slipway/storage_initializer.py"
"""Program of the image `model-server` that downloads a model; see embedded/images/programs."""
_UNUSED_IMAGE: Final = "slipway.invalid/not-in-this-release"
"""KServe's features that need further images (agent, router) are off; a pod that asks for one says so."""


def _confined() -> dict[str, Any]:
    return {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def controller_config(storage_image: str) -> dict[str, str]:
    """Return the data of the ConfigMap that the controller and its webhooks read."""
    sidecar = {
        "image": _UNUSED_IMAGE,
        "cpuRequest": "10m",
        "cpuLimit": "1",
        "memoryRequest": "32Mi",
        "memoryLimit": "256Mi",
    }
    sections: dict[str, dict[str, Any]] = {
        "deploy": {"defaultDeploymentMode": "Standard"},
        # The gateway reaches predictors by their Services, so no Ingress or route is made; the controller
        # refuses a configuration without an ingressGateway even then.
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
            # Credentials come from the predictor's ServiceAccount alone: without this name the
            # annotation on an InferenceService could point at any Secret of the namespace.
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
    """Name of the Validating- or MutatingWebhookConfiguration that holds it."""

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
                # Nodes and gateway take a moment to notice that a pod goes; until then it has to answer.
                "lifecycle": {"preStop": {"sleep": {"seconds": DRAIN_SECONDS}}},
                "securityContext": _confined(),
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
    """Return the spec of the ClusterStorageContainer that fetches models from S3.

    KServe's own default has no security context, which a `restricted` namespace refuses. It must not
    have `env`: 0.17 merges that over the credentials' variables by position, and the pod is invalid.
    """
    return {
        "container": {
            "name": "storage-initializer",
            "image": image,
            "imagePullPolicy": "IfNotPresent",
            "command": ["python3", STORAGE_INITIALIZER],
            "securityContext": _confined(),
            "resources": {
                "requests": {"cpu": "50m", "memory": "64Mi"},
                "limits": {"cpu": "1", "memory": "512Mi"},
            },
        },
        "supportedUriFormats": [{"prefix": "s3://"}],
        "workloadType": "initContainer",
        "supportsMultiModelDownload": False,
    }
