"""Serve every type of resource of the provider `slipway`."""

import sys

from embedded.images.containerd import Containerd
from embedded.plugins.platform import kinds as embedded_kinds
from embedded.plugins.platform.world import Machine
from infra.cluster.kind.cluster_kind import ClusterKind
from infra.cluster.kind.command import KindCommand
from infra.cluster.kind.facts import CLUSTER, IMAGE
from infra.cluster.kind.image_kind import ImageKind
from infra.upstream.install.definitions_kind import DefinitionsKind
from infra.upstream.install.ready_kind import ReadyKind
from infra.upstream.install.shared_names import DEFINITIONS, READY
from slipway.provider.protocol import run


def main(argv: list[str]) -> None:
    """Serve until the CLI ends."""
    machine = Machine()
    kind_command = KindCommand()
    kinds = {
        **embedded_kinds.kinds(machine),
        CLUSTER: ClusterKind(kind_command),
        IMAGE: ImageKind(machine.load_image, lambda reference, ctr: Containerd(ctr).has(reference)),
        DEFINITIONS: DefinitionsKind(),
        READY: ReadyKind(),
    }

    def stop() -> None:
        machine.stop()
        kind_command.stop()

    run(argv, kinds, stop)


if __name__ == "__main__":
    main(sys.argv[1:])
