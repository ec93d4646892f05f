"""What is refused before anything of a stack of `kind` is made, by `slipway up` and by the provider."""

from collections.abc import Iterable, Sequence

from infra.cluster.kind import folder, requirements
from infra.cluster.kind.command import KindCommand
from infra.cluster.kind.engine import Engine, Node, find
from infra.cluster.kind.folder import Record
from slipway.core.errors import UsageError


def refuse_machine(cluster: str, owner: str, engine: str | None, ports: Iterable[int]) -> None:
    """Refuse a machine on which the cluster can't be made, unless the stack has made it already.

    Args:
        cluster: its name.
        owner: path of the stack's settings.
        engine: the container tool; found where it is not named.
        ports: ports of 127.0.0.1 that the cluster will listen on.

    Raises:
        UsageError: a program, memory, a limit of the kernel or a port is missing, or the name is taken.
        FailedError: the container tool failed.
    """
    record = folder.read_record(cluster)
    refuse_other_stack(cluster, record, owner)
    if record is not None:
        return
    found = find(engine)
    refuse_foreign(cluster, None, found.nodes(cluster))
    refuse_new(found, KindCommand(), ports)


def refuse_other_stack(cluster: str, record: Record | None, owner: str) -> None:
    """Refuse a cluster that another stack of this user has made; raises UsageError."""
    if record is not None and record.owner != owner:
        raise UsageError(
            f"The cluster {cluster} belongs to another stack.",
            why=f"Its settings are in {record.owner}.",
            fix="Set another cluster.name and other ports under `endpoints`.",
        )


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
