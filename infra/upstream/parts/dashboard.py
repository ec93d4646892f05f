"""Kubeflow's dashboard, its Profile controller and PodDefaults. Pure."""

from typing import Final

from infra.upstream.distribution import NAME, distribution
from infra.upstream.part import Available, CaInjected, Kustomize, Part, Stage

_NAMESPACE: Final = "kubeflow"

PART: Final = Part(
    name="dashboard",
    version="2.0.0",
    stage=Stage.RUNTIMES,
    sources=(distribution("applications/dashboard"),),
    steps=(Kustomize(f"{NAME}/applications/dashboard/overlays/istio"),),
    requires=("cert-manager", "kubeflow", "istio", "kubeflow-roles"),
    probes=(
        Available(_NAMESPACE, "dashboard"),
        Available(_NAMESPACE, "poddefaults-webhook-deployment"),
        Available(_NAMESPACE, "profiles-deployment"),
        CaInjected("MutatingWebhookConfiguration", "poddefaults-webhook-mutating-webhook-configuration"),
    ),
)
