"""Values of the template `stacks/dev.yaml` that a person must replace. Pure."""

from collections.abc import Iterator
from typing import Any, Final

from infra.settings.models import RegistrySettings
from slipway.core.errors import UsageError

_MARKS: Final = ("example.org", "sha256:" + "0" * 64)
"""What no real value contains: the reserved domain, a digest of zeros."""
_CONTEXT: Final = "team-cluster"
"""The template's context."""
_FILLED_IN: Final = ("cluster", "images", "endpoints")
"""Parts of the settings that the template can't know, in the order of messages."""


def refuse_placeholders(platform: RegistrySettings, file: str) -> None:
    """Refuse settings that are still the template's examples, all of them in one message.

    Args:
        platform: the stack's settings.
        file: the name of the stack's file in messages.

    Raises:
        UsageError: some are.
    """
    if left := placeholders(platform):
        raise UsageError(
            f"{file}: {', '.join(left)}: still an example of the template.",
            why="The template can't know a team's cluster, registry and addresses.",
            fix="Push the images with `slipway images push REGISTRY`; then `slipway init STACK --context "
            "CONTEXT --registry REGISTRY` fills in everything. `kubectl config get-contexts` lists contexts.",
        )


def placeholders(platform: RegistrySettings) -> list[str]:
    """Return the settings that are still the template's examples, by their dotted paths."""
    document = platform.model_dump(mode="json")
    parts = {name: document[name] for name in _FILLED_IN if name in document}
    return [
        path
        for path, value in _leaves("", parts)
        if value == _CONTEXT or any(mark in value for mark in _MARKS)
    ]


def _leaves(path: str, value: Any) -> Iterator[tuple[str, str]]:  # noqa: ANN401  any JSON value
    if isinstance(value, dict):
        for name, each in value.items():
            yield from _leaves(f"{path}.{name}" if path else name, each)
    elif isinstance(value, str):
        yield path, value
