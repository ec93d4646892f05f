"""A whole stack: create, deploy, preview, destroy, and read its outputs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pydantic import SecretStr

from embedded import session
from infra.names import settings_file
from infra.settings.config import PLATFORM_KEY, REGISTRY_LOGIN_KEY, load_file
from infra.settings.models import RegistrySettings
from infra.stack.placeholders import placeholders
from infra.stack.stack import Summary
from slipway.core.errors import UsageError
from slipway.core.report import Phases
from slipway.operations import cluster_settings, workspace
from slipway.operations.cluster_settings import Answers, Values

_SETTINGS: Final = ("config", PLATFORM_KEY)


@dataclass(frozen=True, kw_only=True)
class Initialised:
    """A stack that has its settings file and its secret."""

    file: str
    """Name of the settings file."""

    found: Mapping[str, str | int]
    """Settings that were written, by their dotted paths."""

    left: Sequence[str]
    """Settings that are still examples of the template."""


def init(stack: str, environment: str | None, answers: Answers, phases: Phases) -> Initialised:
    """Create a stack: its settings file from the template of `environment`, and its secret.

    What follows from the answers is written into the settings, also where the file exists.

    Raises:
        UsageError: There is no such kind of environment, the stack has another, or an answer is wrong;
        nothing was written.
        FailedError: The cluster or the registry does not answer; nothing was written.
    """
    if environment is not None:
        workspace.template(environment)
    file = settings_file(stack)
    exists = (workspace.project() / file).is_file()
    # An existing settings file already names the kind of environment.
    chosen = workspace.environment_of(stack) if exists or environment is None else environment
    values, login = _found(chosen, answers, phases)
    if chosen in ("dev", "kind") and not exists:
        values = {**cluster_settings.free_ports(), **values}
    with phases("Preparing the tools") as report:
        opened = workspace.open_stack(stack, report, environment=chosen)
    opened.init(environment)
    opened.stack_settings.write({(*_SETTINGS, *path): value for path, value in values.items()})
    if answers.registry is not None:
        opened.stack_settings.store_secret(REGISTRY_LOGIN_KEY, login)
    platform = load_file(opened.settings)
    return Initialised(
        file=file,
        found={".".join(path): value for path, value in values.items()},
        left=placeholders(platform) if isinstance(platform, RegistrySettings) else (),
    )


def _found(environment: str, answers: Answers, phases: Phases) -> tuple[Values, SecretStr | None]:
    if not answers.given:
        return {}, None
    if environment == "local":
        raise UsageError(
            "A stack of environment `local` has no cluster or registry to name.",
            why="It makes its own cluster, and imports its images there.",
            fix="Leave the options out, or name another stack, such as dev.",
        )
    if environment != "dev" and answers.names_cluster:
        raise UsageError(
            f"A stack of environment `{environment}` makes its own cluster.",
            why="--context, --kubeconfig and --storage-class are for a cluster that exists.",
            fix="Leave them out, or name another stack, such as dev.",
        )
    with phases("Asking the cluster and the registry"):
        return cluster_settings.find(answers)


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


__all__ = ["Answers", "Initialised", "Summary", "destroy", "init", "output", "preview", "shell_exports", "up"]
