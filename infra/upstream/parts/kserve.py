"""KServe: its kinds and its controller, without the model servers of its own runtimes. Pure.

Not installed: LocalModel and LLMInferenceService, which are other charts, and its `default`
ClusterStorageContainer, because Slipway's own downloads the models (infra/components/kserve).
"""

from typing import Any, Final

from infra.upstream.part import (
    Accepts,
    Available,
    CaInjected,
    GoModule,
    Helm,
    Part,
    Patch,
    Remove,
    Set,
    Source,
    Stage,
    Target,
)
from infra.versions import KSERVE

_NAMESPACE: Final = "kserve"
_CHARTS: Final = ("charts/kserve-crd", "charts/kserve-resources")
_SETTINGS: Final = Target("ConfigMap", "inferenceservice-config")
_CONTROLLER: Final = Target("Deployment", "kserve-controller-manager")
_CONTAINERS: Final = ("spec", "template", "spec", "containers")

STORAGE_INITIALIZER: Final = f"kserve/storage-initializer:v{KSERVE}"
CONTROLLER: Final = f"kserve/kserve-controller:v{KSERVE}"
"""Images as the manifests name them."""

_OFF: Final = {"image": "slipway.invalid/not-in-this-release"}
"""Features that need further images (agent, router) are off; a pod that uses one fails with this name."""

_VALUES: Final[dict[str, Any]] = {
    "kserve": {
        "agent": _OFF,
        "router": _OFF,
        "storage": {
            # A model in an image would be pulled by the node, with the node's credentials.
            "enableModelcar": False,
            # Credentials come only from the predictor's ServiceAccount: with a name here, an annotation
            # on an InferenceService could select any Secret of the namespace.
            "storageSecretNameAnnotation": "",
        },
        # Predictors don't use the Kubernetes API.
        "security": {"autoMountServiceAccountToken": False},
        "inferenceservice": {
            "resources": {
                "requests": {"cpu": "50m", "memory": "256Mi"},
                "limits": {"cpu": "1", "memory": "1Gi"},
            }
        },
        "controller": {
            # The chart's default needs Knative.
            "deploymentMode": "Standard",
            # The gateway reaches predictors by their Services, so no Ingress or route is created.
            "gateway": {
                "domain": "cluster.local",
                "disableIstioVirtualHost": True,
                "disableIngressCreation": True,
                # Required, and not used where no route is made.
                "ingressGateway": {"enableGatewayApi": False, "gateway": "none/none"},
            },
            # Upstream's Always would ask a registry at each start, although the digest says it all.
            "imagePullPolicy": "IfNotPresent",
        },
    }
}

_WITHOUT_METRICS: Final[tuple[Patch, ...]] = (
    # A further image for the controller's metrics, which nothing here reads; they stay on loopback.
    Set(_CONTROLLER, (*_CONTAINERS, "kube-rbac-proxy"), None),
    Remove(Target("ClusterRole", "kserve-proxy-role")),
    Remove(Target("ClusterRoleBinding", "kserve-proxy-rolebinding")),
    Remove(Target("Service", "kserve-controller-manager-metrics-service")),
    Remove(Target("Service", "kserve-controller-manager-service")),
)

PART: Final = Part(
    name="kserve",
    version=KSERVE,
    stage=Stage.CONTROLLERS,
    sources=(
        Source(
            name="kserve",
            repository="https://github.com/kserve/kserve",
            commit="1fb781055dd1567164358233e1125142ca6ef1fe",
            folders=_CHARTS,
            module=GoModule("github.com/kserve/kserve", f"v{KSERVE}"),
        ),
    ),
    # kserve-crd-minimal is smaller, and validates nothing.
    steps=tuple(
        Helm(f"kserve/{chart}", chart.rpartition("/")[2], _NAMESPACE, _VALUES if "resources" in chart else {})
        for chart in _CHARTS
    ),
    patches=(
        # Names an image whose tag is in another field, for an explainer that is not offered.
        Set(_SETTINGS, ("data", "explainers"), "{}"),
        # 34 KiB of documentation, with images of its own.
        Set(_SETTINGS, ("data", "_example"), None),
        # Two for s3:// would be chosen between by chance. The chart's switch can't be set to false: it falls
        # back to that of all shared objects.
        Remove(Target("ClusterStorageContainer", "default")),
        # Upstream waits 30 seconds before it looks; the controller answers after three.
        Set(_CONTROLLER, (*_CONTAINERS, "manager", "readinessProbe", "initialDelaySeconds"), None),
        Set(_CONTROLLER, (*_CONTAINERS, "manager", "readinessProbe", "periodSeconds"), 2),
        # With upstream's limit of a tenth of a core the controller starts several times more slowly; the
        # chart's values can't take a limit off.
        Set(
            _CONTROLLER,
            (*_CONTAINERS, "manager", "resources"),
            {"requests": {"cpu": "50m", "memory": "96Mi"}, "limits": {"memory": "384Mi"}},
        ),
        *_WITHOUT_METRICS,
    ),
    namespaces={_NAMESPACE: "restricted"},
    requires=("cert-manager",),
    not_images=(f"{_OFF['image']}:v{KSERVE}",),
    probes=(
        Available(_NAMESPACE, "kserve-controller-manager"),
        CaInjected("MutatingWebhookConfiguration", "inferenceservice.serving.kserve.io"),
        CaInjected("ValidatingWebhookConfiguration", "inferenceservice.serving.kserve.io"),
        # Not an InferenceService: Slipway's policy denies one that promotion did not write. All of KServe's
        # webhooks are one server with one certificate.
        Accepts(
            {
                "apiVersion": "serving.kserve.io/v1alpha1",
                "kind": "ClusterServingRuntime",
                "metadata": {"name": "slipway-trial"},
                "spec": {
                    "supportedModelFormats": [{"name": "slipway-trial", "version": "1"}],
                    "containers": [{"name": "kserve-container", "image": "slipway.invalid/trial"}],
                },
            }
        ),
    ),
)
