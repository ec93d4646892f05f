"""Values of the template `stacks/dev.yaml` that a person must replace. Pure."""

from collections.abc import Iterator
from typing import Any, Final

from infra.settings.models import DevSettings
from slipway.core.errors import UsageError

_MARKS: Final = ("example.org", "sha256:" + "0" * 64)
"""What no real value contains: the reserved domain, a digest of zeros."""
_CONTEXT: Final = "team-cluster"
"""The template's context."""
_FILLED_IN: Final = ("cluster", "images", "endpoints")


def refuse_placeholders(platform: DevSettings, file: str) -> None:
    """Refuse settings that are still the template's examples, all of them in one message.

    Args:
        platform: the stack's settings.
        file: the name of the stack's file in messages.

    Raises:
        UsageError: some are.
    """
    document = platform.model_dump(mode="json", include=set(_FILLED_IN))
    parts = {name: document[name] for name in _FILLED_IN}
    left = [
        path
        for path, value in _leaves("", parts)
        if value == _CONTEXT or any(mark in value for mark in _MARKS)
    ]
    if left:
        raise UsageError(
            f"{file}: {', '.join(left)}: still an example of the template.",
            why="The template can't know a team's cluster, registry and addresses.",
            fix="Fill them in: `kubectl config get-contexts` lists contexts; `slipway images push REGISTRY` "
            "pushes the images and prints their references.",
        )


def _leaves(path: str, value: Any) -> Iterator[tuple[str, str]]:  # noqa: ANN401  any JSON value
    if isinstance(value, dict):
        for name, each in value.items():
            yield from _leaves(f"{path}.{name}" if path else name, each)
    elif isinstance(value, str):
        yield path, value
