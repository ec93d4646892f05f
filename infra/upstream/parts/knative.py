"""Knative Serving on Istio, as the community distribution installs it. Pure."""

from typing import Final

from infra.upstream.distribution import NAME, distribution
from infra.upstream.part import Accepts, Available, CaInjected, Kustomize, Part, Stage

_NAMESPACE: Final = "knative-serving"

PART: Final = Part(
    name="knative",
    version="1.22.0",
    stage=Stage.IDENTITY,
    sources=(distribution("common/knative/knative-serving"),),
    steps=(Kustomize(f"{NAME}/common/knative/knative-serving/overlays/gateways"),),
    namespaces={_NAMESPACE: "restricted"},
    requires=("istio",),
    probes=(
        *(
            Available(_NAMESPACE, name)
            for name in ("activator", "autoscaler", "controller", "net-istio-controller", "webhook")
        ),
        CaInjected("MutatingWebhookConfiguration", "webhook.serving.knative.dev"),
        CaInjected("ValidatingWebhookConfiguration", "validation.webhook.serving.knative.dev"),
        Accepts(
            {
                "apiVersion": "serving.knative.dev/v1",
                "kind": "Service",
                "metadata": {"name": "probe", "namespace": _NAMESPACE},
                "spec": {"template": {"spec": {"containers": [{"image": "probe"}]}}},
            }
        ),
    ),
)
