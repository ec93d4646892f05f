"""Kubeflow's notebooks, volumes and tensorboards. Pure."""

from typing import Final

from infra.upstream.distribution import NAME, distribution
from infra.upstream.part import Available, CaInjected, Kustomize, Part, Stage

_NAMESPACE: Final = "kubeflow"
_DEPLOYMENTS: Final = (
    "jupyter-web-app-deployment",
    "notebook-controller-deployment",
    "pvcviewer-controller-manager",
    "tensorboard-controller-deployment",
    "tensorboards-web-app-deployment",
    "volumes-web-app-deployment",
)

PART: Final = Part(
    name="notebooks",
    version="1.11.0",
    stage=Stage.RUNTIMES,
    sources=(distribution("applications/notebooks-v1"),),
    steps=(Kustomize(f"{NAME}/applications/notebooks-v1/overlays/istio"),),
    requires=("cert-manager", "kubeflow", "istio", "kubeflow-roles"),
    probes=(
        *(Available(_NAMESPACE, name) for name in _DEPLOYMENTS),
        CaInjected("MutatingWebhookConfiguration", "pvcviewer-mutating-webhook-configuration"),
        CaInjected("ValidatingWebhookConfiguration", "pvcviewer-validating-webhook-configuration"),
    ),
)
