"""Admission policies in CEL, which the API server applies to every client. Pure.

A model must not be served without passing promotion's gate. An InferenceService therefore has to be
exactly what promotion writes (`infra.serving_form`): the policy compares with that form instead of
listing forbidden fields, and a field that a later KServe adds is denied until the form contains it.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from infra import serving_form
from infra.names import SERVER, SERVING_RUNTIME
from storage.layout import DIGEST, NAME, Buckets

MODEL_SOURCE: Final = "slipway-model-source"
TOKEN_LIFETIME: Final = "slipway-token-lifetime"
TOKEN_SECONDS: Final = 24 * 3600
"""Maximum lifetime, in seconds, of a token of a tenant's ServiceAccount."""

_FINALIZERS: Final = ("inferenceservice.finalizers", "foregroundDeletion", "orphan")
"""Finalizers of KServe's controller and of the API server's deletion modes."""

_RESOURCES: Final = "variables.model[?'resources']"
_OLD_RESOURCES: Final = "variables.oldModel[?'resources']"


class Expression(str):
    """A CEL expression, used in place of a value."""

    __slots__ = ()


def cel(value: object) -> str:
    """Return a JSON value as a CEL literal; an `Expression` in it is copied unchanged."""
    if isinstance(value, Expression):
        return str(value)
    if isinstance(value, Mapping):
        # Kubernetes compiles only maps whose values have one type; `dyn` allows mixed types.
        all_strings = all(isinstance(each, str) for each in value.values())
        pairs = ((cel(key), cel(each)) for key, each in value.items())
        return (
            "{" + ", ".join(f"{key}: {each if all_strings else f'dyn({each})'}" for key, each in pairs) + "}"
        )
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(map(cel, value)) + "]"
    # CEL uses the same string escapes as JSON.
    return json.dumps(value)


def _optional(parent: str, name: str) -> str:
    return f"has({parent}.{name}) ? {parent}.{name} : {{}}"


def _matches(text: str, pattern: str) -> str:
    return f"{text}.matches({cel(f'^(?:{pattern})$')})"


def _only(variable: str, exact: Mapping[str, str], patterns: Mapping[str, str]) -> str:
    """Return a condition: a map of strings has only these keys, each with this value or pattern."""
    matches = " : ".join(f"k == {cel(key)} ? {_matches(f'{variable}[k]', p)}" for key, p in patterns.items())
    equals = f"{variable}[k] == {cel(exact)}[k]" if exact else "false"
    return f"{variable}.all(k, k in {cel(exact)} ? {equals} : {matches} : false)"


def _validation(expression: str, message: str, *, detail: str = "") -> dict[str, str]:
    validation = {"expression": expression, "message": message, "reason": "Forbidden"}
    return validation | ({"messageExpression": detail} if detail else {})


def model_source(buckets: Buckets, limits: Mapping[str, str]) -> dict[str, Any]:
    """Return the spec of the ValidatingAdmissionPolicy on InferenceServices.

    A tenant's namespace has the tenant's name. `limits` are the limits of a model server; an existing
    InferenceService may keep its own, so that a changed setting does not block key rotation.
    """
    form = serving_form.predictor(
        account=SERVER,
        runtime=SERVING_RUNTIME,
        resources=Expression("variables.resources"),
        storage_uri=Expression("variables.uri"),
        pod_annotations=Expression("variables.onPods"),
    )
    variables = {
        "annotations": _optional("object.metadata", "annotations"),
        "labels": _optional("object.metadata", "labels"),
        "predictor": _optional("object.spec", "predictor"),
        "model": _optional("variables.predictor", "model"),
        "oldModel": "oldObject != null && has(oldObject.spec.predictor)"
        " && has(oldObject.spec.predictor.model) ? oldObject.spec.predictor.model : {}",
        "onPods": _optional("variables.predictor", "annotations"),
        "resources": f"request.operation == 'UPDATE' && {_RESOURCES} == {_OLD_RESOURCES}"
        f" ? {_RESOURCES}.orValue({{}}) : {cel(serving_form.resources(limits))}",
        "digest": f"variables.annotations[?{cel(serving_form.DIGEST)}].orValue('')",
        "uri": f"'s3://{buckets.models}/' + request.namespace + '/' + object.metadata.name"
        " + '/versions/' + variables.digest + '/files'",
        "form": cel(form),
        "defaulted": cel(serving_form.defaulted(form)),
    }
    return {
        "failurePolicy": "Fail",
        "matchConstraints": _constraints("serving.kserve.io", "inferenceservices", "CREATE", "UPDATE"),
        "matchConditions": [
            # The finalizer of an object older than this policy must be removable. KServe's controller
            # creates nothing for an object that is being deleted, and only the API server sets the field.
            {"name": "not-being-deleted", "expression": "!has(object.metadata.deletionTimestamp)"}
        ],
        "variables": [{"name": name, "expression": text} for name, text in variables.items()],
        "validations": [*_version_validations(buckets), *_metadata_validations()],
    }


def _version_validations(buckets: Buckets) -> list[dict[str, str]]:
    exact = serving_form.annotations() | serving_form.defaulted_annotations()
    lineage = {serving_form.DIGEST: DIGEST.pattern} | serving_form.LINEAGE
    on_pods = {serving_form.STORE_KEY: serving_form.STORE_KEY_CHECKSUM}
    required = [*serving_form.annotations(), *lineage]
    return [
        _validation(
            _matches("object.metadata.name", NAME.pattern),
            "metadata.name must be the name of a model: 1 to 40 lower-case letters, digits and hyphens.",
        ),
        _validation(
            f"{_matches('variables.digest', DIGEST.pattern)}"
            " && variables.model[?'storageUri'] == optional.of(variables.uri)",
            "spec.predictor.model.storageUri must be where promotion put the version.",
            detail=f"'storageUri must be s3://{buckets.models}/' + request.namespace + '/'"
            f" + object.metadata.name + '/versions/<digest>/files, with the digest in the annotation"
            f" {serving_form.DIGEST}: models are served from where promotion put them.'",
        ),
        _validation(
            "size(object.spec) == 1 && variables.predictor in [variables.form, variables.defaulted]",
            "spec is not what promotion writes.",
            detail=_differences(),
        ),
        _validation(
            f"{_only('variables.annotations', exact, lineage)}"
            f" && {cel(required)}.all(k, k in variables.annotations)",
            "metadata.annotations must be those that promotion writes, and no others.",
        ),
        _validation(
            _only("variables.onPods", {serving_form.DIGEST: Expression("variables.digest")}, on_pods)
            + f" && {cel(serving_form.DIGEST)} in variables.onPods",
            "spec.predictor.annotations must be those that promotion writes, and no others.",
        ),
        _validation(
            f"variables.labels == {cel(serving_form.labels(Expression('request.namespace')))}",
            "metadata.labels must be those that promotion writes, and no others.",
        ),
    ]


def _differences() -> str:
    """Return a message expression that names the fields which differ, as specifically as possible."""
    fields = (
        "object.spec.filter(k, k != 'predictor').map(k, 'spec.' + k)",
        "variables.predictor.filter(k, k != 'model'"
        " && variables.predictor[k] != variables.form[?k].orValue(null)).map(k, 'spec.predictor.' + k)",
        "variables.form.filter(k, !(k in variables.predictor)).map(k, 'spec.predictor.' + k)",
        "variables.model.filter(k, variables.model[k] != variables.defaulted.model[?k].orValue(null))"
        ".map(k, 'spec.predictor.model.' + k)",
        "variables.form.model.filter(k, !(k in variables.model)).map(k, 'spec.predictor.model.' + k)",
    )
    return f"'spec is not what promotion writes; it differs in: ' + ({' + '.join(fields)}).join(', ')"


def _metadata_validations() -> list[dict[str, str]]:
    return [
        _validation(
            f"!has(object.metadata.finalizers) || object.metadata.finalizers.all(f, f in {cel(_FINALIZERS)})",
            f"metadata.finalizers may contain only {', '.join(_FINALIZERS)}.",
        ),
        _validation(
            "!has(object.metadata.ownerReferences) || size(object.metadata.ownerReferences) == 0",
            "metadata.ownerReferences must be absent: only people or the tenant's deletion remove models.",
        ),
    ]


def _constraints(group: str, resource: str, *operations: str) -> dict[str, Any]:
    rule = {
        "apiGroups": [group],
        "apiVersions": ["*"],
        "operations": [*operations],
        "resources": [resource],
    }
    return {"resourceRules": [rule]}


def token_lifetime() -> dict[str, Any]:
    """Return the spec of the ValidatingAdmissionPolicy on tokens of the tenants' ServiceAccounts.

    Only the node that runs a pod may request tokens bound to it: the API server extends such tokens by
    default, so that one of 3,607 seconds is valid for a year.
    """
    return {
        "failurePolicy": "Fail",
        "matchConstraints": _constraints("", "serviceaccounts/token", "CREATE")
        | {"namespaceSelector": {"matchExpressions": [{"key": serving_form.TENANT, "operator": "Exists"}]}},
        "validations": [
            _validation(
                f"object.spec.expirationSeconds <= {TOKEN_SECONDS}",
                f"a token of a tenant's ServiceAccount may be valid for at most {TOKEN_SECONDS} seconds.",
            ),
            _validation(
                # The key is always present; null means unbound.
                "object.spec.?boundObjectRef.orValue(null) == null"
                " || 'system:nodes' in request.userInfo.groups",
                "only a node may request tokens that are bound to an object.",
            ),
        ],
    }
