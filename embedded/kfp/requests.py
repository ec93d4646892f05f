"""Models of request bodies, and the formats of names and ids. Pure.

Fields are those of upstream's messages, in snake_case or camelCase like in protobuf's JSON mapping. As in
upstream, output-only fields are accepted and ignored, and unknown fields are refused.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, TypeVar

import pydantic_core
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from embedded.kfp.failures import invalid

NAMESPACE: Final = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
"""A DNS label (RFC 1123), the format of Kubernetes namespaces."""
IDENTIFIER: Final = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
"""A UUID in the format of the server."""
_ACCOUNT: Final = r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?"
_LONGEST_TEXT: Final = 65_536

_Model = TypeVar("_Model", bound="Body")


def namespace(text: str) -> str:
    """Return a namespace unchanged, empty for none; raise ApiError if it isn't a DNS label."""
    return _matching("namespace", NAMESPACE, "a DNS label of at most 63 of a-z, 0-9 and -", text)


def identifier(name: str, text: str) -> str:
    """Return an id unchanged, empty for none; raise ApiError if it isn't a UUID."""
    return _matching(name, IDENTIFIER, "a UUID", text)


def service_account(text: str) -> str:
    """Return the name of a ServiceAccount unchanged, empty for none; raise ApiError if it is not valid."""
    return _matching("service_account", _ACCOUNT, "a DNS name of a-z, 0-9, - and .", text)


def _matching(name: str, pattern: str, words: str, text: str) -> str:
    if text and not re.fullmatch(pattern, text):
        raise invalid(f"{name} {text[:80]!r} is not {words}")
    return text


_Namespace = Annotated[
    str, AfterValidator(namespace), Field(json_schema_extra={"pattern": f"^({NAMESPACE})?$"})
]
_Identifier = Annotated[
    str,
    AfterValidator(lambda text: identifier("id", text)),
    Field(json_schema_extra={"pattern": f"^({IDENTIFIER})?$"}),
]
_Account = Annotated[
    str, AfterValidator(service_account), Field(json_schema_extra={"pattern": f"^({_ACCOUNT})?$"})
]
_Text = Annotated[str, Field(max_length=_LONGEST_TEXT)]


class Body(BaseModel):
    """A JSON object with known fields; null is the same as absent."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, alias_generator=to_camel, populate_by_name=True
    )


class NewExperiment(Body):
    """V2beta1Experiment, the body of `POST /experiments`."""

    display_name: _Text | None = None
    description: _Text | None = None
    namespace: _Namespace | None = None
    experiment_id: _Text | None = None
    created_at: _Text | None = None
    storage_state: _Text | None = None
    last_run_created_at: _Text | None = None


class NewPipeline(Body):
    """V2beta1Pipeline, the body of `POST /pipelines`."""

    name: _Text | None = None
    display_name: _Text | None = None
    description: _Text | None = None
    namespace: _Namespace | None = None
    pipeline_id: _Text | None = None
    created_at: _Text | None = None
    error: dict[str, Any] | None = None


class VersionReference(Body):
    """V2beta1PipelineVersionReference."""

    pipeline_id: _Identifier | None = None
    pipeline_version_id: _Identifier | None = None


class RuntimeConfig(Body):
    """V2beta1RuntimeConfig."""

    parameters: dict[str, Any] | None = None
    pipeline_root: _Text | None = None


class NewRun(Body):
    """V2beta1Run, the body of `POST /runs`."""

    display_name: _Text | None = None
    description: _Text | None = None
    experiment_id: _Identifier | None = None
    pipeline_spec: dict[str, Any] | None = None
    pipeline_version_reference: VersionReference | None = None
    runtime_config: RuntimeConfig | None = None
    service_account: _Account | None = None
    run_id: _Text | None = None
    storage_state: _Text | None = None
    created_at: _Text | None = None
    scheduled_at: _Text | None = None
    finished_at: _Text | None = None
    state: _Text | None = None
    error: dict[str, Any] | None = None
    run_details: dict[str, Any] | None = None
    state_history: list[Any] | None = None


class Nothing(Body):
    """The body of a request without fields."""


def read(data: bytes, model: type[_Model]) -> _Model:
    """Parse a body; raise ApiError naming the field that is not valid.

    pydantic's JSON parser limits the depth and refuses lone surrogates, NaN and infinities, which can't be
    stored in the database or returned in a response.
    """
    if not data.strip():
        data = b"{}"
    try:
        value = pydantic_core.from_json(data, allow_inf_nan=False)
    except ValueError as error:
        raise invalid(f"the request's body is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise invalid("the request's body is not a JSON object")
    return validated(value, model)


def validated(value: Mapping[str, Any], model: type[_Model]) -> _Model:
    """Validate an object that is already parsed."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise invalid(first_problem(error)) from error


def first_problem(error: ValidationError) -> str:
    """The first error, with the field's name and never with its value."""
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"unknown field {place[:200]!r}"
    return f"{place[:200]}: {first['msg']}" if place else first["msg"]
