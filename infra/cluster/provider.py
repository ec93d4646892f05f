"""The Kubernetes provider as every environment uses it."""

import pulumi
import pulumi_kubernetes


def kubernetes_provider(
    name: str,
    *,
    kubeconfig: pulumi.Input[str] | None,
    context: str | None = None,
    cluster_identifier: str | None = None,
    upsert_existing_objects: bool | None = None,
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
        upsert_existing_objects: take over an object that exists already.
    """
    return pulumi_kubernetes.Provider(
        name,
        kubeconfig=kubeconfig,
        context=context,
        cluster_identifier=cluster_identifier,
        enable_server_side_apply=True,
        enable_config_map_mutable=True,
        enable_secret_mutable=True,
        upsert_existing_objects=upsert_existing_objects,
    )
