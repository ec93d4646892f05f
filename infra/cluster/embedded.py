"""The embedded cluster: real Kubernetes on a bare machine, with locally built images.

The only module of the program that uses `embedded`. It declares two resource types of the provider
`slipway` (embedded/plugins/platform), so that the stack owns the cluster and its images like any other
resource: `pulumi up` starts a stopped cluster, `pulumi destroy` deletes it.
"""

from collections.abc import Mapping, Sequence

import pulumi

from embedded import images, instance, toolchain
from embedded.addresses import Ports
from infra import names, versions
from infra.builder import Builder
from infra.cluster.handle import ClusterHandle, Connection, Endpoints, Image, Images
from infra.cluster.provider import delete_with, kubernetes_provider


class EmbeddedCluster(pulumi.CustomResource):
    """A Kubernetes cluster on this machine; ready when its node is ready."""

    kubeconfig: pulumi.Output[str]
    """The administrator's kubeconfig; a secret."""

    state: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        *,
        instance_name: str,
        forwards: Sequence[Mapping[str, object]],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare the cluster of `instance_name` and the ports of 127.0.0.1 forwarded to its Services."""
        inputs = {
            "instance": instance_name,
            "forwards": forwards,
            "versions": {
                "kubernetes": versions.KUBERNETES,
                "etcd": versions.ETCD,
                "coredns": versions.COREDNS,
            },
        }
        outputs = {"kubeconfig": None, "state": None}
        super().__init__("slipway:embedded:Cluster", name, {**inputs, **outputs}, opts)


class EmbeddedImage(pulumi.CustomResource):
    """An image in the cluster's own image store, since there is no registry to pull it from."""

    def __init__(
        self,
        name: str,
        *,
        instance_name: str,
        reference: str,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare the image `name` under `reference`, which is computed from its inputs."""
        inputs = {"instance": instance_name, "name": name, "reference": reference}
        super().__init__("slipway:embedded:Image", name, inputs, opts)


def create(*, console: bool, katib: bool) -> ClusterHandle:
    """Declare the embedded cluster, its images and the Kubernetes provider for it.

    URLs and image references are known in every preview: URLs follow from the instance's name, image
    references from the images' inputs. `console` says whether the store has a web console, and
    `katib` whether there is Katib.
    """
    local = instance.current()
    ports = local.ports
    cluster = EmbeddedCluster("cluster", instance_name=local.name, forwards=_forwards(ports, console=console))
    delete_with(cluster)
    provider = kubernetes_provider(
        "kubernetes",
        kubeconfig=cluster.kubeconfig,
        # A changed port or certificate of the same cluster must not replace the objects in it.
        cluster_identifier=local.name,
    )
    return ClusterHandle(
        provider=provider,
        connection=Connection(kubeconfig=cluster.kubeconfig),
        images=_images(local, cluster, katib=katib),
        endpoints=Endpoints(
            gateway=f"http://127.0.0.1:{ports.gateway}",
            store=f"https://127.0.0.1:{ports.s3}",
            console=f"https://127.0.0.1:{ports.console}" if console else None,
            kfp=f"http://127.0.0.1:{ports.kfp}",
        ),
        kubeconfig=local.kubeconfig,
        builder=Builder(program=toolchain.binary, go=toolchain.go_command),
    )


def _forwards(ports: Ports, *, console: bool) -> list[Mapping[str, object]]:
    """Return the port forwards to Services, which are declared later in the program."""
    forwards = [
        (ports.gateway, names.GATEWAY_NAMESPACE, names.GATEWAY_SERVICE, names.GATEWAY_PORT),
        (ports.s3, names.STORE_NAMESPACE, names.STORE_SERVICE, names.STORE_PORT),
        (ports.kfp, names.KFP_NAMESPACE, names.KFP_SERVICE, names.KFP_PORT),
    ]
    if console:
        forwards.append((ports.console, names.STORE_NAMESPACE, names.STORE_SERVICE, names.STORE_CONSOLE_PORT))
    return [
        {"port": port, "namespace": namespace, "service": service, "servicePort": service_port}
        for port, namespace, service, service_port in forwards
    ]


def _images(local: instance.Instance, cluster: EmbeddedCluster, *, katib: bool) -> Images:
    def image(name: str) -> Image:
        reference = images.reference(name)
        # Deleted with the cluster, because the image store is deleted with it.
        options = pulumi.ResourceOptions(depends_on=[cluster], deleted_with=cluster)
        ready = EmbeddedImage(name, instance_name=local.name, reference=reference, opts=options)
        return Image(reference=reference, ready=ready)

    return Images.built(image, katib=katib)
