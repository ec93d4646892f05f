"""The project's folder, a stack's settings and the environment of its tools."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from embedded import session
from embedded.instance import Instance, current
from infra.contract import PlatformOutputs
from infra.names import settings_file
from infra.settings.config import load_file, load_tenants
from infra.settings.models import PlatformSettings
from infra.stack.stack import Stack
from infra.upstream import installed
from slipway.core.errors import UsageError
from slipway.core.report import Phases, Report, silent
from slipway.operations import kind_stack, upstream_parts


def project() -> Path:
    """Return the folder with Pulumi.yaml: the current one or the nearest above it; UsageError if none."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "Pulumi.yaml").is_file() and (folder / "infra" / "program.py").is_file():
            return folder
    raise UsageError(
        "This folder is not inside a Slipway checkout.",
        why="No Pulumi.yaml with an infra/program.py beside it was found here or above.",
        fix="cd into the checkout and run the command again.",
    )


def lay_out(folder: Path) -> None:
    """Make a folder a Pulumi project like this checkout: its Pulumi.yaml, and the plugin that it names."""
    root = project()
    shutil.copy(root / "Pulumi.yaml", folder)
    (folder / "infra").mkdir()
    (folder / "infra" / "plugin").symlink_to(root / "infra" / "plugin")


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
    """Refuse mistakes in existing files; files that `init` creates may be missing.

    So may the secret: an `up` that was interrupted just after it wrote the file is continued by the next.
    """
    path = project() / settings_file(stack)
    if path.is_file():
        load_file(path, secret=False)
    load_tenants(project() / "tenants")


def template(environment: str) -> Path:
    """Return the template of a new stack's settings; UsageError if the kind of environment is unknown."""
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
    """Return the environment variables that a stack's tools need in addition.

    Args:
        stack: Its name.
        report: Takes lines of progress.
        environment: Kind of environment; by default the one in the stack's settings.
        build: Whether missing tools of a local stack are built.

    Raises:
        UsageError: `build` is false, and a tool would have to be built.
    """
    match environment or environment_of(stack):
        case "local":
            if build:
                # Build all of them now: later, each image would request its own tools one after the other.
                upstream_parts.build(report, names=_parts(stack))
            else:
                upstream_parts.require(_parts(stack))
            return session.environment(instance(), report)
        case "kind":
            return kind_stack.tool_environment(
                instance(), project() / settings_file(stack), report, build=build
            )
        case _:
            return {}


def _parts(stack: str) -> tuple[str, ...]:
    """Return the names of upstream's parts that the stack has; all before its settings exist."""
    path = project() / settings_file(stack)
    return installed.names(load_file(path, secret=False)) if path.is_file() else installed.NAMES


def open_stack(
    stack: str, report: Report = silent, *, environment: str | None = None, build: bool = True
) -> Stack:
    """Return the stack with the environment that its tools need; arguments as in `tool_environment`."""
    env = tool_environment(stack, report, environment=environment, build=build)
    return Stack(stack, project(), env)


def ready(stack: str, phases: Phases, *, build: bool = True) -> Stack:
    """Return the stack, initialised and with validated settings; missing tools are built first.

    Raises:
        UsageError: A file has a mistake, or `build` is false and a tool is missing; nothing was started.
    """
    check(stack)
    with phases("Preparing the tools") as report:
        opened = open_stack(stack, report, build=build)
        if environment_of(stack) == "dev":
            upstream_parts.render(report, names=_parts(stack), build=build)
    opened.init()
    settings(stack)
    return opened


def outputs(stack: str) -> PlatformOutputs:
    """Return the stack's outputs; UsageError if it is not up."""
    return open_stack(stack).outputs()
