"""The namespace that Kubeflow's controllers share. Pure."""

from typing import Final

from infra.upstream.part import Own, Part, Stage

PART: Final = Part(
    name="kubeflow",
    version="1",
    stage=Stage.DEFINITIONS,
    steps=(Own(()),),
    namespaces={"kubeflow": "restricted"},
)
