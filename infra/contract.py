"""The stack's outputs: the only thing that pipelines, serving and CI learn of a platform. Pure.

`pulumi stack output --json` validates against `PlatformOutputs`. No secret value is in it: a
credential is named by the Kubernetes Secret that holds it.
"""

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from slipway.core.errors import UsageError
from storage.settings import Strict

CONTRACT_VERSION: Final = 3


class Contract(BaseModel):
    """Strict and frozen, like everything that crosses a border."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class KfpOutputs(Contract):
    """Where the Kubeflow Pipelines API answers."""

    endpoint: str = Field(description="URL from outside the cluster, for `kfp.Client(host=…)`.")
    internal_endpoint: str = Field(description="URL from inside the cluster.")
    auth_mode: Literal["none", "token"]
    audience: str | None = Field(description="Audience of the token where auth_mode is token.")
    backend: Literal["kubeflow", "embedded"]


class StoreOutputs(Contract):
    """Where the artifact stores answer."""

    kind: Literal["minio", "s3", "external"]
    endpoint: str = Field(description="S3 endpoint URL from outside the cluster.")
    internal_endpoint: str = Field(description="S3 endpoint URL from inside the cluster.")
    region: str
    tls: bool
    path_style: bool = Field(description="Whether the bucket stands in a URL's path.")
    ca_config_map: str | None = Field(
        description="ConfigMap in each tenant's namespace whose ca.crt signed the store's certificate; "
        "null where a public authority did."
    )
    keyless: bool = Field(description="Whether workloads prove who they are without a key.")
    root_key_generation: int | None = Field(
        default=None, description="Generation of the administrator's key; null where it is not Slipway's."
    )
    certificate_generation: int | None = Field(
        default=None, description="Generation of the store's certificate; null where it is not Slipway's."
    )
    artifacts_bucket: str
    models_bucket: str
    data_bucket: str


class ServingOutputs(Contract):
    """How an InferenceService is reached: `<endpoint>/serving/<namespace>/<name>/v2/...`."""

    mode: Literal["standard", "knative"]
    endpoint: str = Field(description="URL of the gateway from outside the cluster.")
    runtime: str = Field(description="The ClusterServingRuntime for models.")
    model_cpu: str = Field(default="1", description="CPU limit of one model server.")
    model_memory: str = Field(default="1Gi", description="Memory limit of one model server.")

    @property
    def limits(self) -> dict[str, str]:
        """Limits of one model server."""
        return {"cpu": self.model_cpu, "memory": self.model_memory}


class ImageOutputs(Contract):
    """Image references that later parts need, each pinned by digest."""

    steps: str = Field(description="The image that pipeline steps run in.")


_Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class Minimums(Strict):
    """Least figures on held-out rows, beyond what the run itself demands."""

    accuracy: _Share | None = Field(default=None, description="Least accuracy on held-out rows.")
    f1_weighted: _Share | None = Field(
        default=None, description="Least F1 on held-out rows, weighted by the size of the classes."
    )

    def demanded(self) -> dict[str, float]:
        """Return the least value by metric, for those that have one."""
        return {name: least for name, least in self if least is not None}


class Gates(Strict):
    """What promotion demands of every model of a tenant; no run can lower it."""

    minimums: Minimums = Field(default_factory=Minimums)
    min_held_out_rows: int = Field(
        default=10, ge=1, description="Least number of held-out rows to decide on."
    )
    min_gain: float = Field(
        default=0.0,
        ge=-1,
        le=1,
        allow_inf_nan=False,
        description="How far accuracy must lie above that of always answering the most frequent class.",
    )
    compare: Literal["always", "never"] = Field(
        default="always", description="Whether the champion is evaluated on the same rows and binds."
    )
    max_drop: _Share = Field(
        default=0.0, description="How far below the champion's accuracy a model may lie."
    )

    def at_least(self, accuracy: float) -> "Gates":
        """Return these gates with a least accuracy that is raised to this, never lowered."""
        least = max(accuracy, self.minimums.accuracy or 0.0)
        raised = self.minimums.model_copy(update={"accuracy": least})
        return self.model_copy(update={"minimums": raised})


class TenantOutputs(Contract):
    """One tenant: its namespace, identities, places and the names of its Secrets."""

    namespace: str
    editor_service_account: str
    viewer_service_account: str
    runner_service_account: str
    server_service_account: str
    pipeline_root: str
    models_uri: str
    data_uri: str
    key_generation: int = Field(description="Generation of the keys that the Secrets hold.")
    runner_secret: str | None = Field(
        description="Secret with AWS_ACCESS_KEY_ID/AWS_SECRET_ACCESS_KEY; null where the store is keyless."
    )
    server_secret: str | None
    editor_secret: str | None
    promoter_secret: str | None
    collector_secret: str | None
    gates: Gates = Field(description="What promotion demands of this tenant's models.")


class PlatformOutputs(Contract):
    """Everything that a stack tells the outside."""

    contract_version: Literal[3]
    stack: str
    environment: Literal["local", "kind", "dev", "prod"]
    kubeconfig: str | None = Field(
        description="Path of a kubeconfig on this machine, or null where the user brings one."
    )
    kfp: KfpOutputs
    store: StoreOutputs
    serving: ServingOutputs
    images: ImageOutputs
    versions: dict[str, str]
    tenants: dict[str, TenantOutputs]

    def tenant(self, name: str) -> TenantOutputs:
        """The outputs of one tenant; UsageError if the stack has no such tenant."""
        if name not in self.tenants:
            raise UsageError(
                f"Stack {self.stack!r} has no tenant {name!r}.",
                why=f"It has {', '.join(sorted(self.tenants)) or 'none yet'}.",
                fix=f"Choose one of these, or add tenants/<name>.yaml and run `slipway up {self.stack}`.",
            )
        return self.tenants[name]
