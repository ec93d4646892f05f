"""Generates docs/settings.md from the JSON schemas of the settings. Pure: schema -> text.

`python -m infra.settings.config --write-schema` writes it. Each row takes its value from the complete files
of `infra.settings.examples`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import yaml

from infra.settings.examples import (
    DEV,
    EXTERNAL,
    GATEWAY_API,
    KIND,
    LOAD_BALANCER,
    LOCAL,
    NODE_PORT,
    POD_IDENTITY,
    S3,
    TENANT,
    URLS,
)

Schema = Mapping[str, Any]

_PLAIN: Final = {"array": "list", "boolean": "`true` or `false`"}
_INTRODUCTION: Final = """\
# Settings

Written by `make golden` from [settings.schema.json](settings.schema.json) and
[tenant.schema.json](tenant.schema.json), which an editor can use to complete and to check. What is not
listed here is rejected, and so is a value of another type: the message names file and field, and nothing
is started.
"""
_STACK: Final = """\
## A stack

`slipway init STACK` copies `stacks/<environment>.yaml` to `Pulumi.<stack>.yaml`. Under `config`, these
keys are read:

| key | meaning |
|---|---|
| `slipway:platform` | the settings below |
| `slipway:secret` | every key is derived from it; `slipway init STACK` generates and encrypts it |
| `slipway:registryLogin` | secret: the account with which nodes pull; `slipway init --registry` sets it |
| `slipway:storeAdmin` | secret: an external store's administrator key; only with `administration: minio` |
| `slipway:storeKeys` | secret: the tenants' keys of an external store; only with `administration: none` |
"""
_S3_TITLE: Final = """\
### A store of kind `s3` instead of MinIO

[stores.md](stores.md) compares the kinds of store and explains how to set each up.
"""
_EXTERNAL: Final = """\
### A store of kind `external` instead of MinIO

It must pass `slipway doctor --store --endpoint URL`. [store-conformance.md](store-conformance.md) lists
which features are optional, and what does not work without each.
"""
_PUBLISHED: Final = {
    "node-port": NODE_PORT,
    "load-balancer": LOAD_BALANCER,
    "gateway-api": GATEWAY_API,
    "urls": URLS,
}
"""Examples of the kinds of endpoints that `dev` does not show, by kind."""
_TENANT: Final = """\
## A tenant

Each file `tenants/<name>.yaml` declares one tenant. `slipway up STACK` onboards it; its namespace has the
same name.
"""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One row: a setting by its dotted path."""

    name: str
    type: str
    default: str
    meaning: str
    example: str


def page(stack: Schema, tenant: Schema) -> str:
    """Return the text of docs/settings.md."""
    local, kind, dev = (_resolved(stack, branch) for branch in stack["oneOf"])
    common = set(local["properties"]) & set(dev["properties"]) - {"environment"}
    kind_only, dev_only = (
        {**each, "properties": {k: v for k, v in each["properties"].items() if k not in common}}
        for each in (kind, dev)
    )
    return (
        "\n".join(
            [
                _INTRODUCTION,
                _STACK,
                *_section("### Environment `local`, and settings of every environment", stack, local, LOCAL),
                *_section("### Additional settings of `kind`", stack, kind_only, KIND),
                *_section("### Additional settings of `dev`", stack, dev_only, DEV),
                *_section(_S3_TITLE.rstrip("\n"), stack, _only(dev, "store"), S3),
                *(
                    line
                    for kind, example in _PUBLISHED.items()
                    for line in _section(
                        f"### Endpoints of kind `{kind}`", stack, _only(dev, "endpoints"), example
                    )
                ),
                *_section(
                    "### Setting `identity` with EKS Pod Identity", stack, _only_identity(stack), POD_IDENTITY
                ),
                *_section(_EXTERNAL.rstrip("\n"), stack, _only(dev, "store"), EXTERNAL),
                *_section(_TENANT.rstrip("\n"), tenant, tenant, TENANT),
            ]
        ).rstrip("\n")
        + "\n"
    )


def _only(stack: Schema, name: str) -> Schema:
    return {"properties": {name: stack["properties"][name]}}


def _only_identity(root: Schema) -> Schema:
    return {
        "properties": {"identity": root["$defs"]["S3Settings"]["properties"]["identity"]},
        "required": ["identity"],
    }


def settings(root: Schema, schema: Schema, example: object, path: str = "") -> Iterator[Setting]:
    """Yield every setting of an object, depth first, in the order of the schema."""
    values = example if isinstance(example, dict) else {}
    for name, declared in schema["properties"].items():
        value = _chosen(root, _resolved(root, declared), values.get(name))
        where = f"{path}{name}"
        if "properties" in value:
            yield from settings(root, value, values.get(name), f"{where}.")
            continue
        yield Setting(
            name=where,
            type=_type(root, value),
            default=_default(value, required=name in schema.get("required", ())),
            meaning=value.get("description") or f"{value.get('const')!r} is the only kind in this release.",
            example=_inline(values.get(name)),
        )
        yield from _items(root, value, values.get(name), where)


def _items(root: Schema, value: Schema, example: object, where: str) -> Iterator[Setting]:
    """Yield the settings of a list's items; settings shared by several kinds of items are listed once."""
    seen: set[str] = set()
    items = value.get("items", {})
    one_kind = [items] if "properties" in _resolved(root, items) else []
    for branch in items.get("oneOf", one_kind):
        shape = _resolved(root, branch)
        of_this_kind = (
            [each for each in example if set(each) == set(shape["properties"])]
            if isinstance(example, list)
            else []
        )
        for setting in settings(root, shape, next(iter(of_this_kind), None), f"{where}[]."):
            if setting.name not in seen:
                seen.add(setting.name)
                yield setting


def _chosen(root: Schema, value: Schema, example: object) -> Schema:
    """Return the branch of a union that matches the example; of an optional object the object.

    Any other schema is returned unchanged.
    """
    optional = [_resolved(root, branch) for branch in value.get("anyOf", ())]
    if objects := [branch for branch in optional if "properties" in branch]:
        return objects[0]
    branches = [_resolved(root, branch) for branch in value.get("oneOf", ())]
    kind = example.get("kind") if isinstance(example, dict) else None
    of_kind = (each for each in branches if each["properties"]["kind"]["const"] == kind)
    return next(of_kind, branches[0]) if branches else value


def _resolved(root: Schema, schema: Schema) -> Schema:
    """Return the referenced schema; keys next to the reference take precedence."""
    reference = schema.get("$ref")
    if reference is None:
        return schema
    target = root["$defs"][reference.rpartition("/")[2]]
    return {**target, **{key: value for key, value in schema.items() if key != "$ref"}}


def _type(root: Schema, value: Schema) -> str:
    if "anyOf" in value:  # a value or null: null is written by omitting the setting
        (only,) = (each for each in value["anyOf"] if each.get("type") != "null")
        return _type(root, _resolved(root, only))
    if "const" in value:
        return f"`{value['const']}`"
    if "enum" in value:
        return "one of " + ", ".join(f"`{each}`" for each in value["enum"])
    if value["type"] in _PLAIN:
        return _PLAIN[value["type"]]
    if value["type"] in {"integer", "number"}:
        low, high = value.get("minimum"), value.get("maximum")
        return f"{value['type']}, {low} to {high}" if high is not None else f"{value['type']}, {low} or more"
    return str(value.get("format", "text"))


def _default(value: Schema, *, required: bool) -> str:
    if required:
        return "required"
    default = value.get("default")
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    return "none" if default in (None, []) else f"`{default}`"


def _inline(example: object) -> str:
    text = yaml.safe_dump(example, default_flow_style=True, width=10_000, sort_keys=False)
    return f"`{text.removesuffix('...' + chr(10)).strip()}`"


def _section(title: str, root: Schema, schema: Schema, example: str) -> Iterator[str]:
    yield title
    yield ""
    yield "| setting | type | default | meaning | example |"
    yield "|---|---|---|---|---|"
    for row in settings(root, schema, yaml.safe_load(example)):
        cells = (f"`{row.name}`", row.type, row.default, row.meaning, row.example)
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
    yield ""
    yield "All of them in one file:"
    yield ""
    yield f"```yaml\n{example}```"
    yield ""
