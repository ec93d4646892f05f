"""Recognises the one kind of step that can run as a process here: a lightweight Python component.

The compiler turns `@dsl.component` into a shell script that installs packages, writes the function's source
to a file and starts the SDK's executor. The source and the function's name are taken out of it, and the
packages are compared with what is installed: nothing is ever installed while a pipeline runs.
"""

import importlib.metadata
import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any, Final

from packaging.requirements import InvalidRequirement, Requirement

from embedded.kfp import ir

_EXECUTOR: Final = "python3 -m kfp.dsl.executor_main"
_INSTALL: Final = re.compile(r"python3 -m pip install ([^\n]*?)(?= && |\n|$)")
_OPTIONS_WITH_VALUE: Final = ("--index-url", "--extra-index-url", "--trusted-host")
_SUPPORTED: Final = ("image", "command", "args", "env", "resources")


class NotLightweightError(ValueError):
    """The component needs a container of its own, or packages that are not installed."""


def step(container: Mapping[str, Any]) -> ir.Step:
    """Read a container spec of the IR; raise NotLightweightError with the reason."""
    other = sorted(set(container) - set(_SUPPORTED))
    if other:
        raise NotLightweightError(f"{other[0]} is not supported")
    resources = container.get("resources", {})
    if "accelerator" in resources:
        raise NotLightweightError("accelerators are not supported")
    image = container.get("image", "")
    command, args = list(container.get("command", ())), list(container.get("args", ()))
    if command[:2] == ["sh", "-c"] and len(command) == 7:
        _check_packages(command[2])
        command = command[3:]
    if len(command) != 4 or command[:2] != ["sh", "-ec"] or _EXECUTOR not in command[2]:
        raise NotLightweightError(
            f"a component that runs its own program (image {image!r}) is not supported: only Python "
            "functions (@dsl.component without target_image) run as processes of the server's pod"
        )
    if len(args) != 4 or args[:3] != ["--executor_input", "{{$}}", "--function_to_execute"]:
        raise NotLightweightError(f"arguments {args} are not supported")
    env = {one["name"]: one.get("value", "") for one in container.get("env", ())}
    return ir.Step(function=args[3], source=command[3], env=env, image=image)


def _check_packages(script: str) -> None:
    missing = []
    for requirement in _requirements(script):
        problem = _unmet(requirement)
        if problem:
            missing.append(problem)
    if missing:
        raise NotLightweightError(
            f"packages_to_install: {'; '.join(missing)}. Steps run in the server's image and nothing is "
            "installed while a pipeline runs: add the package to the image, or drop the pin"
        )


def _requirements(script: str) -> Iterator[str]:
    for install in _INSTALL.findall(script):
        words = iter(shlex.split(install))
        for word in words:
            if word in _OPTIONS_WITH_VALUE:
                next(words, None)
            elif not word.startswith("-"):
                yield word


def _unmet(text: str) -> str:
    """Say what is wrong with a requirement; empty if the image has it.

    The SDK's own pin of kfp is not compared: the executor of the image is the one that runs.
    """
    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        return f"{text!r} is no package name with a version"
    if requirement.marker is not None and not requirement.marker.evaluate():
        return ""
    if requirement.url is not None:
        return f"{requirement.name} from a URL can't be checked"
    try:
        version = importlib.metadata.version(requirement.name)
    except importlib.metadata.PackageNotFoundError:
        return f"{requirement.name} is not in the image"
    if requirement.name != "kfp" and not requirement.specifier.contains(version, prereleases=True):
        return f"{requirement} is wanted, the image has {version}"
    return ""
