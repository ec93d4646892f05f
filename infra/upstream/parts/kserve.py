"""KServe: its kinds and its controller, without the model servers of its own runtimes. Pure."""

from typing import Final

from infra.upstream.part import (
    Accepts,
    Available,
    CaInjected,
    GoModule,
    Helm,
    Part,
    Set,
    Source,
    Stage,
    Target,
)

_NAMESPACE: Final = "kserve"
_CHARTS: Final = ("charts/kserve-crd", "charts/kserve-resources")
_SETTINGS: Final = Target("ConfigMap", "inferenceservice-config")
_VALUES: Final = {
    "kserve": {
        # The chart's default needs Knative.
        "controller": {
            "deploymentMode": "Standard",
            "gateway": {
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

PART: Final = Part(
    name="kserve",
    version="0.20.0",
    stage=Stage.CONTROLLERS,
    sources=(
        Source(
            name="kserve",
            repository="https://github.com/kserve/kserve",
            commit="1fb781055dd1567164358233e1125142ca6ef1fe",
            folders=_CHARTS,
            module=GoModule("github.com/kserve/kserve", "v0.20.0"),
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
    ),
    namespaces={_NAMESPACE: "restricted"},
    requires=("cert-manager",),
    stages={"ClusterStorageContainer": Stage.RUNTIMES},
    probes=(
        Available(_NAMESPACE, "kserve-controller-manager"),
        CaInjected("MutatingWebhookConfiguration", "inferenceservice.serving.kserve.io"),
        CaInjected("ValidatingWebhookConfiguration", "inferenceservice.serving.kserve.io"),
        Accepts(
            {
                "apiVersion": "serving.kserve.io/v1beta1",
                "kind": "InferenceService",
                "metadata": {"name": "probe", "namespace": _NAMESPACE},
                "spec": {
                    "predictor": {
                        "model": {"modelFormat": {"name": "onnx"}, "storageUri": "s3://probe/probe"}
                    }
                },
            }
        ),
    ),
)
