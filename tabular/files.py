"""The files of a model, and reading its schema. Does not import onnxruntime, which clients don't need."""

from pathlib import Path
from typing import Final

from pydantic import ValidationError

from slipway.core.errors import FailedError
from tabular.schema import ModelSchema

MODEL: Final = "model.onnx"
SCHEMA: Final = "schema.json"
FILES: Final = frozenset({MODEL, SCHEMA})
"""The files of a model, no more and no fewer."""

MAX_SCHEMA_BYTES: Final = 4 << 20


def read_schema(path: Path) -> ModelSchema:
    """Read the schema of a model.

    Raises:
        FailedError: It is not valid, or names a feature or a class twice.
    """
    if path.stat().st_size > MAX_SCHEMA_BYTES:
        raise FailedError(f"{SCHEMA} is too large.", why=f"The limit is {MAX_SCHEMA_BYTES >> 20} MiB.")
    return parse_schema(path.read_bytes())


def parse_schema(content: bytes) -> ModelSchema:
    """Parse the schema of a model.

    Raises:
        FailedError: It is not valid, or names a feature or a class twice.
    """
    try:
        schema = ModelSchema.model_validate_json(content)
    except (ValidationError, RecursionError) as error:
        why = error.errors()[0]["msg"] if isinstance(error, ValidationError) else type(error).__name__
        raise FailedError(f"{SCHEMA} is not a valid model schema.", why=str(why)[:300]) from error
    for what, names in (
        ("feature", [each.name for each in schema.features]),
        ("class", list(schema.classes)),
        *((f"category of {each.name!r}", list(each.categories)) for each in schema.features),
    ):
        if len(set(names)) != len(names):
            raise FailedError(f"{SCHEMA} names a {what[:80]} twice.")
    return schema
