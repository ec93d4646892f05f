"""Parse lightweight Python components, the only steps that can run as a process of this server.

The compiler turns `@dsl.component` into a shell script that installs packages, writes the function's source
to a file and starts the SDK's executor. This module extracts the source and the function's name, and compares
the packages with those that are installed: nothing is installed while a pipeline runs.
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
    """The component needs its own container, or packages that are not installed."""


def step(container: Mapping[str, Any]) -> ir.Step:
    """Parse a container spec of the IR; raise NotLightweightError with the reason."""
    unsupported = sorted(set(container) - set(_SUPPORTED))
    if unsupported:
        raise NotLightweightError(f"{unsupported[0]} is not supported")
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
            f"a container component (image {image!r}) is not supported: only Python "
            "functions (@dsl.component without target_image) run as processes of the server's pod"
        )
    if len(args) != 4 or args[:3] != ["--executor_input", "{{$}}", "--function_to_execute"]:
        raise NotLightweightError(f"arguments {args} are not supported")
    env = {one["name"]: one.get("value", "") for one in container.get("env", ())}
    return ir.Step(function=args[3], source=command[3], env=env, image=image)


def _check_packages(script: str) -> None:
    missing = []
    for requirement in _requirements(script):
        problem = _mismatch(requirement)
        if problem:
            missing.append(problem)
    if missing:
        raise NotLightweightError(
            f"packages_to_install: {'; '.join(missing)}. Steps run in the server's image and nothing is "
            "installed while a pipeline runs: add the package to the image, or remove the version pin"
        )


def _requirements(script: str) -> Iterator[str]:
    for install in _INSTALL.findall(script):
        words = iter(shlex.split(install))
        for word in words:
            if word in _OPTIONS_WITH_VALUE:
                next(words, None)
            elif not word.startswith("-"):
                yield word


def _mismatch(text: str) -> str:
    """Why the image does not satisfy a requirement; empty if it does.

    The version of kfp is not compared: steps always use the executor of the image.
    """
    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        return f"{text!r} is not a valid requirement"
    if requirement.marker is not None and not requirement.marker.evaluate():
        return ""
    if requirement.url is not None:
        return f"{requirement.name} is a URL requirement, which is not supported"
    try:
        version = importlib.metadata.version(requirement.name)
    except importlib.metadata.PackageNotFoundError:
        return f"{requirement.name} is not in the image"
    if requirement.name != "kfp" and not requirement.specifier.contains(version, prereleases=True):
        return f"{requirement} is required, the image has {version}"
    return ""
