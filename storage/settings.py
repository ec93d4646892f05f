"""What an operator may say about the artifact store. Pure."""

import re
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from storage.keys import StoreRole
from storage.layout import Buckets

_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
_REGION: Final = r"^[a-z0-9-]{1,32}$"


def _checked_buckets(buckets: Buckets) -> Buckets:
    """Refuse names that S3 doesn't take, and one bucket for two purposes."""
    names = (buckets.artifacts, buckets.models, buckets.data)
    for name in names:
        if not _BUCKET.fullmatch(name):
            raise ValueError(f"{name!r} can't name a bucket: 3 to 63 lower-case letters, digits and hyphens")
    if len(set(names)) < len(names):
        # Runs may write artifacts but not models: in one bucket a tenant's two prefixes would meet.
        raise ValueError("artifacts, models and data take three different buckets")
    return buckets


class Strict(BaseModel):
    """Base of every setting: nothing unknown, nothing coerced, nothing changed later."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


class StoreTenant(Strict):
    """What the store must know of a tenant: whose prefix, and which generations of keys."""

    name: str
    key_generation: int = Field(default=1, ge=1)
    """The one that workloads are given."""

    former_keys: bool = False
    """Whether the keys of the generation before open the store as well: a rotation is under way."""

    @property
    def generations(self) -> tuple[int, ...]:
        """Return the generations whose keys open the store, the current one first."""
        former = (self.key_generation - 1,) if self.former_keys and self.key_generation > 1 else ()
        return (self.key_generation, *former)


class _Common(Strict):
    buckets: Annotated[Buckets, AfterValidator(_checked_buckets)] = Field(
        default_factory=Buckets, description="Names of the buckets."
    )
    run_retention_days: int = Field(
        default=90, ge=1, le=3650, description="After how many days what a run wrote is deleted."
    )


class MinioSettings(_Common):
    """MinIO in the cluster: on one node, or on four and more with erasure coding."""

    kind: Literal["minio"] = Field(default="minio", description="MinIO, made by the stack.")
    nodes: Literal[1, 4, 8, 16] = Field(
        default=1,
        description="Pods; four and more keep data by erasure coding and outlive the loss of some. "
        "Their number stays what it was.",
    )
    drives_per_node: int = Field(
        default=1, ge=1, le=16, description="Volumes of each pod; as many as at first."
    )
    size_gib: int = Field(default=10, ge=1, le=65536, description="Size of each volume; they can grow.")
    storage_class: str | None = Field(
        default=None,
        min_length=1,
        description="StorageClass of the volumes; else the cluster's default. It stays what it was.",
    )
    region: str = Field(
        default="us-east-1", pattern=_REGION, description="Region that the S3 API answers with."
    )
    root_key_generation: int = Field(
        default=1, ge=1, description="Add one to replace the administrator's key."
    )
    certificate_generation: int = Field(
        default=1, ge=1, description="Add one to replace the store's authority and certificate."
    )
    console: bool = Field(
        default=False,
        description="Whether MinIO's web console answers, to every pod that reaches the store's namespace.",
    )
    protect_volumes: bool = Field(
        default=True, description="Whether `destroy` refuses to delete the volumes; `local` never does."
    )


class Irsa(Strict):
    """IAM roles for ServiceAccounts: the cluster's OIDC issuer is known to AWS."""

    kind: Literal["irsa"] = Field(description="IAM roles for ServiceAccounts.")
    provider_arn: str = Field(
        pattern=r"^arn:aws[a-z-]*:iam::[0-9]{12}:oidc-provider/.+$",
        description="The cluster's OIDC provider.",
    )


class PodIdentity(Strict):
    """EKS Pod Identity: the cluster runs its agent."""

    kind: Literal["pod-identity"] = Field(description="EKS Pod Identity.")
    cluster_name: str = Field(min_length=1, max_length=100, description="Name of the EKS cluster.")


class AssumedRole(Strict):
    """A person or a CI system, known to IAM, that takes a tenant's role."""

    tenant: str = Field(min_length=1, max_length=40, description="Whose role.")
    role: StoreRole = Field(description="Which role.")
    principal: str = Field(
        pattern=r"^arn:aws[a-z-]*:(iam|sts)::[0-9]{12}:(user|role|assumed-role)/[^*?]+$",
        description="An IAM user or role, by its ARN.",
    )


class S3Settings(_Common):
    """S3 on AWS, keyless: each tenant's workloads get an IAM role."""

    kind: Literal["s3"] = Field(description="S3 on AWS; buckets and roles are made by the stack.")
    region: str = Field(pattern=_REGION, description="AWS region of the buckets.")
    identity: Annotated[Irsa | PodIdentity, Field(discriminator="kind")] = Field(
        description="How pods take their role."
    )
    kms_key_arn: str | None = Field(
        default=None,
        pattern=r"^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/.+$",
        description="KMS key that encrypts; the stack makes one where absent.",
    )
    people: tuple[AssumedRole, ...] = Field(
        default=(), description="Who may take a tenant's role besides its pods: people, or a CI system."
    )
    protect_buckets: bool = Field(
        default=True,
        description="Whether `destroy` refuses to delete the buckets of models and data, and the key.",
    )


class ExternalSettings(_Common):
    """Any other S3 endpoint that passes `slipway doctor --store`."""

    kind: Literal["external"] = Field(description="An S3 endpoint that is there already.")
    endpoint: str = Field(pattern=r"^https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?$", description="Its URL.")
    region: str = Field(default="us-east-1", pattern=_REGION, description="Region to sign requests for.")
    path_style: bool = Field(default=True, description="Whether the bucket stands in the path.")
    ca_file: str | None = Field(
        default=None,
        min_length=1,
        description="PEM file in the project with the authority that signed its certificate.",
    )
    administration: Literal["minio", "none"] = Field(
        default="none",
        description="`minio`: the stack makes buckets, users and policies by MinIO's API. `none`: you do.",
    )
    lifecycle: Literal["slipway", "operator"] = Field(
        default="slipway",
        description="Who deletes old runs and incomplete uploads; `operator` with `administration: none`, "
        "because no tenant's key may say what expires.",
    )

    @model_validator(mode="after")
    def _who_deletes(self) -> Self:
        if (self.administration == "none") is not (self.lifecycle == "operator"):
            raise ValueError(
                "lifecycle: 'operator' goes with administration 'none', 'slipway' with 'minio': "
                "whoever administers the store says what expires"
            )
        return self


def _kind(value: object) -> str:
    """Take MinIO where nothing else is said."""
    said = value.get("kind", "minio") if isinstance(value, dict) else getattr(value, "kind", "minio")
    return said if said in ("minio", "s3", "external") else "minio"


StoreSettings = Annotated[
    Annotated[MinioSettings, Tag("minio")]
    | Annotated[S3Settings, Tag("s3")]
    | Annotated[ExternalSettings, Tag("external")],
    Discriminator(_kind),
]
