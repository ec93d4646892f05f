"""The InferenceService of a model version: a manifest from data. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from infra import serving_form
from infra.contract import PlatformOutputs
from infra.serving_form import API_VERSION, DIGEST, DOMAIN, LINEAGE, PROMOTION
from slipway.core.errors import UsageError

FIELD_MANAGER: Final = "slipway-promotion"


@dataclass(frozen=True)
class ServedVersion:
    """A model version and its lineage."""

    model: str
    digest: str
    storage_uri: str
    promotion: int
    run_id: str
    pipeline_digest: str
    git_commit: str
    data_sha256: str

    def annotations(self) -> dict[str, str]:
        """Return the lineage as annotations of the InferenceService."""
        return {
            DIGEST: self.digest,
            PROMOTION: str(self.promotion),
            f"{DOMAIN}/run-id": self.run_id,
            f"{DOMAIN}/pipeline-digest": self.pipeline_digest,
            f"{DOMAIN}/git-commit": self.git_commit,
            f"{DOMAIN}/data-digest": self.data_sha256,
        }

    @classmethod
    def recorded(cls, annotations: Mapping[str, str], *, model: str, storage_uri: str) -> "ServedVersion":
        """Read the lineage back from an InferenceService's annotations.

        Raises:
            KeyError: One is missing.
            ValueError: The number of the promotion is not a number.
        """
        return cls(
            model=model,
            digest=annotations[DIGEST],
            storage_uri=storage_uri,
            promotion=int(annotations[PROMOTION]),
            run_id=annotations[f"{DOMAIN}/run-id"],
            pipeline_digest=annotations[f"{DOMAIN}/pipeline-digest"],
            git_commit=annotations[f"{DOMAIN}/git-commit"],
            data_sha256=annotations[f"{DOMAIN}/data-digest"],
        )


def manifest(outputs: PlatformOutputs, tenant: str, version: ServedVersion) -> dict[str, Any]:
    """Return the InferenceService that serves `version`; its old pod is kept until the new one is ready.

    Raises:
        UsageError: The version is not below the tenant's own models, or a value of its lineage
            can't be an annotation of an InferenceService.
    """
    place = outputs.tenants[tenant]
    home = f"{place.models_uri}/{version.model}/versions/{version.digest}/files"
    if version.storage_uri != home:
        raise UsageError(
            f"{version.storage_uri} is not a version of {tenant}'s model {version.model}.",
            why=f"That version is at {home}.",
        )
    return {
        "apiVersion": API_VERSION,
        "kind": "InferenceService",
        "metadata": {
            "name": version.model,
            "namespace": place.namespace,
            "labels": serving_form.labels(tenant),
            "annotations": {**serving_form.annotations(), **_lineage(version)},
        },
        "spec": {
            "predictor": serving_form.predictor(
                account=place.server_service_account,
                runtime=outputs.serving.runtime,
                resources=serving_form.resources(outputs.serving.limits),
                storage_uri=version.storage_uri,
                pod_annotations={DIGEST: version.digest},
            )
        },
    }


def _lineage(version: ServedVersion) -> dict[str, str]:
    lineage = version.annotations()
    for key, pattern in LINEAGE.items():
        if not re.fullmatch(pattern, lineage[key]):
            raise UsageError(
                f"{lineage[key][:50]!r} can't be a value of the annotation {key} of an InferenceService.",
                why=f"It does not match {pattern}.",
            )
    return lineage


__all__ = ["API_VERSION", "DIGEST", "DOMAIN", "FIELD_MANAGER", "PROMOTION", "ServedVersion", "manifest"]
