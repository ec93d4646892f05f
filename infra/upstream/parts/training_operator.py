"""Training Operator: the job kinds of Kubeflow before Trainer. Pure."""

from typing import Final

from infra.upstream.distribution import NAME, distribution
from infra.upstream.part import Available, CaInjected, Kustomize, Part, Stage

_NAMESPACE: Final = "kubeflow"
_FOLDER: Final = "applications/training-operator/upstream"

PART: Final = Part(
    name="training-operator",
    version="1.9.2",
    stage=Stage.CONTROLLERS,
    sources=(distribution(f"{_FOLDER}/base", f"{_FOLDER}/overlays/kubeflow"),),
    steps=(Kustomize(f"{NAME}/{_FOLDER}/overlays/kubeflow"),),
    requires=("kubeflow",),
    probes=(
        Available(_NAMESPACE, "training-operator"),
        CaInjected("ValidatingWebhookConfiguration", "validator.training-operator.kubeflow.org"),
    ),
)
