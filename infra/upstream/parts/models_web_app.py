"""The user interface of KServe. Pure."""

from typing import Final

from infra.upstream.distribution import NAME, distribution
from infra.upstream.part import Available, Kustomize, Part, Stage

_FOLDER: Final = "applications/kserve/models-web-app"

PART: Final = Part(
    name="models-web-app",
    version="0.18.0",
    stage=Stage.RUNTIMES,
    sources=(distribution(_FOLDER),),
    steps=(Kustomize(f"{NAME}/{_FOLDER}/overlays/kubeflow"),),
    requires=("kubeflow", "istio", "kserve"),
    probes=(Available("kubeflow", "kserve-models-web-application"),),
)
