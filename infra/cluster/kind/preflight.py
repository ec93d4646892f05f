"""What is refused before anything of a stack of `kind` is made, by `slipway up` and by the provider."""

from collections.abc import Iterable, Sequence

from infra.cluster.kind import folder, requirements
from infra.cluster.kind.command import KindCommand
from infra.cluster.kind.engine import Engine, Node, find
from infra.cluster.kind.folder import Record
from slipway.core.errors import UsageError


def refuse_machine(cluster: str, engine: str | None, ports: Iterable[int]) -> None:
    """Refuse a machine on which the cluster can't be made, unless this user's Slipway has made it already.

    Args:
        cluster: its name.
        engine: the container tool; found where it is not named.
        ports: ports of 127.0.0.1 that the cluster will listen on.

    Raises:
        UsageError: a program, memory, a limit of the kernel or a port is missing, or the name is taken.
        FailedError: the container tool failed.
    """
    if folder.read_record(cluster) is not None:
        return
    found = find(engine)
    refuse_foreign(cluster, None, found.nodes(cluster))
    refuse_new(found, KindCommand(), ports)


def refuse_new(engine: Engine, command: KindCommand, ports: Iterable[int]) -> None:
    """Refuse a machine on which a new cluster can't be made; raises UsageError."""
    requirements.check(engine, command.version(), ports)


def refuse_foreign(cluster: str, record: Record | None, nodes: Sequence[Node]) -> None:
    """Refuse nodes of the cluster's name that are not those of the record; raises UsageError."""
    if nodes and not (record and record.is_of(nodes)):
        raise UsageError(
            f"There is a cluster {cluster} that this stack did not make.",
            why="It may hold another's work, and is never taken over.",
            fix=f"Set another cluster.name, or delete it: kind delete cluster --name {cluster}",
        )
