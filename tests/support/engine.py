"""A Pulumi engine that records: what a program registers, without a provider or a cluster."""

import asyncio
import atexit
import json
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import pulumi
from pulumi.runtime import mocks, rpc


class Engine(mocks.Mocks):
    """Records every resource, echoes its inputs, and refuses a lookup that no test prepared."""

    def __init__(self) -> None:
        self.made: list[mocks.MockResourceArgs] = []
        self.exports: dict[str, Any] = {}

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        self.made.append(args)
        return f"{args.name}-id", dict(args.inputs)

    def call(self, args: mocks.MockCallArgs) -> dict[str, Any]:
        raise AssertionError(f"unexpected lookup {args.token}: answer it in the test")

    def register_resource_outputs(self, urn: str, outputs: dict[str, Any]) -> None:
        """Keep what components and the stack say of themselves; ignored where the SDK doesn't call it."""

    def deploy(
        self, program: Callable[[], object], *, stack: str = "test", preview: bool = False
    ) -> "Engine":
        """Run the program and wait until everything that it registers is recorded."""
        asyncio.set_event_loop(_event_loop())
        mocks.set_mocks(self, project="slipway", stack=stack, preview=preview)

        def run() -> None:
            program()

        pulumi.runtime.test(run)()
        return self

    def of(self, kind: str) -> list[mocks.MockResourceArgs]:
        """Return what was registered of a kind, such as `Secret` or `kubernetes:core/v1:Secret`."""
        return [made for made in self.made if made.typ == kind or made.typ.rpartition(":")[2] == kind]

    def one(self, name: str) -> mocks.MockResourceArgs:
        """Return the resource with this logical name."""
        [found] = [made for made in self.made if made.name == name]
        return found

    def objects(self) -> Iterator[mocks.MockResourceArgs]:
        """Walk everything that would be an object of the cluster."""
        return (made for made in self.made if made.typ.startswith("kubernetes:"))


@cache
def _event_loop() -> asyncio.AbstractEventLoop:
    """The one loop of the process: an output belongs to the loop that it was made in."""
    loop = asyncio.new_event_loop()
    atexit.register(loop.close)
    return loop


def reveal(value: Any) -> Any:
    """Return a recorded value with the wrappers of secrets taken off."""
    if isinstance(value, dict):
        if rpc._special_sig_key in value and "value" in value:
            return reveal(value["value"])
        return {key: reveal(item) for key, item in value.items()}
    if isinstance(value, list):
        return [reveal(item) for item in value]
    return value


def secrets_masked(value: Any) -> str:
    """Return a recorded value as text in which everything marked as secret is hidden."""

    def mask(item: Any) -> Any:
        if isinstance(item, dict):
            if rpc._special_sig_key in item:
                return "[secret]"
            return {key: mask(inner) for key, inner in item.items()}
        if isinstance(item, list):
            return [mask(inner) for inner in item]
        return item

    return json.dumps(mask(value))
