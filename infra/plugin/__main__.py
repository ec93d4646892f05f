"""Serve every type of resource of the provider `slipway`."""

import sys

from embedded.plugins.platform import kinds as embedded_kinds
from embedded.plugins.platform.world import Machine
from infra.upstream.install.definitions_kind import DefinitionsKind
from infra.upstream.install.ready_kind import ReadyKind
from infra.upstream.install.shared_names import DEFINITIONS, READY
from slipway.provider.protocol import run


def main(argv: list[str]) -> None:
    """Serve until the CLI ends."""
    machine = Machine()
    kinds = {
        **embedded_kinds.kinds(machine),
        DEFINITIONS: DefinitionsKind(),
        READY: ReadyKind(),
    }
    run(argv, kinds, machine.stop)


if __name__ == "__main__":
    main(sys.argv[1:])
