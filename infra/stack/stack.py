"""One stack of the project: the real pulumi command line, driven.

`slipway up STACK` and `pulumi up -s STACK` do the same. This module also validates the settings first,
removes what a killed run has left, and reports in one message what failed.
"""

import json
import os
import secrets
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import SecretStr, ValidationError

from infra.contract import PlatformOutputs
from infra.names import settings_file
from infra.settings import config
from infra.stack.check import open_live, refuse_settings
from infra.stack.declared import outputs_of
from infra.stack.earlier_definitions import with_retained_definitions
from infra.stack.events import EventLog, Summary, Timing
from infra.stack.live_cluster import LiveCluster
from infra.stack.pulumi_cli import PulumiCli, error_in
from infra.stack.stack_settings import StackSettings
from infra.stack.state import FileBackend, adoptable, pending, without_pending
from infra.upstream.install.shared_names import TAKE_OVER
from slipway.core.errors import FailedError, UsageError
from storage.keys import stack_identity

__all__ = ["Stack", "Summary", "Timing"]

SECRET_BYTES: Final = 32
_UPSERT: Final = {"PULUMI_K8S_UPSERT_EXISTING_OBJECTS": "true"}
"""Makes the Kubernetes provider take over an existing object, which it refuses by default."""
_FORCE: Final = {"PULUMI_K8S_ENABLE_PATCH_FORCE": "true"}
"""Makes it set fields that another field manager owns, which it refuses by default, naming that manager.

Manual changes belong to another field manager, and so do the objects of a killed run: each object is applied
under a field manager whose name is generated at its creation.
"""

Validate = Callable[[Path, str], None]
"""Takes the project's folder and the stack's name; raises UsageError."""


def validate_settings(project: Path, stack: str) -> None:
    """Refuse invalid settings or tenants, naming file and field."""
    config.load_file(project / settings_file(stack))
    config.load_tenants(project / "tenants")


class Stack:
    """One stack; every method runs the real command line in a child process."""

    def __init__(
        self, name: str, project: Path, env: Mapping[str, str], *, validate: Validate = validate_settings
    ) -> None:
        """Keep the stack's name and environment; nothing is run.

        Args:
            name: of the stack.
            project: the folder with Pulumi.yaml.
            env: overrides this process's environment, as `embedded.session.environment` returns it.
            validate: checks the settings before anything is started.
        """
        self.name = name
        self.project = project
        self.env = env
        self._validate = validate
        self._cli = PulumiCli(project, env)
        self.stack_settings = StackSettings(project, name, self._cli)
        document = yaml.safe_load((project / "Pulumi.yaml").read_text())
        url = env.get("PULUMI_BACKEND_URL") or os.environ.get("PULUMI_BACKEND_URL", "")
        self._backend = FileBackend.of(url, document["name"], name)

    @property
    def settings(self) -> Path:
        """The path of the stack's settings file."""
        return self.stack_settings.path

    def exists(self) -> bool:
        """Return whether the backend has the stack."""
        if self._backend is not None:
            return self._backend.exists()
        known = json.loads(self._cli.ask("stack", "ls", "--json"))
        return any(each["name"].rpartition("/")[2] == self.name for each in known)

    def init(self, environment: str | None = None) -> None:
        """Create the stack, its settings file and its secret, as far as they are missing.

        Args:
            environment: which template of stacks/ to start from; by default the stack's own name.

        Raises:
            UsageError: the secret is missing, and resources exist with keys that derive from it.
        """
        self._require_secret_of_what_is_up()
        if not self.settings.is_file():
            self.stack_settings.make(environment or self.name)
        if not self.exists():
            self._make()
        if config.SECRET_KEY not in self.stack_settings.values:
            made = SecretStr(secrets.token_urlsafe(SECRET_BYTES))
            self.stack_settings.store_secret(config.SECRET_KEY, made)

    def _require_secret_of_what_is_up(self) -> None:
        """A new secret for a running platform would silently change every key in it."""
        if config.SECRET_KEY in self.stack_settings.values or not (resources := self.resources()):
            return
        raise UsageError(
            f"{self.settings.name} does not hold the secret of the {len(resources)} resources that stack "
            f"{self.name} has.",
            why="Every key of the platform derives from it; with a new one nothing that runs could log in.",
            fix=f"Restore the file as it was, or delete the platform with `slipway destroy {self.name}`.",
        )

    def up(self, *, refresh: bool = False) -> Summary:
        """Create and change resources until they are what the program declares.

        Args:
            refresh: read every resource first, and not only those that the program changes; where another
                writer changed what the program declares, it is restored.

        Raises:
            UsageError: the settings are wrong, would make replaced keys valid again, or require of a
                volume what it can't become.
        """
        self._refuse_settings(look=refresh)
        look = ["--refresh"] if refresh else []
        return self._operate("up", "--yes", "--skip-preview", *look, force=refresh)

    def preview(self, *, refresh: bool = False) -> Summary:
        """Return what `up` with the same arguments would change; raises UsageError where `up` does."""
        self._refuse_settings(look=refresh)
        return self._operate("preview", *(["--refresh"] if refresh else []), force=refresh)

    def destroy(self) -> Summary:
        """Delete everything that the stack created; its settings and history stay.

        Raises:
            UsageError: a resource is protected; nothing was deleted.
        """
        if not self.exists():
            return Summary(changes={}, seconds=0.0)
        self._refuse_protected()
        return self._operate("destroy", "--yes", "--skip-preview", validate=False)

    def outputs(self) -> PlatformOutputs:
        """Return the stack's outputs, which describe the platform.

        Raises:
            UsageError: there are none yet, or another version of Slipway wrote them.
        """
        document = outputs_of(self.export())
        if not document:
            raise UsageError(f"Stack {self.name} has no outputs.", fix=f"Run: slipway up {self.name}")
        # Pulumi omits outputs that are null.
        every: dict[str, Any] = dict.fromkeys(PlatformOutputs.model_fields)
        try:
            return PlatformOutputs.model_validate({**every, **document})
        except ValidationError as error:
            fault = error.errors()[0]
            raise UsageError(
                f"The outputs of stack {self.name} are not those of this Slipway.",
                why=f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}.",
                fix=f"Run: slipway up {self.name}",
            ) from None

    def resources(self) -> tuple[str, ...]:
        """Return the URNs of all resources of the stack."""
        return tuple(each["urn"] for each in self.export()["deployment"].get("resources") or ())

    def export(self) -> dict[str, Any]:
        """Return the state as Pulumi exports it, with encrypted secrets; an empty one where there is none."""
        if self._backend is not None:
            return self._backend.export()
        if not self.exists():
            return {"version": 3, "deployment": {}}
        exported: dict[str, Any] = json.loads(self._ask_stack("export"))
        return exported

    def adopt(self, exported: Mapping[str, Any]) -> None:
        """Take over a state that `export` returned, together with the settings that it belongs to.

        Raises:
            UsageError: the stack has resources, or the state is another stack's.
            FailedError: Pulumi refused, for example because the secrets' passphrase or key differs.
        """
        if resources := self.resources():
            first = resources[0].rpartition("::")[2]
            raise UsageError(
                f"Stack {self.name} has {len(resources)} resources, beginning with {first}.",
                why="Another state would not contain them, and they would keep running unmanaged.",
                fix=f"Delete them first: slipway destroy {self.name}",
            )
        urns = [each["urn"] for each in exported["deployment"].get("resources") or ()]
        if foreign := [urn for urn in urns if not urn.startswith(f"urn:pulumi:{self.name}::")]:
            raise UsageError(f"The state is not one of stack {self.name}.", why=f"It holds {foreign[0]}.")
        self.register()
        self._ask_stack("import", stdin=json.dumps(exported))

    def register(self) -> None:
        """Create the stack in its backend, with its settings as they are.

        Raises:
            FailedError: Pulumi refused, for example because the settings' passphrase or key differs.
        """
        if not self.exists():
            # Not `_make`, which would discard secrets that it can't read.
            self._cli.ask("stack", "init", self.name, "--no-select")

    def _refuse_protected(self) -> None:
        """Refuse at once: Pulumi refuses only after it has deleted everything that uses the volumes."""
        resources = self.export()["deployment"].get("resources") or ()
        kept = [each["urn"].rpartition("::")[2] for each in resources if each.get("protect")]
        if kept:
            raise UsageError(
                f"Stack {self.name} protects {', '.join(kept)}; nothing was deleted.",
                why="They contain what can't be recreated: models, data, results of runs.",
                fix=f"To delete everything, set store.protect_volumes (protect_buckets on AWS) to false in "
                f"{self.settings.name}, run `slipway up {self.name}`, then `slipway destroy {self.name}`.",
            )

    def live(self) -> LiveCluster:
        """Open the stack's cluster to read its current state; UsageError if the kubeconfig does not exist."""
        return open_live(config.load_file(self.settings, secret=False), self.env)

    def _refuse_settings(self, *, look: bool) -> None:
        """Refuse settings that conflict with what the stack has created; `look` reads the cluster too."""
        if (self.project / "tenants").is_dir() and self.exists():
            refuse_settings(self.settings, self.export(), self.live, self._identity, look=look)

    def _identity(self) -> str:
        return stack_identity(self.stack_settings.secret().get_secret_value())

    def _operate(
        self, operation: str, *arguments: str, validate: bool = True, force: bool = False
    ) -> Summary:
        if validate:
            self._validate(self.project, self.name)
        env = self._prepare_state(taking_over=operation == "up")
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="slipway-") as folder:
            events = EventLog(Path(folder) / "events.json")
            code, tail = self._cli.follow(
                operation,
                f"--stack={self.name}",
                "--suppress-progress",
                "--suppress-outputs",
                f"--event-log={events.path}",
                *arguments,
                meanwhile=events.poll,
                env=env | (_FORCE if force else {}),
            )
        if code:
            raise FailedError(
                f"`pulumi {operation}` of stack {self.name} failed.",
                why=f"It was killed by signal {-code}."
                if code < 0
                else events.first_error() or error_in(tail),
                fix="Fix the cause and run the same command again: it continues from there.",
            )
        return events.summary(time.monotonic() - began)

    def _prepare_state(self, *, taking_over: bool) -> dict[str, str]:
        """Remove what a killed run has left behind; refuse if a running process holds the lock.

        Args:
            taking_over: also keep the definitions of an earlier Slipway, which the run takes over.

        Returns:
            The environment of the run, which takes over objects that are not in the state.
        """
        if self._backend is not None:
            self._backend.clear_stale_locks()
        elif not taking_over:
            return {}
        env: dict[str, str] = {}
        prepared = exported = self.export()
        cut_off = pending(exported)
        if self._backend is not None and cut_off and adoptable(cut_off):
            prepared = without_pending(prepared)
            env |= _UPSERT | _FORCE
        if taking_over and (retained := with_retained_definitions(prepared)):
            prepared = retained
            env[TAKE_OVER] = "true"
        if prepared is not exported:
            self._ask_stack("import", stdin=json.dumps(prepared))
        return env

    def _make(self) -> None:
        try:
            self._cli.ask("stack", "init", self.name, "--no-select")
        except FailedError as error:
            if "incorrect passphrase" not in error.why:
                raise
            self.stack_settings.discard_secrets()
            self._cli.ask("stack", "init", self.name, "--no-select")

    def _ask_stack(self, *arguments: str, stdin: str = "") -> str:
        return self._cli.ask("stack", *arguments, f"--stack={self.name}", stdin=stdin)
