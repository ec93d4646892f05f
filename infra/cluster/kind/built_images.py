"""Images that are built on this machine: the only module of `kind` that knows `embedded`."""

import pulumi

from embedded import images, toolchain
from infra.builder import Builder
from infra.cluster.handle import Image, Images
from infra.cluster.kind.facts import IMAGE


class NodeImage(pulumi.CustomResource):
    """An image in the node's image store, since there is no registry to pull it from."""

    def __init__(
        self, name: str, *, cluster: str, reference: str, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Declare the image `name` under `reference`, which is computed from its inputs."""
        super().__init__(IMAGE, name, {"cluster": cluster, "name": name, "reference": reference}, opts)


def declare(cluster: pulumi.Resource, name: str, *, katib: bool) -> Images:
    """Declare every image of the platform in the nodes of the cluster `name`; those of Katib if it is on."""

    def image(image_name: str) -> Image:
        reference = images.reference(image_name)
        # Deleted with the cluster, because the image store is deleted with it.
        options = pulumi.ResourceOptions(depends_on=[cluster], deleted_with=cluster)
        return Image(
            reference=reference, ready=NodeImage(image_name, cluster=name, reference=reference, opts=options)
        )

    return Images.built(image, katib=katib)


def builder() -> Builder:
    """Return how the programs that render upstream's parts are found or built."""
    return Builder(program=toolchain.binary, go=toolchain.go_command)
