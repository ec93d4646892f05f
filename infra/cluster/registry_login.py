"""The account with which nodes pull the platform's images, as a Secret in each namespace that runs them."""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as k8s

from infra.names import PULL_SECRET
from infra.pod_defaults import metadata, secret_data
from oci.pull_secrets import SECRET_KEY, SECRET_TYPE


@dataclass(frozen=True, kw_only=True)
class RegistryLogin:
    """The account, or none where nodes need no Secret to pull."""

    docker_config: pulumi.Output[str] | None = None
    """Accounts by registry, as `oci.pull_secrets.docker_config` writes them; a secret."""

    @property
    def references(self) -> list[k8s.core.v1.LocalObjectReferenceArgs] | None:
        """The `imagePullSecrets` of a pod or a ServiceAccount in a namespace with the Secret."""
        return (
            None if self.docker_config is None else [k8s.core.v1.LocalObjectReferenceArgs(name=PULL_SECRET)]
        )

    def declare(
        self, name: str, namespace: str, labels: Mapping[str, str], opts: pulumi.ResourceOptions
    ) -> list[pulumi.Resource]:
        """Declare the Secret in a namespace; pods there depend on what is returned.

        Args:
            name: prefix of the resource's name.
            namespace: of the pods.
            labels: of the Secret.
            opts: with the namespace as a dependency.
        """
        if self.docker_config is None:
            return []
        return [
            k8s.core.v1.Secret(
                f"{name}-{PULL_SECRET}",
                metadata=metadata(PULL_SECRET, labels, namespace=namespace),
                type=SECRET_TYPE,
                data=self.docker_config.apply(lambda accounts: secret_data({SECRET_KEY: accounts})),
                opts=opts,
            )
        ]
