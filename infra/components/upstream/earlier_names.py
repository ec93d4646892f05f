"""Names that resources of upstream's parts had while Slipway wrote these objects by hand. Pure.

Until 2026-11-30. Without them, an `up` of an earlier stack would make an object before it deletes the same
object under its earlier name, and be refused because it exists.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple


class EarlierName(NamedTuple):
    """Of a resource that a component had."""

    component: str
    """The last part of its type."""
    name: str


_ADMISSION: Final = "upstream-admissionregistration.k8s.io"
_KINDS: Final = (
    "clusterservingruntime",
    "inferencegraph",
    "inferenceservice",
    "servingruntime",
    "trainedmodel",
)
_KSERVE: Final = {
    "upstream-kserve-definitions-0": "kserve-definitions",
    "upstream-v1-namespace-kserve": "kserve-namespace",
    "upstream-v1-serviceaccount-kserve-kserve-controller-manager": "kserve-controller-account",
    "upstream-v1-configmap-kserve-inferenceservice-config": "kserve-config",
    "upstream-v1-service-kserve-kserve-webhook-server-service": "kserve-webhook-service",
    "upstream-apps-deployment-kserve-kserve-controller-manager": "kserve-controller",
    f"{_ADMISSION}-mutatingwebhookconfiguration-inferenceservice.serving.kserve.io": "kserve-mutating",
    **{
        f"{_ADMISSION}-validatingwebhookconfiguration-{kind}.serving.kserve.io": f"kserve-validating-{kind}s"
        for kind in _KINDS
    },
}

EARLIER: Final[Mapping[str, EarlierName]] = {
    **{name: EarlierName("KServe", earlier) for name, earlier in _KSERVE.items()},
    "upstream-v1-namespace-kubeflow": EarlierName("KubeflowPipelines", "kfp-namespace"),
}
"""By the resource's name now."""
