"""The cluster of a bare machine: real Kubernetes, started on the spot, images built on the spot.

The one module of the program that knows what is embedded. It declares two resources of the provider
`slipway` (embedded/plugins/platform), so that the stack owns the cluster and its images as it owns
everything else: `pulumi up` starts a cluster that is down, `pulumi destroy` takes it away.
"""

from collections.abc import Mapping, Sequence

import pulumi
import pulumi_kubernetes

from embedded import images, instance, toolchain
from embedded.addresses import Ports
from infra import names, versions
from infra.cluster.handle import ClusterHandle, Endpoints, Image, Images


class EmbeddedCluster(pulumi.CustomResource):
    """A Kubernetes of this machine's own; ready when its node is."""

    kubeconfig: pulumi.Output[str]
    """What reaches it as administrator; a secret."""

    state: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        *,
        instance_name: str,
        forwards: Sequence[Mapping[str, object]],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare the cluster of `instance_name` and which ports of 127.0.0.1 lead to its Services."""
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
    """An image in the cluster's own image store, because there is no registry to pull it from."""

    def __init__(
        self,
        name: str,
        *,
        instance_name: str,
        reference: str,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare that the image `name` is there as `reference`, which its inputs determine."""
        inputs = {"instance": instance_name, "name": name, "reference": reference}
        super().__init__("slipway:embedded:Image", name, inputs, opts)


def create(*, console: bool) -> ClusterHandle:
    """Declare the embedded cluster, its images and the provider that reaches it.

    URLs and image references are known in every preview: the first follow from the instance's name,
    the second from what the images are made of. `console` says whether the store has one.
    """
    local = instance.current()
    ports = local.ports
    cluster = EmbeddedCluster("cluster", instance_name=local.name, forwards=_forwards(ports, console=console))
    _delete_with(cluster)
    provider = pulumi_kubernetes.Provider(
        "kubernetes",
        kubeconfig=cluster.kubeconfig,
        # Another port or certificate of the same cluster is no reason to replace what runs on it.
        cluster_identifier=local.name,
        enable_server_side_apply=True,
    )
    return ClusterHandle(
        provider=provider,
        images=_images(local, cluster),
        kserve_manifests=toolchain.kserve_manifests(pulumi.log.info),
        endpoints=Endpoints(
            gateway=f"http://127.0.0.1:{ports.gateway}",
            store=f"https://127.0.0.1:{ports.s3}",
            console=f"https://127.0.0.1:{ports.console}" if console else None,
            kfp=f"http://127.0.0.1:{ports.kfp}",
        ),
        kubeconfig=local.kubeconfig,
    )


def _delete_with(cluster: EmbeddedCluster) -> None:
    """Have what is on the cluster go with it: `destroy` needs neither a running cluster nor minutes.

    Only where the cluster itself goes; an object that the program drops is deleted as usual.
    """

    def mark(args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult | None:
        if not args.type_.startswith("kubernetes:"):
            return None
        options = pulumi.ResourceOptions.merge(args.opts, pulumi.ResourceOptions(deleted_with=cluster))
        return pulumi.ResourceTransformationResult(props=args.props, opts=options)

    pulumi.runtime.register_stack_transformation(mark)


def _forwards(ports: Ports, *, console: bool) -> list[Mapping[str, object]]:
    """Name the Services that answer on this machine; they come into being later in the program."""
    leads = [
        (ports.gateway, names.GATEWAY_NAMESPACE, names.GATEWAY_SERVICE, names.GATEWAY_PORT),
        (ports.s3, names.STORE_NAMESPACE, names.STORE_SERVICE, names.STORE_PORT),
        (ports.kfp, names.KFP_NAMESPACE, names.KFP_SERVICE, names.KFP_PORT),
    ]
    if console:
        leads.append((ports.console, names.STORE_NAMESPACE, names.STORE_SERVICE, names.STORE_CONSOLE_PORT))
    return [
        {"port": port, "namespace": namespace, "service": service, "servicePort": service_port}
        for port, namespace, service, service_port in leads
    ]


def _images(local: instance.Instance, cluster: EmbeddedCluster) -> Images:
    def image(name: str) -> Image:
        reference = images.reference(name)
        # Deleted with the cluster: emptying an image store that is about to go is wasted time.
        options = pulumi.ResourceOptions(depends_on=[cluster], deleted_with=cluster)
        ready = EmbeddedImage(name, instance_name=local.name, reference=reference, opts=options)
        return Image(reference=reference, ready=ready)

    return Images(
        minio=image("minio"),
        kserve_controller=image("kserve-controller"),
        gateway=image("gateway"),
        pipelines=image("pipelines"),
        model_server=image("model-server"),
    )
