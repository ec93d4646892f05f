"""What `slipway:kind:Cluster` means: make, start, read and delete a cluster of the kind CLI."""

from collections.abc import Sequence
from typing import Final, Literal, Protocol

from infra.cluster.kind import folder, preflight
from infra.cluster.kind.command import KindCommand
from infra.cluster.kind.engine import Engine, Node, find
from infra.cluster.kind.facts import ClusterInputs, fixed_differences, kubernetes_version
from infra.cluster.kind.folder import Record
from infra.kubernetes_api import KubernetesApi
from slipway.core.errors import FailedError, UsageError
from slipway.core.report import Report
from slipway.core.waiting import poll
from slipway.provider.kinds import Change, Made, Properties, model_faults

State = Literal["running", "stopped", "absent"]
_STARTED_SECONDS: Final = 180.0
"""A node that is started again: etcd, the API server and the kubelet come up in 10 to 30 s (2026-11-30)."""


class Engines(Protocol):
    """Finds a container tool; `engine.find`."""

    def __call__(self, wanted: str | None = None) -> Engine:
        """Return the tool that is named, or the first that can be used."""


class ClusterKind:
    """A cluster on this machine whose nodes are containers."""

    def __init__(self, command: KindCommand, engines: Engines = find) -> None:
        """Work with these programs."""
        self._command = command
        self._find = engines

    def faults(self, inputs: Properties) -> Sequence[tuple[str, str]]:
        """See Kind."""
        if faults := model_faults(ClusterInputs, inputs):
            return faults
        try:
            kubernetes_version(str(inputs["nodeImage"]))
        except ValueError as error:
            return [("nodeImage", str(error))]
        return []

    def planned(self, inputs: Properties) -> Properties:
        """See Kind."""
        return {**inputs, "state": "running"}

    def changes(self, old: Properties, new: Properties) -> Sequence[Change]:
        """See Kind: a stopped node is a difference, so that `up` starts it.

        Raises:
            UsageError: the cluster would have to be made again, which would delete its data.
        """
        name = str(old["name"])
        if name != new["name"]:
            raise UsageError(
                f"The cluster is {name}, and can't become {new['name']}.", why=_DATA, fix=_MADE_AGAIN
            )
        if fixed := list(fixed_differences(old, new)):
            raise UsageError(
                f"The cluster {name} can't change its {' and '.join(map(_NAMES.__getitem__, fixed))}.",
                why=f"kind fixes them when it makes a cluster. {_DATA}",
                fix=f"Set them back. Else: {_MADE_AGAIN}",
            )
        state = self._state(name, str(new["owner"]))
        if state == "absent":
            raise UsageError(
                f"The cluster {name} no longer exists.",
                why="It was not deleted by `slipway destroy`, so the stack still has what was in it.",
                fix=_MADE_AGAIN,
            )
        if state == "stopped":
            return [Change("state", why="the cluster is stopped; it will be started", of_input=False)]
        return []

    def find(self, identity: str, inputs: Properties) -> Made | None:
        """See Kind."""
        state = self._state(identity, str(inputs["owner"]))
        if state == "absent":
            return None
        return _made(ClusterInputs.model_validate({"name": identity, **inputs}), state)

    def make(self, inputs: Properties, before: Properties | None, report: Report) -> Made:
        """See Kind."""
        wanted = ClusterInputs.model_validate(inputs)
        record = folder.read_record(wanted.name)
        preflight.refuse_other_stack(wanted.name, record, wanted.owner)
        engine = self._find(record.engine if record else wanted.engine)
        nodes = engine.nodes(wanted.name)
        preflight.refuse_foreign(wanted.name, record, nodes)
        if nodes and record and record.node_ids:
            self._start(engine, wanted.name, nodes, report)
        else:
            self._create(engine, wanted, report, remnant=bool(nodes))
        return _made(wanted, "running")

    def remove(self, outputs: Properties, report: Report) -> None:
        """See Kind: a cluster that another has made since under the same name stays."""
        name = str(outputs["name"])
        record = folder.read_record(name)
        if record is None or record.owner == outputs["owner"]:
            self._delete(name, record, report)

    def _delete(self, name: str, record: Record | None, report: Report) -> None:
        if record is not None:
            engine = self._find(record.engine)
            nodes = engine.nodes(name)
            if nodes and record.is_of(nodes):
                report(f"deleting cluster {name}")
                self._command.delete(engine, name, folder.kubeconfig(name), report)
        folder.remove(name)

    def remnant(self, inputs: Properties) -> Made | None:
        """See Kind: what was begun has a record, and a delete must remove it."""
        wanted = ClusterInputs.model_validate(inputs)
        record = folder.read_record(wanted.name)
        return _made(wanted, "stopped") if record and record.owner == wanted.owner else None

    def _state(self, name: str, owner: str) -> State:
        record = folder.read_record(name)
        if record is None or record.owner != owner:
            return "absent"
        nodes = self._find(record.engine).nodes(name)
        if not nodes or not record.is_of(nodes):
            return "absent" if record.node_ids else "stopped"
        return "running" if all(node.running for node in nodes) else "stopped"

    def _create(self, engine: Engine, wanted: ClusterInputs, report: Report, *, remnant: bool) -> None:
        kubeconfig = folder.kubeconfig(wanted.name)
        if remnant:
            report(f"removing what an interrupted run left of cluster {wanted.name}")
            self._command.delete(engine, wanted.name, kubeconfig, report)
        preflight.refuse_new(engine, self._command, [each.port for each in wanted.ports])
        # Before kind begins: what an interrupted run leaves must be known as this stack's.
        record = Record(owner=wanted.owner, engine=engine.name)
        folder.write_record(wanted.name, record)
        self._command.create(engine, wanted, kubeconfig, report)
        folder.make_private(kubeconfig)
        ids = tuple(node.id for node in engine.nodes(wanted.name))
        folder.write_record(wanted.name, record.model_copy(update={"node_ids": ids}))

    def _start(self, engine: Engine, name: str, nodes: Sequence[Node], report: Report) -> None:
        for node in nodes:
            if not node.running:
                report(f"starting {node.name}")
                engine.start(node)
        self._command.export_kubeconfig(engine, name, folder.kubeconfig(name))
        folder.make_private(folder.kubeconfig(name))
        api = KubernetesApi.of_content(folder.read_kubeconfig(name))
        try:
            ready = poll(lambda: _is_ready(api), seconds=_STARTED_SECONDS, interval=0.5)
        finally:
            api.close()
        if not ready:
            raise FailedError(
                f"The nodes of cluster {name} run, but did not become ready in {_STARTED_SECONDS:.0f} s.",
                fix=f"Look into a node: {engine.name} exec {nodes[0].name} journalctl --unit=kubelet",
            )


_DATA: Final = "Another cluster would not have the data of this one."
_MADE_AGAIN: Final = (
    "`slipway destroy STACK` deletes it with its data; then `slipway up STACK` makes the new one."
)
_NAMES: Final = {"nodeImage": "node image", "ports": "ports"}


def _is_ready(api: KubernetesApi) -> bool:
    try:
        nodes = api.get("/api/v1/nodes")
    except FailedError:
        return False
    conditions = [
        condition
        for node in (nodes or {"items": []})["items"]
        for condition in node["status"].get("conditions", [])
        if condition["type"] == "Ready"
    ]
    return bool(conditions) and all(condition["status"] == "True" for condition in conditions)


def _made(inputs: ClusterInputs, state: State) -> Made:
    return Made(
        id=inputs.name,
        outputs={
            **inputs.model_dump(mode="json", exclude_none=True),
            "state": state,
            "kubeconfig": folder.read_kubeconfig(inputs.name),
        },
        secrets=frozenset({"kubeconfig"}),
    )
