"""The Kubernetes provider as every environment uses it, and how its objects are deleted."""

import os
from typing import Final

import pulumi
import pulumi_kubernetes

OF_ONE_RUN: Final = ("PULUMI_K8S_UPSERT_EXISTING_OBJECTS", "PULUMI_K8S_ENABLE_PATCH_FORCE")
"""What the driver of the command line may set for one run (infra.stack.stack).

The provider reads them from its own environment. The SDK would write them into the state as well, and the
next run would show a change of the provider.
"""


def kubernetes_provider(
    name: str,
    *,
    kubeconfig: pulumi.Input[str] | None,
    context: str | None = None,
    cluster_identifier: str | None = None,
) -> pulumi_kubernetes.Provider:
    """Declare the provider of one cluster.

    By default it deletes a ConfigMap or Secret and makes it again when its data change; whatever reads
    one by its name would find none in between. Here keys are rotated in place.

    Args:
        name: of the resource.
        kubeconfig: content or path.
        context: of the kubeconfig; its current one by default.
        cluster_identifier: names the cluster, where another address of it is no reason to replace
            what runs on it.
    """
    for variable in OF_ONE_RUN:
        os.environ.pop(variable, None)
    return pulumi_kubernetes.Provider(
        name,
        kubeconfig=kubeconfig,
        context=context,
        cluster_identifier=cluster_identifier,
        enable_server_side_apply=True,
        enable_config_map_mutable=True,
        enable_secret_mutable=True,
    )


def delete_with(cluster: pulumi.Resource) -> None:
    """Delete Kubernetes objects together with the cluster: `destroy` then needs no running cluster.

    Applies only when the cluster itself is deleted; an object removed from the program is deleted as usual.
    """

    def mark(args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult | None:
        if not args.type_.startswith(("kubernetes:", "slipway:upstream:")):
            return None
        options = pulumi.ResourceOptions.merge(args.opts, pulumi.ResourceOptions(deleted_with=cluster))
        return pulumi.ResourceTransformationResult(props=args.props, opts=options)

    pulumi.runtime.register_stack_transformation(mark)
