"""How a resource of the provider `slipway` reaches the cluster: its inputs, and the opened API."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from pydantic import BaseModel, ConfigDict

from infra.kubernetes_api import KubernetesApi

CONNECTION: Final = ("kubeconfig", "kubeconfigPath", "context")
SECRET: Final = "kubeconfig"


class ConnectedInputs(BaseModel):
    """Inputs of every resource that makes requests to a cluster."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kubeconfig: str | None = None
    """Its content; None where a path, or the default of kubectl, is used."""

    kubeconfigPath: str | None = None  # noqa: N815  properties are in camel case throughout Pulumi
    context: str | None = None

    @contextmanager
    def opened(self) -> Iterator[KubernetesApi]:
        """Open the cluster for the block.

        Raises:
            UsageError: There is no such kubeconfig or context.
        """
        if self.kubeconfig is not None:
            api = KubernetesApi.of_content(self.kubeconfig, self.context)
        else:
            api = KubernetesApi.open(self.kubeconfigPath, self.context)
        try:
            yield api
        finally:
            api.close()
