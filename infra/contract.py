"""The stack's outputs: all that pipelines, serving and CI know about a platform. Pure.

`pulumi stack output --json` validates against `PlatformOutputs`. It contains no secret value: a
credential is given by the name of its Kubernetes Secret.
"""

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from slipway.core.errors import UsageError
from storage.registry.gates import Gates

CONTRACT_VERSION: Final = 3


class Contract(BaseModel):
    """Base model of the outputs: strict and immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class KfpOutputs(Contract):
    """How the Kubeflow Pipelines API is reached."""

    endpoint: str = Field(description="URL from outside the cluster, for `kfp.Client(host=…)`.")
    internal_endpoint: str = Field(description="URL from inside the cluster.")
    auth_mode: Literal["none", "token"]
    audience: str | None = Field(description="Audience of the token where auth_mode is token.")
    backend: Literal["kubeflow", "embedded"]


class StoreOutputs(Contract):
    """How the artifact store is reached."""

    kind: Literal["minio", "s3", "external"]
    endpoint: str = Field(description="S3 endpoint URL from outside the cluster.")
    internal_endpoint: str = Field(description="S3 endpoint URL from inside the cluster.")
    region: str
    tls: bool
    path_style: bool = Field(description="Whether the bucket is part of the URL's path.")
    ca_config_map: str | None = Field(
        description="ConfigMap in each tenant's namespace with the store's CA certificate in ca.crt; "
        "null for a certificate of a public CA."
    )
    keyless: bool = Field(description="Whether workloads authenticate without a store key.")
    root_key_generation: int | None = Field(
        default=None,
        description="Generation of the administrator's key; null where Slipway does not manage it.",
    )
    certificate_generation: int | None = Field(
        default=None,
        description="Generation of the store's certificate; null where Slipway does not manage it.",
    )
    artifacts_bucket: str
    models_bucket: str
    data_bucket: str


class ServingOutputs(Contract):
    """How an InferenceService is reached: `<endpoint>/serving/<namespace>/<name>/v2/...`."""

    mode: Literal["standard"]
    endpoint: str = Field(description="URL of the gateway from outside the cluster.")
    runtime: str = Field(description="The ClusterServingRuntime for models.")
    model_cpu: str = Field(default="1", description="CPU limit of one model server.")
    model_memory: str = Field(default="1Gi", description="Memory limit of one model server.")

    @property
    def limits(self) -> dict[str, str]:
        """Resource limits of one model server."""
        return {"cpu": self.model_cpu, "memory": self.model_memory}


class ImageOutputs(Contract):
    """Image references used by pipelines, each pinned by digest."""

    steps: str = Field(description="The image that pipeline steps run in.")


class TenantOutputs(Contract):
    """One tenant: its namespace, ServiceAccounts, storage locations and the names of its Secrets."""

    namespace: str
    editor_service_account: str
    viewer_service_account: str
    runner_service_account: str
    server_service_account: str
    pipeline_root: str
    models_uri: str
    data_uri: str
    key_generation: int = Field(description="Generation of the keys in the Secrets.")
    runner_secret: str | None = Field(
        description="Secret with AWS_ACCESS_KEY_ID/AWS_SECRET_ACCESS_KEY; null where the store is keyless."
    )
    server_secret: str | None
    editor_secret: str | None
    promoter_secret: str | None
    collector_secret: str | None
    gates: Gates = Field(description="Requirements of promotion for this tenant's models.")


class PlatformOutputs(Contract):
    """All outputs of a stack."""

    contract_version: Literal[3]
    stack: str
    environment: Literal["local", "kind", "dev", "prod"]
    kubeconfig: str | None = Field(
        description="Path of a kubeconfig on the machine of the last `up`; null for kubectl's default."
    )
    context: str | None = Field(
        default=None, description="Context of the kubeconfig; null for its current one."
    )
    kfp: KfpOutputs
    store: StoreOutputs
    serving: ServingOutputs
    images: ImageOutputs
    versions: dict[str, str]
    tenants: dict[str, TenantOutputs]

    def tenant(self, name: str) -> TenantOutputs:
        """Return the outputs of one tenant.

        Raises:
            UsageError: The stack has no such tenant.
        """
        if name not in self.tenants:
            raise UsageError(
                f"Stack {self.stack!r} has no tenant {name!r}.",
                why=f"It has {', '.join(sorted(self.tenants)) or 'none yet'}.",
                fix=f"Choose one of these, or add tenants/<name>.yaml and run `slipway up {self.stack}`.",
            )
        return self.tenants[name]
