"""What the API server itself refuses, whoever asks. Pure: policies in CEL.

The gate of promotion would be worth little if a model could be served from somewhere else, so an
InferenceService is one model of one of our runtimes from the tenant's own models prefix, and nothing
that runs or loads anything besides.
"""

from typing import Any, Final

from storage.layout import Buckets

MODEL_SOURCE: Final = "slipway-model-source"

_PREDICTOR_REFUSED: Final = (
    "containers",
    "initContainers",
    "volumes",
    "workerSpec",
    "storageUris",
    "huggingface",
    "lightgbm",
    "onnx",
    "paddle",
    "pmml",
    "pytorch",
    "sklearn",
    "tensorflow",
    "triton",
    "xgboost",
)
"""Other ways to say which program runs or what it loads."""

_MODEL_REFUSED: Final = (
    "args",
    "command",
    "env",
    "envFrom",
    "image",
    "lifecycle",
    "runtimeVersion",
    "storage",
    "volumeMounts",
)
"""What a model may not change about the runtime's container: it would run under the tenant's key."""


def _absent(keys: tuple[str, ...], parent: str) -> str:
    listed = ", ".join(f"'{key}'" for key in keys)
    return f"[{listed}].all(k, !(k in {parent}) || size({parent}[k]) == 0)"


def model_source(buckets: Buckets) -> dict[str, Any]:
    """Return the spec of the ValidatingAdmissionPolicy on InferenceServices.

    A namespace is its tenant's name, and the prefix ends in a slash: `team-a` never gets to `team-ab`.
    """
    model = "object.spec.predictor.model"
    uri = f"{model}.storageUri"
    within = f"{uri}.startsWith('s3://{buckets.models}/' + request.namespace + '/')"
    plain = f"!{uri}.contains('..') && !{uri}.contains('%')"
    return {
        "failurePolicy": "Fail",
        "matchConstraints": {
            "resourceRules": [
                {
                    "apiGroups": ["serving.kserve.io"],
                    "apiVersions": ["*"],
                    "operations": ["CREATE", "UPDATE"],
                    "resources": ["inferenceservices"],
                }
            ]
        },
        "matchConditions": [
            # Else one that is older than this policy could never lose its finalizer.
            {"name": "not-being-deleted", "expression": "!has(object.metadata.deletionTimestamp)"}
        ],
        "validations": [
            {
                "expression": f"has({model}) && has({uri})",
                "message": "spec.predictor.model.storageUri is required.",
                "reason": "Forbidden",
            },
            {
                "expression": f"!has({model}) || !has({uri}) || ({within} && {plain})",
                "messageExpression": (
                    f"'storageUri must begin with s3://{buckets.models}/' + request.namespace"
                    " + '/ : models are served from where promotion put them.'"
                ),
                "reason": "Forbidden",
            },
            {
                "expression": "!has(object.spec.transformer) && !has(object.spec.explainer)",
                "message": "transformers and explainers are not admitted: only a promoted model runs.",
                "reason": "Forbidden",
            },
            {
                "expression": _absent(_PREDICTOR_REFUSED, "object.spec.predictor"),
                "message": f"spec.predictor takes a model, and none of: {', '.join(_PREDICTOR_REFUSED)}.",
                "reason": "Forbidden",
            },
            {
                "expression": f"!has({model}) || {_absent(_MODEL_REFUSED, model)}",
                "message": f"spec.predictor.model takes none of: {', '.join(_MODEL_REFUSED)}.",
                "reason": "Forbidden",
            },
        ],
    }
