"""Every part that Slipway can install, by its name."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from infra.upstream.part import Part
from infra.upstream.parts import cert_manager, katib, kserve, kubeflow

PARTS: Final[Mapping[str, Part]] = MappingProxyType(
    {module.PART.name: module.PART for module in (kubeflow, cert_manager, kserve, katib)}
)
