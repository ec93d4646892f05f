"""The provider's own settings, as the SDK's `Provider` resource sends them. Pure."""

import os
from dataclasses import dataclass, field
from typing import Any, Final

from embedded.plugins.kubernetes.kubeconfig import Choice

_UNSUPPORTED: Final = {
    "renderYamlToDirectory": "rendering manifests into a folder",
    "alwaysRender": "rendering manifests into a folder",
}


@dataclass(frozen=True)
class Settings:
    """What a program may say about the cluster and about how to treat it."""

    choice: Choice = field(default_factory=Choice)
    namespace: str = ""
    cluster_identifier: str = ""
    force: bool = False
    upsert: bool = False
    delete_unreachable: bool = False
    skip_update_unreachable: bool = False
    mutable_config_maps: bool = False
    mutable_secrets: bool = False

    def mutable_contents(self, kind: str) -> bool:
        """Whether the data of an autonamed object of this kind changes in place."""
        return self.mutable_secrets if kind == "Secret" else self.mutable_config_maps


def read(values: dict[str, Any]) -> Settings:
    """Read the settings; those left out may come from the environment, as with the official provider."""
    return Settings(
        choice=Choice(
            _text(values, "kubeconfig", ""), _text(values, "context", ""), _text(values, "cluster", "")
        ),
        namespace=_text(values, "namespace", "PULUMI_K8S_NAMESPACE"),
        cluster_identifier=_text(values, "clusterIdentifier", "PULUMI_K8S_CLUSTER_IDENTIFIER"),
        force=_flag(values, "enablePatchForce", "PULUMI_K8S_ENABLE_PATCH_FORCE"),
        upsert=_flag(values, "upsertExistingObjects", "PULUMI_K8S_UPSERT_EXISTING_OBJECTS"),
        delete_unreachable=_flag(values, "deleteUnreachable", "PULUMI_K8S_DELETE_UNREACHABLE"),
        skip_update_unreachable=_flag(values, "skipUpdateUnreachable", "PULUMI_K8S_SKIP_UPDATE_UNREACHABLE"),
        mutable_config_maps=_flag(values, "enableConfigMapMutable", "PULUMI_K8S_ENABLE_CONFIGMAP_MUTABLE"),
        mutable_secrets=_flag(values, "enableSecretMutable", "PULUMI_K8S_ENABLE_SECRET_MUTABLE"),
    )


def refusals(values: dict[str, Any]) -> list[tuple[str, str]]:
    """Return each setting that is not supported, with the reason."""
    found = [
        (name, f"{about} is not supported by Slipway's stand-in for the Kubernetes provider")
        for name, about in _UNSUPPORTED.items()
        if values.get(name) not in (None, "", False, "false")
    ]
    if values.get("enableServerSideApply") in (False, "false"):
        found.append(
            ("enableServerSideApply", "Slipway's stand-in for the Kubernetes provider applies on the server")
        )
    return found


def _text(values: dict[str, Any], name: str, variable: str) -> str:
    value = values.get(name)
    return value if isinstance(value, str) and value else os.environ.get(variable, "") if variable else ""


def _flag(values: dict[str, Any], name: str, variable: str) -> bool:
    value = values.get(name)
    if value is None:
        value = os.environ.get(variable, "")
    return value is True or str(value).lower() == "true"
