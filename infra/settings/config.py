"""Settings as they are read: each mistake refused by file and field (models.py says what can be set).

A stack's settings are the object `slipway:platform` of `Pulumi.<stack>.yaml`, beside the secret
`slipway:secret` that `slipway init` makes. Each tenant is one file in `tenants/`. The same checks run
before anything is started (`load_file`, `load_tenants`) and inside the program (`from_pulumi`).

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
from infra.settings import operator_secrets, strict_yaml
from infra.settings import page as settings_page
from infra.settings.models import PlatformSettings, TenantSettings
from infra.settings.operator_secrets import OperatorSecrets
from slipway.core.errors import UsageError

PROJECT: Final = "slipway"
PLATFORM_KEY: Final = f"{PROJECT}:platform"
SECRET_KEY: Final = f"{PROJECT}:secret"
_KNOWN_KEYS: Final = (PLATFORM_KEY, SECRET_KEY, *operator_secrets.KEYS)
MIN_SECRET: Final = 32
"""Characters; `slipway init` writes more. A shorter one was typed by a person."""

_STACK_FILE_KEYS: Final = {"config", "secretsprovider", "encryptedkey", "encryptionsalt", "environment"}
_COPY: Final = "Copy it from a template of stacks/; docs/settings.md lists every setting."
_TAGS: Final = {
    "UserMember",
    "GroupMember",
    "local",
    "dev",
    "minio",
    "s3",
    "external",
    "irsa",
    "pod-identity",
}
"""What pydantic puts into the location of a problem inside a union, behind the union's own name."""
_NOT_YET: Final = {"kind": "local", "prod": "dev"}
_PLATFORM: Final[TypeAdapter[PlatformSettings]] = TypeAdapter(
    Annotated[PlatformSettings, Field(discriminator="environment")]
)


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """All that the program is told."""

    stack: str
    platform: PlatformSettings
    tenants: tuple[TenantSettings, ...]
    secret: pulumi.Output[str]
    operator: OperatorSecrets = field(default_factory=OperatorSecrets)


def _field(root: str, location: tuple[int | str, ...]) -> str:
    """Return `root.a.b[0]`; the tag of a union that pydantic puts into locations is left out."""
    behind = zip(("", *location), location, strict=False)
    # `images.minio` is a field.
    shown = [part for before, part in behind if part not in _TAGS or before == "images"]
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in shown)
    return f"{root}{path}" if root else path.removeprefix(".")


def _refuse(file: str, root: str, error: ValidationError) -> UsageError:
    found: dict[str, str] = {}
    for problem in error.errors(include_url=False, include_input=False):
        location = problem["loc"]
        if problem["type"].startswith("union_tag"):
            location = (*location, "environment")
        message = problem["msg"].removeprefix("Value error, ")
        found.setdefault(f"{file}: {_field(root, location)}: {message}", "")
    lines = list(found)
    return UsageError(
        "\n".join(lines), fix=f"Mend {file} and run the command again; docs/settings.md lists every setting."
    )


def _check_platform(value: object, file: str) -> PlatformSettings:
    environment = value.get("environment") if isinstance(value, dict) else None
    if isinstance(environment, str) and environment in _NOT_YET:
        raise UsageError(
            f"{file}: {PLATFORM_KEY}.environment: {environment!r} is not in this release.",
            fix=f"Use {_NOT_YET[environment]!r}.",
        )
    try:
        # By way of JSON: strict mode takes a list for a tuple and a text for an enum only there.
        return _PLATFORM.validate_json(json.dumps(value))
    except ValidationError as error:
        raise _refuse(file, PLATFORM_KEY, error) from None


def _check_keys(keys: Mapping[str, Any], file: str, stack: str, *, secret: bool = True) -> None:
    for key in keys:
        if key.startswith(f"{PROJECT}:") and key not in _KNOWN_KEYS:
            raise UsageError(
                f"{file}: {key}: unknown setting.", why=f"Only {', '.join(_KNOWN_KEYS)} are read."
            )
    if secret and SECRET_KEY not in keys:
        raise UsageError(
            f"{file}: {SECRET_KEY}: missing.",
            why="Every key of the platform is derived from it, and there is no default.",
            fix=f"Run: slipway init {stack}",
        )
    if PLATFORM_KEY not in keys:
        raise UsageError(f"{file}: {PLATFORM_KEY}: missing.", fix=_COPY)


def load_file(path: Path, *, secret: bool = True) -> PlatformSettings:
    """Return the settings of a `Pulumi.<stack>.yaml`, before anything is started.

    Args:
        path: The file.
        secret: Whether the stack's secret must be there already; `slipway init` adds it.

    Raises:
        UsageError: If the file is missing or malformed, names a setting that doesn't exist or gives
            one a value it can't have, or lacks the stack's secret.
    """
    stack = path.name.removeprefix("Pulumi.").removesuffix(".yaml")
    if not path.is_file():
        raise UsageError(f"{path.name}: no such file.", fix=f"Run: slipway init {stack}")
    document = strict_yaml.read(path)
    unknown = sorted(set(document) - _STACK_FILE_KEYS)
    if unknown:
        raise UsageError(
            f"{path.name}: {unknown[0]}: unknown key.", why=f"Settings stand below config, in {PLATFORM_KEY}."
        )
    config = document.get("config")
    if not isinstance(config, dict):
        raise UsageError(f"{path.name}: config: must be a mapping.", fix=_COPY)
    _check_keys(config, path.name, stack, secret=secret)
    again = {SECRET_KEY: f"Remove the line, then run: slipway init {stack}"}
    for key in (SECRET_KEY, *operator_secrets.KEYS):
        held = config.get(key, {"secure": ""})
        if not (isinstance(held, dict) and set(held) == {"secure"}):
            raise UsageError(
                f"{path.name}: {key}: stands there unencrypted.",
                why="Secrets are kept encrypted by Pulumi's secrets provider.",
                fix=again.get(key) or operator_secrets.how_to_set(key, stack),
            )
    platform = _check_platform(config[PLATFORM_KEY], path.name)
    if secret:
        operator_secrets.require(platform.store, config, path.name, stack)
    return platform


def load_tenant(path: Path) -> TenantSettings:
    """Return the tenant that one file declares.

    Raises:
        UsageError: If the file is malformed; names file and field.
    """
    label = f"{path.parent.name}/{path.name}"
    document = strict_yaml.read(path)
    try:
        return TenantSettings.model_validate_json(json.dumps(document))
    except ValidationError as error:
        raise _refuse(label, "", error) from None


def load_tenants(folder: Path) -> tuple[TenantSettings, ...]:
    """Return every tenant of the folder, in order of their names.

    Raises:
        UsageError: If a file is malformed, or two files declare one tenant.
    """
    found: dict[str, tuple[TenantSettings, Path]] = {}
    for path in sorted(folder.glob("*.y*ml")):
        if path.suffix != ".yaml":
            raise UsageError(f"tenants/{path.name}: not read.", fix=f"Rename it to {path.stem}.yaml.")
        tenant = load_tenant(path)
        if tenant.name in found:
            other = found[tenant.name][1].name
            raise UsageError(
                f"tenants/{path.name}: name: {tenant.name!r} is already declared in tenants/{other}."
            )
        found[tenant.name] = (tenant, path)
    return tuple(found[name][0] for name in sorted(found))


def tenant_file(folder: Path, name: str) -> Path:
    """Return the file that declares a tenant, whatever the file is called.

    Raises:
        UsageError: If none does, or one is malformed.
    """
    for path in sorted(folder.glob("*.yaml")):
        if load_tenant(path).name == name:
            return path
    known = ", ".join(tenant.name for tenant in load_tenants(folder)) or "none yet"
    raise UsageError(f"No file of tenants/ declares tenant {name!r}.", why=f"There is {known}.")


def from_pulumi(project: Path) -> Configuration:
    """Return what the running program was told: its stack's config and the tenants' files.

    Raises:
        UsageError: As `load_file` and `load_tenants` do.
    """
    stack = pulumi.get_stack()
    file = f"Pulumi.{stack}.yaml"
    given = pulumi.runtime.config.get_config_env() | pulumi.runtime.config.CONFIG.get()
    _check_keys(given, file, stack)
    config = pulumi.Config(PROJECT)
    if len(config.get(SECRET_KEY.partition(":")[2]) or "") < MIN_SECRET:
        raise UsageError(
            f"{file}: {SECRET_KEY}: too short.",
            why=f"It takes {MIN_SECRET} characters at least.",
            fix=f"Remove the line, then run: slipway init {stack}",
        )
    platform = _check_platform(config.require_object("platform"), file)
    operator_secrets.require(platform.store, given, file, stack)
    tenants = load_tenants(project / "tenants")
    handed = operator_secrets.wanted(platform.store)
    return Configuration(
        stack=stack,
        platform=platform,
        tenants=tenants,
        secret=config.require_secret("secret"),
        operator=operator_secrets.read(
            platform.store,
            config.get(handed.partition(":")[2]) if handed else None,
            file,
            [tenant.name for tenant in tenants],
        ),
    )


def schemas() -> dict[str, str]:
    """Return the committed JSON schemas: file name in docs/ -> text."""
    documents = {
        "settings.schema.json": _PLATFORM.json_schema(),
        "tenant.schema.json": TenantSettings.model_json_schema(),
        "outputs.schema.json": PlatformOutputs.model_json_schema(),
    }
    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return {name: json.dumps(dialect | document, indent=2) + "\n" for name, document in documents.items()}


def page() -> str:
    """Return the committed page of every setting, docs/settings.md."""
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
