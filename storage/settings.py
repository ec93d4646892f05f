"""What an operator may say about the artifact store. Pure."""

import re
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from storage.layout import Buckets

_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")


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
    """What the store must know of a tenant: whose prefix, and which generation of keys."""

    name: str
    key_generation: int = 1


class MinioSettings(Strict):
    """MinIO in the cluster, on one volume."""

    kind: Literal["minio"] = "minio"
    size_gib: int = Field(default=10, ge=1, le=65536, description="Size of the store's volume.")
    storage_class: str | None = Field(
        default=None, min_length=1, description="StorageClass of the volume; else the cluster's default."
    )
    region: str = Field(
        default="us-east-1", pattern=r"^[a-z0-9-]{1,32}$", description="Region that the S3 API answers with."
    )
    buckets: Annotated[Buckets, AfterValidator(_checked_buckets)] = Field(
        default_factory=Buckets, description="Names of the buckets."
    )
    run_retention_days: int = Field(
        default=90, ge=1, le=3650, description="After how many days what a run wrote is deleted."
    )
    root_key_generation: int = Field(
        default=1, ge=1, description="Add one to replace the administrator's key."
    )
