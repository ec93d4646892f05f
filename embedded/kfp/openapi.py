"""The API as an OpenAPI 3.1 document, generated from the served operations. Pure."""

import re
from collections.abc import Iterable
from typing import Any, Final

from pydantic.json_schema import models_json_schema

from embedded.kfp import requests
from embedded.kfp.operations import Operation

_ERROR: Final = {
    "type": "object",
    "required": ["error", "code", "message", "details"],
    "properties": {
        "error": {"type": "string"},
        "code": {"type": "integer", "description": "of google.rpc.Code"},
        "message": {"type": "string"},
        "details": {"type": "array"},
    },
}
_VERBS: Final = {
    "experiment": ["archive", "unarchive"],
    "run": ["archive", "retry", "terminate", "unarchive"],
}


def describe(root: str, operations: Iterable[Operation]) -> dict[str, Any]:
    """Return the document; `root` is the path prefix of all operations."""
    described = [operation for operation in operations if operation.described]
    models = [(operation.body, "validation") for operation in described if operation.body is not None]
    references, definitions = models_json_schema(models, ref_template="#/components/schemas/{model}")  # type: ignore[arg-type]
    paths: dict[str, dict[str, Any]] = {}
    for operation in described:
        path = re.sub(r":path}", "}", operation.path)
        body = references.get((operation.body, "validation")) if operation.body is not None else None
        paths.setdefault(path, {})[operation.method.lower()] = _operation(operation, body)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Kubeflow Pipelines v2beta1, the part that Slipway serves", "version": "v2beta1"},
        "servers": [{"url": root}],
        "paths": paths,
        "components": {"schemas": {**definitions.get("$defs", {}), "Error": _ERROR}},
    }


def _operation(operation: Operation, body: dict[str, Any] | None) -> dict[str, Any]:
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    described: dict[str, Any] = {
        "operationId": operation.handler.__name__,
        "parameters": [*_path_parameters(operation.path), *_query_parameters(operation)],
        "responses": {
            "200": {"description": "done"},
            "4XX": {"description": "refused; nothing changed", "content": error},
        },
    }
    if body is not None:
        described["requestBody"] = {"content": {"application/json": {"schema": body}}}
    if operation.upload:
        schema = {"type": "object", "required": ["uploadfile"],
                  "properties": {"uploadfile": {"type": "string", "format": "binary"}}}  # fmt: skip
        described["requestBody"] = {"required": True, "content": {"multipart/form-data": {"schema": schema}}}
    return described


def _path_parameters(path: str) -> list[dict[str, Any]]:
    described = []
    for name in re.findall(r"\{([a-z]+)(?::path)?\}", path):
        schema: dict[str, Any] = {"type": "string", "pattern": f"^{requests.IDENTIFIER}$"}
        if name == "verb":
            schema = {"type": "string", "enum": _VERBS["run" if path.startswith("/runs") else "experiment"]}
        elif name in ("name", "task"):
            schema = {"type": "string", "minLength": 1}
        described.append({"name": name, "in": "path", "required": True, "schema": schema})
    return described


def _query_parameters(operation: Operation) -> list[dict[str, Any]]:
    return [{"name": name, "in": "query", "schema": dict(schema)} for name, schema in operation.query.items()]
