"""Kubeflow's aggregated roles and its gateway. Pure."""

from typing import Final

from infra.upstream.distribution import NAME, distribution
from infra.upstream.part import Kustomize, Part, Stage

_FOLDERS: Final = ("common/kubeflow-roles/base", "common/istio/kubeflow-istio-resources/base")

PART: Final = Part(
    name="kubeflow-roles",
    version="26.03.1",
    stage=Stage.CONTROLLERS,
    sources=(distribution(*_FOLDERS),),
    steps=tuple(Kustomize(f"{NAME}/{folder}") for folder in _FOLDERS),
    requires=("kubeflow", "istio"),
)
