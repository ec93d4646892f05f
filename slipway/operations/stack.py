"""A whole stack: create, deploy, preview, destroy, and read its outputs."""

from embedded import session
from infra.names import settings_file
from infra.stack.stack import Summary
from slipway.core.errors import UsageError
from slipway.core.report import Phases
from slipway.operations import workspace


def init(stack: str, environment: str | None, phases: Phases) -> str:
    """Create a stack: its settings file from the template of `environment`, and its secret.

    Returns:
        Name of the settings file.

    Raises:
        UsageError: There is no such kind of environment, or the stack has another.
    """
    if environment is not None:
        workspace.template(environment)
    file = settings_file(stack)
    exists = (workspace.project() / file).is_file()
    with phases("Preparing the tools") as report:
        # An existing settings file already names the kind of environment.
        opened = workspace.open_stack(stack, report, environment=None if exists else environment)
    opened.init(environment)
    return file


def up(stack: str, phases: Phases, *, refresh: bool = False) -> Summary:
    """Deploy the platform as the settings describe it; with `refresh`, read every object first."""
    return workspace.ready(stack, phases).up(refresh=refresh)


def preview(stack: str, phases: Phases, *, refresh: bool = False) -> Summary:
    """Return what `up` would change; nothing is changed, and nothing is built.

    Raises:
        UsageError: A tool has to be built first.
    """
    return workspace.ready(stack, phases, build=False).preview(refresh=refresh)


def destroy(stack: str) -> Summary:
    """Delete everything that `up` created, including data."""
    return workspace.open_stack(stack).destroy()


def output(stack: str, name: str) -> object:
    """Return one output by its dotted path; all of them if it is empty.

    Raises:
        UsageError: The stack is not up, or has no such output.
    """
    value: object = workspace.outputs(stack).model_dump(mode="json")
    for part in name.split(".") if name else ():
        if not isinstance(value, dict) or part not in value:
            known = ", ".join(sorted(value)) if isinstance(value, dict) else "nothing"
            raise UsageError(f"There is no output {name!r}.", why=f"Before {part!r} there is: {known}.")
        value = value[part]
    return value


def shell_exports(stack: str, phases: Phases) -> str:
    """Return shell exports with which `pulumi`, `kubectl` and `slipway` work on the stack."""
    return session.shell_exports(workspace.ready(stack, phases).env)


__all__ = ["Summary", "destroy", "init", "output", "preview", "shell_exports", "up"]
