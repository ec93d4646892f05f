"""The settings of a stack and of its tenants, as strict and immutable models."""

from functools import partial
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from infra.names import LOCAL_STORAGE_CLASS, SYSTEM_NAMESPACES
from infra.rbac import MemberRole
from infra.serving_form import REQUESTS
from infra.settings.endpoints import Endpoints, OwnPorts
from infra.settings.quantity import PATTERN, at_least
from infra.versions import KIND_NODE_IMAGE
from slipway.core.errors import UsageError
from storage.layout import checked_name
from storage.registry.gates import Gates
from storage.rotation import Phase
from storage.settings import MinioSettings, StoreSettings, StoreTenant, Strict

_Quantity = Annotated[
    str,
    Field(
        pattern=PATTERN,
        json_schema_extra={"format": "Kubernetes quantity"},
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
    """Settings of the Kubeflow Pipelines API."""

    kind: Literal["embedded"] = Field(
        default="embedded",
        description="Slipway's own server of the pipelines API, not Kubeflow's; `dev` must name it.",
    )
    size_gib: int = Field(
        default=2, ge=1, le=1024, description="Size of the volume for runs and pipelines; it can grow."
    )
    storage_class: str | None = Field(
        default=None,
        min_length=1,
        description="StorageClass of the volume; the cluster's default if not set. Can't be changed later.",
    )


class ServingSettings(Strict):
    """Settings of KServe and of model servers."""

    mode: Literal["standard"] = "standard"
    model_memory: Annotated[_Quantity, AfterValidator(partial(at_least, REQUESTS["memory"]))] = Field(
        default="1Gi", description="Memory limit of one model server."
    )
    model_cpu: Annotated[_Quantity, AfterValidator(partial(at_least, REQUESTS["cpu"]))] = Field(
        default="1", description="CPU limit of one model server."
    )

    @property
    def limits(self) -> dict[str, str]:
        """Resource limits of one model server."""
        return {"cpu": self.model_cpu, "memory": self.model_memory}


class KatibSettings(Strict):
    """Settings of Katib."""

    enabled: bool = Field(default=True, description="Whether Katib is installed.")


class ExistingCluster(Strict):
    """An existing cluster, reached through a kubeconfig."""

    context: str = Field(min_length=1, description="Context in the kubeconfig.")
    kubeconfig: str | None = Field(
        default=None, min_length=1, description="Path of the kubeconfig; kubectl's default if not set."
    )
    cert_manager: bool = Field(
        default=False,
        description="Let the cluster's own cert-manager issue the certificates of KServe's and Katib's "
        "webhooks, instead of a Job of Slipway's.",
    )


class ImageReferences(Strict):
    """The platform's images in a registry, each by digest, as `slipway images push` prints them."""

    minio: _ImageByDigest = Field(description="The artifact store.")
    kserve_controller: _ImageByDigest = Field(description="KServe's controller.")
    gateway: _ImageByDigest = Field(description="nginx, which routes to the models.")
    pipelines: _ImageByDigest = Field(description="Pipelines API, pipeline steps and Slipway's own Jobs.")
    model_server: _ImageByDigest = Field(description="The model server and KServe's storage initializer.")
    katib_controller: _ImageByDigest = Field(description="Katib's controller.")
    katib_db_manager: _ImageByDigest = Field(description="Katib's server of its database.")
    mariadb: _ImageByDigest = Field(description="Katib's database.")


class _Common(Strict):
    serving: ServingSettings = Field(default_factory=ServingSettings, description="Model serving.")
    kfp: KfpSettings = Field(default_factory=KfpSettings, description="The pipelines API.")
    katib: KatibSettings = Field(default_factory=KatibSettings, description="Tuning.")


class LocalSettings(_Common):
    """A bare machine: the cluster and its images are created locally."""

    environment: Literal["local"] = Field(description="Kind of environment.")
    store: MinioSettings = Field(default_factory=MinioSettings, description="The artifact store.")

    @model_validator(mode="after")
    def _has_one_storage_class(self) -> Self:
        for name, part in (("store", self.store), ("kfp", self.kfp)):
            if part.storage_class not in (None, LOCAL_STORAGE_CLASS):
                raise ValueError(
                    f"{name}.storage_class: the only StorageClass of `local` is {LOCAL_STORAGE_CLASS!r}"
                )
        return self


def _require_backend(kfp: KfpSettings) -> None:
    if "kind" not in kfp.model_fields_set:
        raise ValueError(
            "kfp.kind: missing; `embedded` is Slipway's own server of the pipelines API, not Kubeflow "
            "Pipelines: outside `local` it runs only where the settings name it"
        )


class RegistrySettings(_Common):
    """A cluster whose nodes pull from a registry: everything of it but the cluster itself."""

    store: StoreSettings = Field(default_factory=MinioSettings, description="The artifact store.")
    images: ImageReferences
    endpoints: Endpoints

    @model_validator(mode="after")
    def _backend_is_named(self) -> Self:
        _require_backend(self.kfp)
        return self

    @model_validator(mode="after")
    def _store_has_endpoints(self) -> Self:
        if isinstance(self.store, MinioSettings):
            if self.endpoints.store is None:
                raise ValueError("endpoints.store: missing; the store is in the cluster")
            if self.store.console and self.endpoints.console is None:
                raise ValueError("endpoints.console: missing, but store.console turns the console on")
            if self.endpoints.console is not None and not self.store.console:
                raise ValueError("endpoints.console: the console is off; store.console: true turns it on")
        return self


class KindCluster(Strict):
    """A cluster on this machine that the stack makes with the kind CLI."""

    name: str = Field(
        default="slipway",
        pattern=r"^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$",
        description="Name of the cluster, as `kind get clusters` shows it.",
    )
    node_image: Annotated[
        str,
        Field(
            pattern=r"^[a-z0-9][a-z0-9./_:-]*:v[0-9]+\.[0-9]+\.[0-9]+@sha256:[0-9a-f]{64}$",
            json_schema_extra={"format": "image with a version of Kubernetes as its tag, and its digest"},
        ),
    ] = Field(default=KIND_NODE_IMAGE, description="Image of the node; the release notes of kind list them.")
    engine: Literal["docker", "podman", "nerdctl"] | None = Field(
        default=None, description="Container tool that runs the node; the first one that answers if not set."
    )


class KindSettings(_Common):
    """A cluster of the kind CLI on this machine, which the stack makes and deletes."""

    environment: Literal["kind"] = Field(description="Kind of environment.")
    store: StoreSettings = Field(default_factory=MinioSettings, description="The artifact store.")
    cluster: KindCluster = Field(default_factory=KindCluster)
    images: ImageReferences | None = None
    endpoints: OwnPorts = Field(default_factory=OwnPorts)

    @property
    def published(self) -> dict[str, int]:
        """The port of this machine for each endpoint that the stack has."""
        ports = dict(self.endpoints)
        if not isinstance(self.store, MinioSettings):
            del ports["store"], ports["console"]
        elif not self.store.console:
            del ports["console"]
        return ports

    @model_validator(mode="after")
    def _backend_is_named(self) -> Self:
        _require_backend(self.kfp)
        return self


class DevSettings(RegistrySettings):
    """A team's cluster, reached by a kubeconfig context."""

    environment: Literal["dev"] = Field(description="Kind of environment.")
    cluster: ExistingCluster


PlatformSettings = LocalSettings | KindSettings | DevSettings


def _tenant_name(value: str) -> str:
    try:
        checked_name("tenant", value)
    except UsageError as error:
        raise ValueError(f"{error.what} {error.why}") from None
    if value.startswith(("kube-", "slipway-")) or value in SYSTEM_NAMESPACES:
        raise ValueError(f"{value!r} is a system namespace; choose another name")
    return value


def _subject(value: str) -> str:
    if value.startswith("system:"):
        raise ValueError("names that begin with 'system:' are reserved by Kubernetes and can't be members")
    return value


_Subject = Annotated[str, Field(min_length=1, max_length=253), AfterValidator(_subject)]


class UserMember(Strict):
    """A user, as named by the cluster's authentication."""

    user: _Subject = Field(description="Name of a user, as given by the cluster's authentication.")
    role: MemberRole = Field(description="Role of the member.")


class GroupMember(Strict):
    """A group, as named by the cluster's authentication."""

    group: _Subject = Field(description="Name of a group, instead of a user.")
    role: MemberRole = Field(description="Role of the member.")


def _member_kind(value: object) -> str:
    """Distinguish a group from a user by its key, so that error messages are about that kind."""
    fields = value if isinstance(value, dict) else value.__dict__
    return "GroupMember" if "group" in fields else "UserMember"


Member = Annotated[
    Annotated[UserMember, Tag("UserMember")] | Annotated[GroupMember, Tag("GroupMember")],
    Discriminator(_member_kind),
]


class QuotaSettings(Strict):
    """Limits of all of a tenant's pods together."""

    cpu: _Quantity = Field(default="8", description="Total CPU that all pods may request.")
    memory: _Quantity = Field(default="16Gi", description="Total memory that all pods may request.")
    storage: _Quantity = Field(default="50Gi", description="Total size of all volume claims.")
    pods: int = Field(default=50, ge=1, le=5000, description="Maximum number of pods.")


class ContainerDefaults(Strict):
    """Resources of a container that declares none."""

    cpu_request: _Quantity = Field(default="50m", description="Default CPU request of a container.")
    memory_request: _Quantity = Field(default="64Mi", description="Default memory request of a container.")
    cpu_limit: _Quantity = Field(default="1", description="Default CPU limit of a container.")
    memory_limit: _Quantity = Field(default="512Mi", description="Default memory limit of a container.")


class TenantSettings(Strict):
    """One team; its namespace has the same name."""

    name: Annotated[str, AfterValidator(_tenant_name)] = Field(
        description="Name of the tenant and of its namespace."
    )
    members: tuple[Member, ...] = Field(default=(), description="Users and groups with their roles.")
    quota: QuotaSettings = Field(default_factory=QuotaSettings)
    defaults: ContainerDefaults = Field(default_factory=ContainerDefaults)
    gates: Gates = Field(default_factory=Gates)
    key_generation: int = Field(
        default=1,
        ge=1,
        description="Generation of the tenant's store keys. `slipway tenant rotate` increments it without an "
        "outage; if edited by hand, the previous keys stop working at once.",
    )
    key_rotation: Phase | None = Field(
        default=None,
        description="Set and removed by `slipway tenant rotate`. `overlap`: the keys of the previous "
        "generation work too. `closing`: they were revoked, which is still to be verified.",
    )

    @model_validator(mode="after")
    def _has_a_previous_generation(self) -> Self:
        if self.key_rotation is not None and self.key_generation == 1:
            raise ValueError("key_rotation: key_generation 1 has no previous generation")
        return self

    @property
    def store_tenant(self) -> StoreTenant:
        """The tenant in the form that `storage` uses."""
        return StoreTenant(
            name=self.name,
            key_generation=self.key_generation,
            former_keys=self.key_rotation is Phase.OVERLAP,
        )
