"""Every setting of a stack and of its tenants: strict, frozen, refused by file and field.

A stack's settings are the object `slipway:platform` of `Pulumi.<stack>.yaml`, beside the secret
`slipway:secret` that `slipway init` makes. Each tenant is one file in `tenants/`. The same checks run
before anything is started (`load_file`, `load_tenants`) and inside the program (`from_pulumi`).

    python -m infra.config --write-schema     rewrites docs/*.schema.json and docs/settings.md
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

import pulumi
from pydantic import AfterValidator, Discriminator, Field, Tag, TypeAdapter, ValidationError, model_validator

from infra import operator_secrets, settings_page, strict_yaml
from infra.contract import PlatformOutputs
from infra.names import SYSTEM_NAMESPACES
from infra.operator_secrets import OperatorSecrets
from infra.rbac import Role
from storage.errors import UsageError
from storage.layout import checked_name
from storage.rotation import Phase
from storage.settings import MinioSettings, StoreSettings, StoreTenant, Strict

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

_Quantity = Annotated[
    str,
    Field(
        pattern=r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$",
        json_schema_extra={"format": "Kubernetes quantity"},
    ),
]
_Url = Annotated[
    str,
    Field(
        pattern=r"^https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?$",
        json_schema_extra={"format": "URL of scheme, host and port"},
    ),
]
_ImageByDigest = Annotated[
    str,
    Field(
        pattern=r"^[a-z0-9][a-z0-9./_:-]*@sha256:[0-9a-f]{64}$",
        json_schema_extra={"format": "image with its sha256 digest"},
    ),
]


class KfpSettings(Strict):
    """The Kubeflow Pipelines API."""

    kind: Literal["embedded"] = "embedded"
    size_gib: int = Field(default=2, ge=1, le=1024, description="Size of the volume with runs and pipelines.")


class ServingSettings(Strict):
    """KServe and the runtime of scikit-learn models."""

    mode: Literal["standard"] = "standard"
    model_memory: _Quantity = Field(default="1Gi", description="Memory limit of one model server.")
    model_cpu: _Quantity = Field(default="1", description="CPU limit of one model server.")


class ExistingCluster(Strict):
    """A cluster that is there already, reached as kubectl reaches it."""

    context: str = Field(min_length=1, description="Context in the kubeconfig.")
    kubeconfig: str | None = Field(
        default=None, min_length=1, description="Path of the kubeconfig; kubectl's default where absent."
    )
    kserve_manifests: str = Field(
        min_length=1, description="Folder with KServe's generated crds/*.yaml and role.yaml."
    )


class ImageReferences(Strict):
    """Where the cluster finds the platform's images; each by digest."""

    minio: _ImageByDigest = Field(description="The artifact store.")
    kserve_controller: _ImageByDigest = Field(description="KServe's controller.")
    gateway: _ImageByDigest = Field(description="nginx, which routes to the models.")
    pipelines: _ImageByDigest = Field(description="Pipelines API, pipeline steps and Slipway's own Jobs.")
    model_server: _ImageByDigest = Field(description="MLServer and KServe's storage initializer.")


class EndpointUrls(Strict):
    """URLs at which the platform's Services are published outside the cluster."""

    gateway: _Url = Field(description="Models, for predictions.")
    store: _Url = Field(description="The S3 API.")
    console: _Url = Field(description="MinIO's web console.")
    kfp: _Url = Field(description="The pipelines API.")


class _Common(Strict):
    serving: ServingSettings = Field(default_factory=ServingSettings, description="Model serving.")
    kfp: KfpSettings = Field(default_factory=KfpSettings, description="The pipelines API.")


class LocalSettings(_Common):
    """A bare machine: the cluster and its images are made on the spot."""

    environment: Literal["local"] = Field(description="Kind of environment.")
    store: MinioSettings = Field(default_factory=MinioSettings, description="The artifact store.")


class DevSettings(_Common):
    """A team's cluster, reached by a kubeconfig context."""

    environment: Literal["dev"] = Field(description="Kind of environment.")
    store: StoreSettings = Field(default_factory=MinioSettings, description="The artifact store.")
    cluster: ExistingCluster
    images: ImageReferences
    endpoints: EndpointUrls


PlatformSettings = LocalSettings | DevSettings
_PLATFORM: Final[TypeAdapter[PlatformSettings]] = TypeAdapter(
    Annotated[PlatformSettings, Field(discriminator="environment")]
)


def _tenant_name(value: str) -> str:
    try:
        checked_name("tenant", value)
    except UsageError as error:
        raise ValueError(f"{error.what} {error.why}") from None
    if value.startswith(("kube-", "slipway-")) or value in SYSTEM_NAMESPACES:
        raise ValueError(f"{value!r} is a namespace of the system; choose another name")
    return value


def _subject(value: str) -> str:
    if value.startswith("system:"):
        raise ValueError("names that begin with 'system:' are Kubernetes' own and can't be members")
    return value


_Subject = Annotated[str, Field(min_length=1, max_length=253), AfterValidator(_subject)]


class UserMember(Strict):
    """A person, as the cluster's authentication names them."""

    user: _Subject = Field(description="Name of a user, as the cluster's authentication gives it.")
    role: Role = Field(description="What the member may do.")


class GroupMember(Strict):
    """A group, as the cluster's authentication names it."""

    group: _Subject = Field(description="Name of a group, in place of a user.")
    role: Role = Field(description="What the member may do.")


def _member_kind(value: object) -> str:
    """Tell a group from a user by the key that is there, so that messages speak of that one."""
    said = value if isinstance(value, dict) else value.__dict__
    return "GroupMember" if "group" in said else "UserMember"


Member = Annotated[
    Annotated[UserMember, Tag("UserMember")] | Annotated[GroupMember, Tag("GroupMember")],
    Discriminator(_member_kind),
]


class QuotaSettings(Strict):
    """What all pods of a tenant may ask for together."""

    cpu: _Quantity = Field(default="8", description="CPU that all pods together may request.")
    memory: _Quantity = Field(default="16Gi", description="Memory that all pods together may request.")
    storage: _Quantity = Field(default="50Gi", description="Size of all volumes that are claimed together.")
    pods: int = Field(default=50, ge=1, le=5000, description="How many pods at once.")


class ContainerDefaults(Strict):
    """What a container gets that says nothing of its own."""

    cpu_request: _Quantity = Field(default="50m", description="CPU that a container is sure of.")
    memory_request: _Quantity = Field(default="64Mi", description="Memory that a container is sure of.")
    cpu_limit: _Quantity = Field(default="1", description="CPU that a container may use at most.")
    memory_limit: _Quantity = Field(default="512Mi", description="Memory that a container may use at most.")


class TenantSettings(Strict):
    """One team: its namespace is its name."""

    name: Annotated[str, AfterValidator(_tenant_name)] = Field(description="Its namespace too.")
    members: tuple[Member, ...] = Field(default=(), description="People and groups with roles.")
    quota: QuotaSettings = Field(default_factory=QuotaSettings)
    defaults: ContainerDefaults = Field(default_factory=ContainerDefaults)
    key_generation: int = Field(
        default=1,
        ge=1,
        description="Generation of the tenant's store keys. `slipway tenant rotate` adds one without an "
        "outage; by hand, the keys before end at once.",
    )
    key_rotation: Phase | None = Field(
        default=None,
        description="Written and removed by `slipway tenant rotate`. `overlap`: the keys of the generation "
        "before open the store as well. `closing`: they no longer do, which is still to be proven.",
    )

    @model_validator(mode="after")
    def _rotates_from_something(self) -> Self:
        if self.key_rotation is not None and self.key_generation == 1:
            raise ValueError("key_rotation: there is no generation before key_generation 1")
        return self

    @property
    def in_store(self) -> StoreTenant:
        """Return the tenant as the store knows it."""
        return StoreTenant(
            name=self.name,
            key_generation=self.key_generation,
            former_keys=self.key_rotation is Phase.OVERLAP,
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
        print("usage: python -m infra.config --write-schema", file=sys.stderr)
        return 2
    docs = Path(__file__).resolve().parents[1] / "docs"
    for name, text in schemas().items():
        (docs / name).write_text(text)
    (docs / "settings.md").write_text(page())
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
