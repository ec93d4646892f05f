"""Every part that Slipway can install, by its name, each after those that it needs."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from infra.upstream.part import Part
from infra.upstream.parts import (
    cert_manager,
    dashboard,
    dex,
    gateway_api,
    istio,
    jobset,
    katib,
    kfp,
    knative,
    kserve,
    kubeflow,
    kubeflow_roles,
    models_web_app,
    notebooks,
    oauth2_proxy,
    prometheus,
    trainer,
    training_operator,
)

_MODULES: Final = (
    gateway_api,
    kubeflow,
    cert_manager,
    istio,
    knative,
    dex,
    oauth2_proxy,
    kubeflow_roles,
    kserve,
    katib,
    kfp,
    jobset,
    trainer,
    training_operator,
    dashboard,
    notebooks,
    models_web_app,
    prometheus,
)

PARTS: Final[Mapping[str, Part]] = MappingProxyType({module.PART.name: module.PART for module in _MODULES})
