"""An existing cluster: reached by a kubeconfig context, with images from a registry."""

from infra.cluster.handle import ClusterHandle, Connection, Endpoints, Image, Images
from infra.cluster.provider import kubernetes_provider
from infra.settings.models import DevSettings


def create(settings: DevSettings) -> ClusterHandle:
    """Return the handle of the cluster that the settings name; declares nothing in it."""
    cluster, images, urls = settings.cluster, settings.images, settings.endpoints.urls
    return ClusterHandle(
        provider=kubernetes_provider("cluster", kubeconfig=cluster.kubeconfig, context=cluster.context),
        connection=Connection(kubeconfig_path=cluster.kubeconfig, context=cluster.context),
        images=Images(
            minio=Image(reference=images.minio),
            kserve_controller=Image(reference=images.kserve_controller),
            gateway=Image(reference=images.gateway),
            pipelines=Image(reference=images.pipelines),
            model_server=Image(reference=images.model_server),
        ),
        endpoints=Endpoints(gateway=urls.gateway, store=urls.store, console=urls.console, kfp=urls.kfp),
        kubeconfig=None,
        cert_manager=cluster.cert_manager,
    )
