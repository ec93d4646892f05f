"""Create, read, update and delete: what is asked of the cluster, and in which order."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from embedded.plugins.kubernetes import live, names, refusals
from embedded.plugins.kubernetes.applying import Order, apply, manifest
from embedded.plugins.kubernetes.client import (
    ApiError,
    Client,
    NoKindError,
    Object,
    Target,
    UnreachableError,
    deadline,
)
from embedded.plugins.kubernetes.normal import folded
from embedded.plugins.kubernetes.readiness import table, waiter
from embedded.plugins.kubernetes.readiness.verdict import Ready
from embedded.plugins.kubernetes.settings import Settings
from embedded.plugins.kubernetes.tokens import Kind
from embedded.plugins.kubernetes.values import Properties, get, has_unknown, marked
from slipway.core.report import Report, silent

FIELD_MANAGER: Final = "__fieldManager"
INITIAL_API_VERSION: Final = "__initialApiVersion"
_PROPAGATION: Final = "pulumi.com/deletionPropagationPolicy"
_PROPAGATIONS: Final = {"foreground": "Foreground", "background": "Background", "orphan": "Orphan"}
PATIENCE: Final = 600.0
"""Without customTimeouts, as the official provider."""


class NotInitialisedError(Exception):
    """The object is in the cluster, but not ready: the engine records it, and why."""

    def __init__(self, identity: str, outputs: Properties, inputs: Properties, reasons: list[str]) -> None:
        self.identity = identity
        self.outputs = outputs
        self.inputs = inputs
        self.reasons = reasons
        super().__init__("; ".join(reasons))


@dataclass(frozen=True)
class Wish:
    """What the engine asks for, apart from the verb."""

    urn: str
    kind: Kind
    inputs: Properties
    identity: str = ""
    until: float = field(default_factory=lambda: deadline(PATIENCE))
    preview: bool = False
    say: Report = silent
    warn: Report = silent
    ignored: tuple[str, ...] = field(default=())

    @property
    def target(self) -> Target:
        """The object that the inputs name, or else the id."""
        metadata = self.inputs.value.get("metadata") or {}
        if metadata.get("name"):
            return Target(self.kind, metadata.get("namespace"), metadata["name"])
        return Target(self.kind, *names.parse_identity(self.identity))


class Lifecycle:
    """Does to one cluster what the engine asks."""

    def __init__(self, client: Callable[[], Client], settings: Settings, cancelled: threading.Event) -> None:
        self._connect = client
        self._settings = settings
        self._cancelled = cancelled

    def create(self, wish: Wish) -> tuple[str, Properties]:
        """Create the object, or take over what an interrupted run of this resource has left.

        Raises:
            FailedError: when the cluster refuses; nothing was created.
            NotInitialisedError: when it was created, but is not ready.
        """
        manager = names.field_manager(wish.urn)
        if wish.preview:
            return "", self._tried(wish, manager, {})
        client = self._connect()
        existing = self._before_creation(client, wish)
        if existing and not self._settings.upsert and not live.is_applied_by(existing, manager):
            raise refusals.already_there(wish.target, live.managers(existing))
        made = self._apply(client, wish, manager, {})
        return self._settled(client, wish, made, manager, {})

    def update(self, wish: Wish, olds: Properties, old_inputs: dict[str, Any]) -> Properties:
        """Change the object.

        Raises:
            FailedError: when the cluster refuses; nothing was changed.
            NotInitialisedError: when it was changed, but is not ready.
        """
        manager = str(olds.value.get(FIELD_MANAGER) or names.field_manager(wish.urn))
        if wish.preview:
            return self._tried(wish, manager, old_inputs, olds)
        client = self._connect()
        try:
            made = self._apply(client, wish, manager, old_inputs)
        except UnreachableError as error:
            if self._settings.skip_update_unreachable:
                wish.warn(f"{error}; the update is skipped, as skipUpdateUnreachable says")
                return olds
            raise
        return self._settled(client, wish, made, manager, olds.value)[1]

    def read(self, wish: Wish, target: Target, olds: Properties) -> tuple[Properties, Properties] | None:
        """Return inputs and outputs as the cluster has them now, or None if the object is gone.

        Raises:
            NotInitialisedError: when it is there, but not ready, and was made by us.
        """
        client = self._connect()
        try:
            found = client.get(target)
        except NoKindError:
            return None
        except UnreachableError:
            if self._settings.delete_unreachable:
                return None
            raise
        if found is None:
            return None
        told = wish.inputs.value
        manager = olds.value.get(FIELD_MANAGER)
        inputs = live.seen(folded(told), found) if told else live.as_inputs(found)
        seen = _protect(wish.kind, inputs, Properties(folded(told), _folded_paths(wish.inputs.secret)))
        outputs = _checkpoint(wish, found, manager, olds.value)
        rule = table.rule_for(wish.kind, told)
        if rule and manager:
            current, verdict = waiter.judge(client, target, rule)
            if not isinstance(verdict, Ready):
                outputs = _checkpoint(wish, current, manager, olds.value)
                raise NotInitialisedError(_identity(current), outputs, seen, [verdict.reason])
        return seen, outputs

    def delete(self, wish: Wish, target: Target, olds: Properties) -> None:
        """Delete the object, and wait until it is gone.

        Raises:
            FailedError: when it is still there after the timeout; the message says what holds it.
        """
        annotations = get(olds.value, ("metadata", "annotations")) or {}
        policy = _PROPAGATIONS.get(str(annotations.get(_PROPAGATION, "")).lower(), "Foreground")
        uid = str(get(olds.value, ("metadata", "uid")) or "")
        try:
            client = self._connect()
            there = client.delete(target, uid=uid, propagation=policy)
        except NoKindError:
            return
        except UnreachableError:
            if self._settings.delete_unreachable:
                return
            raise
        if there and annotations.get(table.SKIP_AWAIT) != "true":
            self._gone(client, target, uid, wish)

    def _before_creation(self, client: Client, wish: Wish) -> Object | None:
        """Return what is already there; something on its way out is waited for."""
        existing = client.get(wish.target)
        if existing and existing["metadata"].get("deletionTimestamp"):
            wish.say(f"waiting: the old {wish.target.name} is being deleted")
            self._gone(client, wish.target, existing["metadata"]["uid"], wish)
            return None
        return existing

    def _apply(
        self, client: Client, wish: Wish, manager: str, known: dict[str, Any], *, dry_run: bool = False
    ) -> Object:
        body = manifest(wish.inputs.value)
        order = Order(wish.target, body, manager, known, wish.ignored, self._settings.force, dry_run)
        return apply(client, order)

    def _tried(
        self, wish: Wish, manager: str, known: dict[str, Any], olds: Properties | None = None
    ) -> Properties:
        """Return the outputs that a preview may show; the cluster says what it would refuse.

        What an earlier step of the same run will bring (a namespace, a kind) is not there yet, and a
        cluster that doesn't answer must not stop a preview: both leave the inputs as they are.
        """
        shown = marked(wish.inputs.value, wish.inputs, _always_secret(wish.kind))
        if has_unknown(wish.inputs.value):
            return shown
        try:
            client = self._connect()
            made = self._apply(client, wish, manager, known, dry_run=True)
        except NoKindError:
            return shown
        except UnreachableError as error:
            wish.warn(f"{error}; the preview goes on without asking it")
            return shown
        except ApiError as error:
            # A replacement finds its predecessor, whose fields can't change.
            if error.code in {400, 422} and (olds or not client.get(wish.target)):
                raise
            return shown
        if not olds:
            return shown
        return _checkpoint(wish, made, manager, olds.value)

    def _settled(
        self, client: Client, wish: Wish, made: Object, manager: str, olds: dict[str, Any]
    ) -> tuple[str, Properties]:
        """Wait until the object is ready."""
        rule = table.rule_for(wish.kind, wish.inputs.value)
        reasons: list[str] = []
        if rule:
            try:
                made = waiter.wait(
                    client, wish.target, rule, until=wish.until, cancelled=self._cancelled, say=wish.say
                )
            except waiter.NotReadyError as error:
                made, reasons = error.live, error.reasons
            except waiter.GoneError:
                reasons = ["it was deleted while it was waited for"]
            except (ApiError, UnreachableError) as error:
                # It is in the cluster already, so the state has to know it.
                reasons = [str(error)]
        outputs = _checkpoint(wish, made, manager, olds)
        if reasons:
            described = f"{refusals.described(wish.target)} is not ready"
            told = [f"{described}: {reasons[0]}", *reasons[1:]]
            raise NotInitialisedError(_identity(made), outputs, wish.inputs, told)
        return _identity(made), outputs

    def _gone(self, client: Client, target: Target, uid: str, wish: Wish) -> None:
        said = ""
        while True:
            left = client.get(target)
            if left is None or (uid and left["metadata"]["uid"] != uid):
                return
            held = refusals.holding(left)
            if self._cancelled.is_set() or time.monotonic() >= wish.until:
                raise refusals.not_deleted(target, held, cancelled=self._cancelled.is_set())
            if held != said:
                said = held
                wish.say(f"waiting: {held}")
            client.await_change(target, left["metadata"]["resourceVersion"], wish.until - time.monotonic())


def _checkpoint(wish: Wish, found: Object, manager: str | None, olds: dict[str, Any]) -> Properties:
    outputs = live.without_ownership(found)
    if manager:
        outputs[FIELD_MANAGER] = manager
    outputs[INITIAL_API_VERSION] = olds.get(INITIAL_API_VERSION) or wish.kind.api_version
    return _protect(wish.kind, outputs, wish.inputs)


def _protect(kind: Kind, value: dict[str, Any], known: Properties) -> Properties:
    return marked(value, known, _always_secret(kind))


def _always_secret(kind: Kind) -> frozenset[tuple[str | int, ...]]:
    is_secret = kind.group == "" and kind.name == "Secret"
    return frozenset({("data",), ("stringData",)}) if is_secret else frozenset()


def _folded_paths(paths: frozenset[tuple[str | int, ...]]) -> frozenset[tuple[str | int, ...]]:
    return frozenset(("data", *path[1:]) if path[0] == "stringData" else path for path in paths)


def _identity(found: Object) -> str:
    metadata = found["metadata"]
    return names.identity(metadata.get("namespace"), metadata["name"])
