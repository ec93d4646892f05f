"""Settings of the artifact store. Pure."""

import re
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from storage.keys import StoreRole
from storage.layout import Buckets

_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
_REGION: Final = r"^[a-z0-9-]{1,32}$"


def _checked_buckets(buckets: Buckets) -> Buckets:
    """Reject names that S3 doesn't accept, and one bucket for two purposes."""
    names = (buckets.artifacts, buckets.models, buckets.data)
    for name in names:
        if not _BUCKET.fullmatch(name):
            raise ValueError(f"{name!r} can't name a bucket: 3 to 63 lower-case letters, digits and hyphens")
    if len(set(names)) < len(names):
        # Runs may write artifacts but not models: in one bucket a tenant's two prefixes would overlap.
        raise ValueError("artifacts, models and data need three different buckets")
    return buckets


class Strict(BaseModel):
    """Base of all settings: rejects unknown fields, does not convert types, immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


class StoreTenant(Strict):
    """A tenant in the store: the name of its prefix, and the generations of its keys."""

    name: str
    key_generation: int = Field(default=1, ge=1)
    """The generation that workloads use."""

    former_keys: bool = False
    """Whether the keys of the previous generation are valid too, during a rotation."""

    @property
    def generations(self) -> tuple[int, ...]:
        """Generations whose keys are valid, the current one first."""
        former = (self.key_generation - 1,) if self.former_keys and self.key_generation > 1 else ()
        return (self.key_generation, *former)


class _Common(Strict):
    buckets: Annotated[Buckets, AfterValidator(_checked_buckets)] = Field(
        default_factory=Buckets, description="Names of the buckets."
    )
    run_retention_days: int = Field(
        default=90, ge=1, le=3650, description="Days after which a run's artifacts are deleted."
    )


class MinioSettings(_Common):
    """MinIO in the cluster: on one node, or on four or more with erasure coding."""

    kind: Literal["minio"] = Field(default="minio", description="MinIO, deployed by the stack.")
    nodes: Literal[1, 4, 8, 16] = Field(
        default=1,
        description="Number of pods; four or more use erasure coding and tolerate the loss of some. "
        "Can't be changed later.",
    )
    drives_per_node: int = Field(
        default=1, ge=1, le=16, description="Volumes of each pod. Can't be changed later."
    )
    size_gib: int = Field(default=10, ge=1, le=65536, description="Size of each volume; it can grow.")
    storage_class: str | None = Field(
        default=None,
        min_length=1,
        description="StorageClass of the volumes; the cluster's default if not set. Can't be changed later.",
    )
    region: str = Field(default="us-east-1", pattern=_REGION, description="Region of the S3 API.")
    root_key_generation: int = Field(
        default=1, ge=1, description="Increment to replace the administrator's key."
    )
    certificate_generation: int = Field(
        default=1, ge=1, description="Increment to replace the store's CA and certificate."
    )
    console: bool = Field(
        default=False,
        description="Whether MinIO's web console is on, for every pod that reaches the store's namespace.",
    )
    protect_volumes: bool = Field(
        default=True, description="Whether `destroy` refuses to delete the volumes; `local` never does."
    )


class Irsa(Strict):
    """IAM roles for ServiceAccounts: the cluster's OIDC issuer is registered in IAM."""

    kind: Literal["irsa"] = Field(description="IAM roles for ServiceAccounts.")
    provider_arn: str = Field(
        pattern=r"^arn:aws[a-z-]*:iam::[0-9]{12}:oidc-provider/.+$",
        description="ARN of the cluster's OIDC provider.",
    )


class PodIdentity(Strict):
    """EKS Pod Identity: the cluster runs the Pod Identity Agent."""

    kind: Literal["pod-identity"] = Field(description="EKS Pod Identity.")
    cluster_name: str = Field(min_length=1, max_length=100, description="Name of the EKS cluster.")


class AssumedRole(Strict):
    """An IAM principal, such as a person or a CI system, that may assume a tenant's role."""

    tenant: str = Field(min_length=1, max_length=40, description="Name of the tenant.")
    role: StoreRole = Field(description="Role of the tenant.")
    principal: str = Field(
        pattern=r"^arn:aws[a-z-]*:(iam|sts)::[0-9]{12}:(user|role|assumed-role)/[^*?]+$",
        description="ARN of an IAM user or role.",
    )


class S3Settings(_Common):
    """S3 on AWS, keyless: each tenant's workloads get an IAM role."""

    kind: Literal["s3"] = Field(description="S3 on AWS; the stack creates buckets and roles.")
    region: str = Field(pattern=_REGION, description="AWS region of the buckets.")
    identity: Annotated[Irsa | PodIdentity, Field(discriminator="kind")] = Field(
        description="How pods assume their role."
    )
    kms_key_arn: str | None = Field(
        default=None,
        pattern=r"^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/.+$",
        description="KMS key for encryption; if not set, the stack creates one.",
    )
    people: tuple[AssumedRole, ...] = Field(
        default=(), description="IAM principals that may assume a tenant's role, in addition to its pods."
    )
    protect_buckets: bool = Field(
        default=True,
        description="Whether `destroy` refuses to delete the models and data buckets and the KMS key.",
    )


class ExternalSettings(_Common):
    """Any other S3 endpoint that passes `slipway doctor --store`."""

    kind: Literal["external"] = Field(description="An existing S3 endpoint.")
    endpoint: str = Field(
        pattern=r"^https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?$", description="URL of the S3 API."
    )
    region: str = Field(default="us-east-1", pattern=_REGION, description="Region to sign requests for.")
    path_style: bool = Field(default=True, description="Whether the bucket is part of the URL's path.")
    ca_file: str | None = Field(
        default=None,
        min_length=1,
        description="PEM file in the project with the CA certificate of the store.",
    )
    administration: Literal["minio", "none"] = Field(
        default="none",
        description="`minio`: the stack creates buckets, users and policies by MinIO's API. `none`: you do.",
    )
    lifecycle: Literal["slipway", "operator"] = Field(
        default="slipway",
        description="Who deletes old runs and incomplete uploads; `operator` with `administration: none`, "
        "because no tenant's key may set lifecycle rules.",
    )

    @model_validator(mode="after")
    def _lifecycle_matches_administration(self) -> Self:
        if (self.administration == "none") is not (self.lifecycle == "operator"):
            raise ValueError(
                "lifecycle: must be 'operator' with administration 'none', and 'slipway' with 'minio': "
                "the store's administrator sets its lifecycle rules"
            )
        return self


def _kind(value: object) -> str:
    """Return the kind of store; MinIO by default."""
    kind = value.get("kind", "minio") if isinstance(value, dict) else getattr(value, "kind", "minio")
    return kind if kind in ("minio", "s3", "external") else "minio"


StoreSettings = Annotated[
    Annotated[MinioSettings, Tag("minio")]
    | Annotated[S3Settings, Tag("s3")]
    | Annotated[ExternalSettings, Tag("external")],
    Discriminator(_kind),
]
