"""The scheduler's representation of a compiled pipeline: typed, complete, immutable. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from embedded.kfp.condition import Condition

SourceKind = Literal["constant", "output", "input", "status"]


@dataclass(frozen=True, slots=True)
class Parameter:
    """A declared input or output parameter."""

    kind: str
    optional: bool = False
    default: object = None


@dataclass(frozen=True, slots=True)
class ArtifactSlot:
    """A declared input or output artifact."""

    schema_title: str
    schema_version: str = "0.0.1"
    is_list: bool = False
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Source:
    """Where an input of a task comes from.

    `constant`: `value`; `output`: `name` of task `task`; `input`: `name` of the enclosing DAG;
    `status`: the final status of task `task`.
    """

    kind: SourceKind
    name: str = ""
    task: str = ""
    value: object = None
    selector: str = ""


@dataclass(frozen=True, slots=True)
class Loop:
    """`dsl.ParallelFor` over a fixed list or over an input that is a list."""

    item: str
    items_input: str = ""
    items: tuple[object, ...] = ()
    over_artifacts: bool = False
    parallelism: int = 0


@dataclass(frozen=True, slots=True)
class Retry:
    """How often a failed step is retried, and the backoff."""

    times: int = 0
    backoff: float = 0.0
    factor: float = 2.0
    longest: float = 3600.0

    def delay(self, attempt: int) -> float:
        """Seconds to wait after the failed attempt number `attempt`, counted from 0."""
        try:
            return min(self.backoff * self.factor**attempt, self.longest)
        except OverflowError:
            return self.longest


@dataclass(frozen=True, slots=True)
class Step:
    """A Python function, as source code."""

    function: str
    source: str
    env: Mapping[str, str]
    image: str


@dataclass(frozen=True, slots=True)
class Importer:
    """`dsl.importer`: creates an artifact from an existing object."""

    uri: object
    metadata: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Task:
    """One node of a DAG."""

    name: str
    component: str
    after: frozenset[str]
    parameters: Mapping[str, Source]
    artifacts: Mapping[str, Source]
    condition: Condition | None = None
    always: bool = False
    loop: Loop | None = None
    retry: Retry = field(default_factory=Retry)
    cached: bool = False
    cache_key: str = ""


@dataclass(frozen=True, slots=True)
class Selector:
    """An output of a DAG: the first (task, output) whose task succeeded."""

    choices: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Dag:
    """Tasks in topological order."""

    tasks: tuple[Task, ...]
    parameters: Mapping[str, Selector]
    artifacts: Mapping[str, Selector]


@dataclass(frozen=True, slots=True)
class Component:
    """What a task runs: a step, an importer or another DAG."""

    name: str
    body: Step | Importer | Dag
    parameters: Mapping[str, Parameter]
    artifacts: Mapping[str, ArtifactSlot]
    output_parameters: Mapping[str, Parameter]
    output_artifacts: Mapping[str, ArtifactSlot]


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A pipeline that this server can run."""

    name: str
    description: str
    default_root: str
    root: Component
    components: Mapping[str, Component]

    def steps(self) -> Iterator[Component]:
        """The components that are steps."""
        return (one for one in self.components.values() if isinstance(one.body, Step))
