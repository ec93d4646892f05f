"""What the API server itself refuses, whoever asks. Pure: policies in CEL.

The gate of promotion would be worth little if a model could be served from somewhere else or beside
another program, so an InferenceService is exactly what promotion writes (`infra.serving_form`): the
policy compares instead of listing what is forbidden, and a field that a later KServe adds is refused
until the form has it.
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
"""The longest that a token of a tenant's ServiceAccount lives."""

_FINALIZERS: Final = ("inferenceservice.finalizers", "foregroundDeletion", "orphan")
"""Of KServe's controller, and of the API server's own kinds of deletion."""

_RESOURCES: Final = "variables.model[?'resources']"
_OLD_RESOURCES: Final = "variables.oldModel[?'resources']"


class Expression(str):
    """A string that is CEL already, in place of a value."""

    __slots__ = ()


def cel(value: object) -> str:
    """Return a JSON value as CEL; an `Expression` in it stays as it is."""
    if isinstance(value, Expression):
        return str(value)
    if isinstance(value, Mapping):
        # Kubernetes compiles maps with values of one type only; of type dyn they may be anything.
        alike = all(isinstance(each, str) for each in value.values())
        pairs = ((cel(key), cel(each)) for key, each in value.items())
        return "{" + ", ".join(f"{key}: {each if alike else f'dyn({each})'}" for key, each in pairs) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(map(cel, value)) + "]"
    # Of strings, JSON's escapes are CEL's too.
    return json.dumps(value)


def _optional(parent: str, name: str) -> str:
    return f"has({parent}.{name}) ? {parent}.{name} : {{}}"


def _matches(text: str, pattern: str) -> str:
    return f"{text}.matches({cel(f'^(?:{pattern})$')})"


def _only(held: str, exact: Mapping[str, str], patterns: Mapping[str, str]) -> str:
    """Return that a map of strings has no key but these, each with its value or of its form."""
    patterned = " : ".join(f"k == {cel(key)} ? {_matches(f'{held}[k]', p)}" for key, p in patterns.items())
    alike = f"{held}[k] == {cel(exact)}[k]" if exact else "false"
    return f"{held}.all(k, k in {cel(exact)} ? {alike} : {patterned} : false)"


def _denial(expression: str, message: str, *, detail: str = "") -> dict[str, str]:
    found = {"expression": expression, "message": message, "reason": "Forbidden"}
    return found | ({"messageExpression": detail} if detail else {})


def model_source(buckets: Buckets, limits: Mapping[str, str], mode: str = "standard") -> dict[str, Any]:
    """Return the spec of the ValidatingAdmissionPolicy on InferenceServices.

    A namespace is its tenant's name. `limits` are those of a model server; what is there already keeps
    its own, so that a changed setting does not stop the rotation of keys.
    """
    form = serving_form.predictor(
        mode=mode,
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
        "matchConstraints": _on("serving.kserve.io", "inferenceservices", "CREATE", "UPDATE"),
        "matchConditions": [
            # One that is older than this policy must be able to lose its finalizer. KServe's controller
            # makes nothing of an object that is being deleted, and nobody else sets the field.
            {"name": "not-being-deleted", "expression": "!has(object.metadata.deletionTimestamp)"}
        ],
        "variables": [{"name": name, "expression": text} for name, text in variables.items()],
        "validations": [*_about_the_version(buckets, mode), *_about_the_object()],
    }


def _about_the_version(buckets: Buckets, mode: str) -> list[dict[str, str]]:
    exact = serving_form.annotations(mode) | serving_form.defaulted_annotations()
    lineage = {serving_form.DIGEST: DIGEST.pattern} | serving_form.LINEAGE
    on_pods = {serving_form.STORE_KEY: serving_form.STORE_KEY_CHECKSUM}
    required = [*serving_form.annotations(mode), *lineage]
    return [
        _denial(
            _matches("object.metadata.name", NAME.pattern),
            "metadata.name must be the name of a model: 1 to 40 lower-case letters, digits and hyphens.",
        ),
        _denial(
            f"{_matches('variables.digest', DIGEST.pattern)}"
            " && variables.model[?'storageUri'] == optional.of(variables.uri)",
            "spec.predictor.model.storageUri must be where promotion put the version.",
            detail=f"'storageUri must be s3://{buckets.models}/' + request.namespace + '/'"
            f" + object.metadata.name + '/versions/<digest>/files, with the digest in the annotation"
            f" {serving_form.DIGEST}: models are served from where promotion put them.'",
        ),
        _denial(
            "size(object.spec) == 1 && variables.predictor in [variables.form, variables.defaulted]",
            "spec is not what promotion writes.",
            detail=_departures(),
        ),
        _denial(
            f"{_only('variables.annotations', exact, lineage)}"
            f" && {cel(required)}.all(k, k in variables.annotations)",
            "metadata.annotations must be those that promotion writes, and no others.",
        ),
        _denial(
            _only("variables.onPods", {serving_form.DIGEST: Expression("variables.digest")}, on_pods)
            + f" && {cel(serving_form.DIGEST)} in variables.onPods",
            "spec.predictor.annotations must be those that promotion writes, and no others.",
        ),
        _denial(
            f"variables.labels == {cel(serving_form.labels(Expression('request.namespace')))}",
            "metadata.labels must be those that promotion writes, and no others.",
        ),
    ]


def _departures() -> str:
    """Return a message that names the fields which differ, at the nearest level that says something."""
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


def _about_the_object() -> list[dict[str, str]]:
    return [
        _denial(
            f"!has(object.metadata.finalizers) || object.metadata.finalizers.all(f, f in {cel(_FINALIZERS)})",
            f"metadata.finalizers takes none but {', '.join(_FINALIZERS)}.",
        ),
        _denial(
            "!has(object.metadata.ownerReferences) || size(object.metadata.ownerReferences) == 0",
            "metadata.ownerReferences must be absent: only a person or the tenant's end removes a model.",
        ),
    ]


def _on(group: str, resource: str, *operations: str) -> dict[str, Any]:
    rule = {
        "apiGroups": [group],
        "apiVersions": ["*"],
        "operations": [*operations],
        "resources": [resource],
    }
    return {"resourceRules": [rule]}


def token_lifetime() -> dict[str, Any]:
    """Return the spec of the ValidatingAdmissionPolicy on tokens of the tenants' ServiceAccounts.

    A token bound to a pod is for the node that runs the pod: where the API server extends such tokens
    (its default), one of 3,607 seconds lives for a year.
    """
    return {
        "failurePolicy": "Fail",
        "matchConstraints": _on("", "serviceaccounts/token", "CREATE")
        | {"namespaceSelector": {"matchExpressions": [{"key": serving_form.TENANT, "operator": "Exists"}]}},
        "validations": [
            _denial(
                f"object.spec.expirationSeconds <= {TOKEN_SECONDS}",
                f"a token of a tenant's ServiceAccount lives {TOKEN_SECONDS} seconds at most.",
            ),
            _denial(
                # Its key is always there, with null for none.
                "object.spec.?boundObjectRef.orValue(null) == null"
                " || 'system:nodes' in request.userInfo.groups",
                "only a node gets tokens that are bound to an object.",
            ),
        ],
    }
