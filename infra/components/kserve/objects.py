"""The specs of Slipway's objects of KServe's kinds. Pure.

KServe's pod mutator merges the ClusterStorageContainer into the init container that downloads a model.
"""

from typing import Any, Final

from infra.serving_form import MODEL_FORMAT, REQUESTS

_SCRATCH: Final = "/tmp"  # noqa: S108  # a volume of the pod
DRAIN_SECONDS: Final = 5
"""Seconds for which a model server still answers after its termination began."""
STORAGE_INITIALIZER: Final = "/usr/lib/slipway/storage_initializer.py"
"""Program of the image `model-server` that downloads a model; see embedded/images/programs."""


def _container_security_context() -> dict[str, Any]:
    return {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


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

    KServe's default is rejected in a `restricted` namespace: it has no seccomp profile.
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
