"""Reads settings and reports each mistake with its file and field (models.py defines the settings).

A stack's settings are the object `slipway:platform` of `Pulumi.<stack>.yaml`, next to the secret
`slipway:secret` that `slipway init` creates. Each tenant is one file in `tenants/`. The same checks run
before anything is started (`load_file`, `load_tenants`) and in the Pulumi program (`from_pulumi`).

    python -m infra.settings.config --write-schema     rewrites docs/*.schema.json and docs/settings.md
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final

import pulumi
from pydantic import Field, TypeAdapter, ValidationError

from infra.contract import PlatformOutputs
from infra.names import settings_file
from infra.settings import operator_secrets, strict_yaml
from infra.settings import page as settings_page
from infra.settings.models import PlatformSettings, TenantSettings
from infra.settings.operator_secrets import OperatorSecrets
from slipway.core.errors import UsageError

PROJECT: Final = "slipway"
PLATFORM_KEY: Final = f"{PROJECT}:platform"
SECRET_KEY: Final = f"{PROJECT}:secret"
REGISTRY_LOGIN_KEY: Final = f"{PROJECT}:registryLogin"
"""The account with which nodes pull the images, as the value of a Secret; `slipway init` stores it."""
_SECRET_KEYS: Final = (SECRET_KEY, REGISTRY_LOGIN_KEY, *operator_secrets.KEYS)
_KNOWN_KEYS: Final = (PLATFORM_KEY, *_SECRET_KEYS)
MIN_SECRET: Final = 32
"""Minimum length in characters; `slipway init` generates a longer secret."""

_STACK_FILE_KEYS: Final = {"config", "secretsprovider", "encryptedkey", "encryptionsalt", "environment"}
_COPY: Final = "Copy it from a template of stacks/; docs/settings.md lists every setting."
_TAGS: Final = {
    "UserMember",
    "GroupMember",
    "minio",
    "s3",
    "external",
    "irsa",
    "pod-identity",
    "port-forward",
    "node-port",
    "load-balancer",
    "gateway-api",
    "urls",
}
"""Union tags, which pydantic adds to the location of an error after the union's own name."""
_ENVIRONMENTS: Final = ("local", "kind", "dev")
"""Tags of the whole settings: they come first, while `store.kind` is a field."""
_NOT_YET: Final = {"prod": "dev"}
_PLATFORM: Final[TypeAdapter[PlatformSettings]] = TypeAdapter(
    Annotated[PlatformSettings, Field(discriminator="environment")]
)


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """The complete input of the Pulumi program."""

    stack: str
    platform: PlatformSettings
    tenants: tuple[TenantSettings, ...]
    secret: pulumi.Output[str]
    operator: OperatorSecrets = field(default_factory=OperatorSecrets)
    registry_login: pulumi.Output[str] | None = None
    """Accounts by registry, with which nodes pull; None where they need none."""


def _field(root: str, location: tuple[int | str, ...]) -> str:
    """Return `root.a.b[0]`, without the union tags that pydantic adds to locations."""
    behind = zip(("", *location), location, strict=False)
    # `images.minio` is a field, not a tag.
    shown = [
        part
        for before, part in behind
        if (part not in _TAGS or before == "images") and not (before == "" and part in _ENVIRONMENTS)
    ]
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in shown)
    return f"{root}{path}" if root else path.removeprefix(".")


def _usage_error(file: str, root: str, error: ValidationError) -> UsageError:
    messages: dict[str, None] = {}
    for problem in error.errors(include_url=False, include_input=False):
        location = problem["loc"]
        if problem["type"].startswith("union_tag"):
            location = (*location, "environment")
        message = problem["msg"].removeprefix("Value error, ")
        messages.setdefault(f"{file}: {_field(root, location)}: {message}")
    return UsageError(
        "\n".join(messages),
        fix=f"Fix {file} and run the command again; docs/settings.md lists every setting.",
    )


def _check_platform(value: object, file: str) -> PlatformSettings:
    environment = value.get("environment") if isinstance(value, dict) else None
    if isinstance(environment, str) and environment in _NOT_YET:
        raise UsageError(
            f"{file}: {PLATFORM_KEY}.environment: {environment!r} is not in this release.",
            fix=f"Use {_NOT_YET[environment]!r}.",
        )
    try:
        # As JSON: strict mode accepts a list for a tuple and a string for an enum only there.
        return _PLATFORM.validate_json(json.dumps(value))
    except ValidationError as error:
        raise _usage_error(file, PLATFORM_KEY, error) from None


def _check_keys(keys: Mapping[str, Any], file: str, stack: str, *, secret: bool = True) -> None:
    for key in keys:
        if key.startswith(f"{PROJECT}:") and key not in _KNOWN_KEYS:
            raise UsageError(
                f"{file}: {key}: unknown setting.", why=f"Only {', '.join(_KNOWN_KEYS)} are read."
            )
    if secret and SECRET_KEY not in keys:
        raise UsageError(
            f"{file}: {SECRET_KEY}: missing.",
            why="Every key of the platform is derived from it; it has no default.",
            fix=f"Run: slipway init {stack}",
        )
    if PLATFORM_KEY not in keys:
        raise UsageError(f"{file}: {PLATFORM_KEY}: missing.", fix=_COPY)


def load_file(path: Path, *, secret: bool = True) -> PlatformSettings:
    """Return the settings of a `Pulumi.<stack>.yaml`, before anything is started.

    Args:
        path: The file.
        secret: Whether the stack's secret is required; `slipway init` adds it.

    Raises:
        UsageError: The file is missing or malformed, contains an unknown setting or an invalid value,
            or does not contain the stack's secret.
    """
    stack = path.name.removeprefix("Pulumi.").removesuffix(".yaml")
    if not path.is_file():
        raise UsageError(f"{path.name}: no such file.", fix=f"Run: slipway init {stack}")
    document = strict_yaml.read(path)
    unknown = sorted(set(document) - _STACK_FILE_KEYS)
    if unknown:
        raise UsageError(
            f"{path.name}: {unknown[0]}: unknown key.",
            why=f"Settings belong under config, in {PLATFORM_KEY}.",
        )
    config = document.get("config")
    if not isinstance(config, dict):
        raise UsageError(f"{path.name}: config: must be a mapping.", fix=_COPY)
    _check_keys(config, path.name, stack, secret=secret)
    fixes = {
        SECRET_KEY: f"Remove the line, then run: slipway init {stack}",
        REGISTRY_LOGIN_KEY: f"Remove the line, then run: slipway init {stack} --registry REGISTRY",
    }
    for key in _SECRET_KEYS:
        value = config.get(key, {"secure": ""})
        if not (isinstance(value, dict) and set(value) == {"secure"}):
            raise UsageError(
                f"{path.name}: {key}: is stored in plain text.",
                why="Pulumi's secrets provider must encrypt secrets.",
                fix=fixes.get(key) or operator_secrets.how_to_set(key, stack),
            )
    platform = _check_platform(config[PLATFORM_KEY], path.name)
    if secret:
        operator_secrets.require(platform.store, config, path.name, stack)
    return platform


def load_tenant(path: Path) -> TenantSettings:
    """Return the tenant that one file declares.

    Raises:
        UsageError: The file is malformed; the message names file and field.
    """
    label = f"{path.parent.name}/{path.name}"
    document = strict_yaml.read(path)
    try:
        return TenantSettings.model_validate_json(json.dumps(document))
    except ValidationError as error:
        raise _usage_error(label, "", error) from None


def load_tenants(folder: Path) -> tuple[TenantSettings, ...]:
    """Return every tenant in the folder, sorted by name.

    Raises:
        UsageError: A file is malformed, or two files declare the same tenant.
    """
    tenants: dict[str, tuple[TenantSettings, Path]] = {}
    for path in sorted(folder.glob("*.y*ml")):
        if path.suffix != ".yaml":
            raise UsageError(
                f"tenants/{path.name}: only .yaml files are read.", fix=f"Rename it to {path.stem}.yaml."
            )
        tenant = load_tenant(path)
        if tenant.name in tenants:
            other = tenants[tenant.name][1].name
            raise UsageError(
                f"tenants/{path.name}: name: {tenant.name!r} is already declared in tenants/{other}."
            )
        tenants[tenant.name] = (tenant, path)
    return tuple(tenants[name][0] for name in sorted(tenants))


def tenant_file(folder: Path, name: str) -> Path:
    """Return the file that declares a tenant; its name may differ from the tenant's.

    Raises:
        UsageError: No file does, or a file is malformed.
    """
    for path in sorted(folder.glob("*.yaml")):
        if load_tenant(path).name == name:
            return path
    known = ", ".join(tenant.name for tenant in load_tenants(folder)) or "none"
    raise UsageError(f"No file in tenants/ declares tenant {name!r}.", why=f"Known tenants: {known}.")


def from_pulumi(project: Path) -> Configuration:
    """Return the input of the running Pulumi program: its stack's config and the tenants' files.

    Raises:
        UsageError: As for `load_file` and `load_tenants`.
    """
    stack = pulumi.get_stack()
    file = settings_file(stack)
    values = pulumi.runtime.config.get_config_env() | pulumi.runtime.config.CONFIG.get()
    _check_keys(values, file, stack)
    config = pulumi.Config(PROJECT)
    if len(config.get(SECRET_KEY.partition(":")[2]) or "") < MIN_SECRET:
        raise UsageError(
            f"{file}: {SECRET_KEY}: too short.",
            why=f"The minimum is {MIN_SECRET} characters.",
            fix=f"Remove the line, then run: slipway init {stack}",
        )
    platform = _check_platform(config.require_object("platform"), file)
    operator_secrets.require(platform.store, values, file, stack)
    tenants = load_tenants(project / "tenants")
    operator_key = operator_secrets.required_key(platform.store)
    return Configuration(
        stack=stack,
        platform=platform,
        tenants=tenants,
        secret=config.require_secret("secret"),
        registry_login=config.get_secret(REGISTRY_LOGIN_KEY.partition(":")[2]),
        operator=operator_secrets.read(
            platform.store,
            config.get(operator_key.partition(":")[2]) if operator_key else None,
            file,
            [tenant.name for tenant in tenants],
        ),
    )


def schemas() -> dict[str, str]:
    """Return the JSON schemas that are committed in docs/: file name -> text."""
    documents = {
        "settings.schema.json": _PLATFORM.json_schema(),
        "tenant.schema.json": TenantSettings.model_json_schema(),
        "outputs.schema.json": PlatformOutputs.model_json_schema(),
    }
    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return {name: json.dumps(dialect | document, indent=2) + "\n" for name, document in documents.items()}


def page() -> str:
    """Return the text of docs/settings.md, the reference of all settings."""
    return settings_page.page(_PLATFORM.json_schema(), TenantSettings.model_json_schema())


def _main(arguments: list[str]) -> int:
    if arguments != ["--write-schema"]:
        print("usage: python -m infra.settings.config --write-schema", file=sys.stderr)
        return 2
    docs = Path(__file__).resolve().parents[2] / "docs"
    for name, text in schemas().items():
        (docs / name).write_text(text)
    (docs / "settings.md").write_text(page())
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
