"""Where a command works: the project's folder, one stack's settings and the environment of its tools."""

from collections.abc import Mapping
from pathlib import Path

from embedded import session, toolchain
from embedded.instance import Instance, current
from infra.contract import PlatformOutputs
from infra.names import settings_file
from infra.settings.config import load_file, load_tenants
from infra.settings.models import PlatformSettings
from infra.stack.stack import Stack
from slipway.core.errors import UsageError
from slipway.core.report import Phases, Report, silent


def project() -> Path:
    """The folder that holds Pulumi.yaml: this one or the nearest above it."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "Pulumi.yaml").is_file() and (folder / "infra" / "program.py").is_file():
            return folder
    raise UsageError(
        "This folder is not inside a Slipway checkout.",
        why="No Pulumi.yaml with an infra/program.py beside it was found here or above.",
        fix="cd into the checkout and run the command again.",
    )


def instance() -> Instance:
    """The embedded cluster that belongs to this checkout."""
    return current()


def environment_of(stack: str) -> str:
    """Kind of environment of a stack, from its settings or, before `init`, from its template's name."""
    root = project()
    if (root / settings_file(stack)).is_file():
        return load_file(root / settings_file(stack), secret=False).environment
    if (root / "stacks" / f"{stack}.yaml").is_file():
        return stack
    known = ", ".join(sorted(path.stem for path in (root / "stacks").glob("*.yaml")))
    raise UsageError(
        f"There is no stack {stack!r}.",
        why=f"Neither {settings_file(stack)} nor a template stacks/{stack}.yaml exists; templates: {known}.",
        fix=f"slipway init {stack} --environment local",
    )


def settings(stack: str) -> PlatformSettings:
    """The stack's settings, validated together with its tenants; raises UsageError with file and field."""
    platform = load_file(project() / settings_file(stack))
    load_tenants(project() / "tenants")
    return platform


def check(stack: str) -> None:
    """Refuse what is wrong in the files that are there; what `init` makes may lack still.

    So may the secret: an `up` that was stopped just after it wrote the file is continued by the next.
    """
    path = project() / settings_file(stack)
    if path.is_file():
        load_file(path, secret=False)
    load_tenants(project() / "tenants")


def template(environment: str) -> Path:
    """What a new stack begins with; raises UsageError where there is no such kind of environment."""
    folder = project() / "stacks"
    known = sorted(path.stem for path in folder.glob("*.yaml"))
    if environment not in known:
        raise UsageError(
            f"There is no kind of environment {environment!r}.",
            why=f"Templates in stacks/ are: {', '.join(known)}.",
            fix="Name one with --environment.",
        )
    return folder / f"{environment}.yaml"


def tool_environment(
    stack: str, report: Report = silent, *, environment: str | None = None, build: bool = True
) -> Mapping[str, str]:
    """What goes over the environment of a stack's tools.

    Args:
        stack: Its name.
        report: Told what is built.
        environment: Which kind of environment it is; by default what its settings say.
        build: Whether the tools that a local stack needs are built where they are missing.

    Raises:
        UsageError: Without `build`, something would have to be built.
    """
    if (environment or environment_of(stack)) != "local":
        return {}
    if build:
        # All of them now: later each image would ask for its own, one after the other.
        toolchain.ensure(report=report)
        toolchain.kserve_manifests(report)
    else:
        toolchain.require()
    return session.environment(instance(), report)


def open_stack(
    stack: str, report: Report = silent, *, environment: str | None = None, build: bool = True
) -> Stack:
    """The stack with the environment that its tools need; the arguments are `tool_environment`'s."""
    env = tool_environment(stack, report, environment=environment, build=build)
    return Stack(stack, project(), env)


def ready(stack: str, phases: Phases, *, build: bool = True) -> Stack:
    """The stack, initialised and with validated settings; missing tools are built first.

    Raises:
        UsageError: A file has a mistake, or without `build` a tool is missing; nothing was started.
    """
    check(stack)
    with phases("Preparing the tools") as report:
        opened = open_stack(stack, report, build=build)
    opened.init()
    settings(stack)
    return opened


def outputs(stack: str) -> PlatformOutputs:
    """What the stack tells the outside; raises UsageError where it is not up."""
    return open_stack(stack).outputs()
