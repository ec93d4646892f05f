"""How a resource of the provider `slipway` reaches the cluster: its inputs, and the opened API."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from pydantic import BaseModel, ConfigDict

from infra.kubernetes_api import KubernetesApi
from slipway.provider.kinds import Made, Properties

CONNECTION: Final = ("kubeconfig", "kubeconfigPath", "context")
_SECRET: Final = "kubeconfig"


class ConnectedInputs(BaseModel):
    """Inputs of every resource that makes requests to a cluster."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kubeconfig: str | None = None
    """Its content; None where a path, or the default of kubectl, is used."""

    kubeconfigPath: str | None = None  # noqa: N815  properties are in camel case throughout Pulumi
    context: str | None = None

    def made(self, identity: str, *, matching: Properties | None = None) -> Made:
        """Return the resource whose outputs are these inputs; `matching` as of `Made.inputs`."""
        outputs = self.model_dump(mode="json", exclude_none=True)
        return Made(identity, outputs, frozenset({_SECRET} & set(outputs)), matching)

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
