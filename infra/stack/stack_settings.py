"""A stack's settings file: made from a template, edited line by line, and the secrets in it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import SecretStr

from infra.names import settings_file
from infra.settings import config, yaml_edit
from infra.stack.pulumi_cli import PulumiCli
from slipway.core.errors import UsageError


class StackSettings:
    """The settings file of one stack; secrets are encrypted and decrypted by the Pulumi command line."""

    def __init__(self, project: Path, stack: str, cli: PulumiCli) -> None:
        """Read nothing yet.

        Args:
            project: the folder with Pulumi.yaml.
            stack: its name.
            cli: runs in that folder.
        """
        self.path = project / settings_file(stack)
        self._templates = project / "stacks"
        self._stack = stack
        self._cli = cli

    @property
    def values(self) -> Mapping[str, Any]:
        """The values by their keys, such as `slipway:platform`; secrets stay encrypted."""
        return self._document().get("config") or {} if self.path.is_file() else {}

    def make(self, environment: str) -> None:
        """Write the file from the template of a kind of environment.

        Raises:
            UsageError: there is no such template.
        """
        template = self._templates / f"{environment}.yaml"
        if not template.is_file():
            known = ", ".join(sorted(path.stem for path in self._templates.glob("*.yaml"))) or "none"
            raise UsageError(
                f"There is no kind of environment {environment!r}.",
                why=f"Templates in stacks/ are: {known}.",
                fix=f"Name one: slipway init {self._stack} --environment local",
            )
        self.path.write_text(template.read_text())

    def write(self, values: Mapping[tuple[str, ...], yaml_edit.Scalar]) -> None:
        """Set values in the file; its comments and everything else stay.

        Args:
            values: by their keys, from the outermost.

        Raises:
            UsageError: the file's layout does not allow editing single lines.
        """
        original = text = yaml_edit.read(self.path)
        for path, value in values.items():
            text = yaml_edit.edited(text, path, value, self.path.name)
        yaml_edit.write(self.path, original, text)

    def secret(self, name: str = config.SECRET_KEY) -> SecretStr:
        """Return a secret, by default the one from which every key derives.

        It is only passed through a pipe.
        """
        return SecretStr(self._ask("get", name).rstrip("\n"))

    def store_secret(self, name: str, value: SecretStr | None) -> None:
        """Store a secret, encrypted; None removes it."""
        if value is not None:
            # On standard input: arguments can be read by every user of the machine.
            self._ask("set", "--secret", name, stdin=value.get_secret_value())
        elif name in self.values:
            self._ask("rm", name)

    def discard_secrets(self) -> None:
        """Remove secrets that belong to a state that no longer exists, since nothing can decrypt them."""
        document = self._document()
        document.pop("encryptionsalt", None)
        for key in (config.SECRET_KEY, config.REGISTRY_LOGIN_KEY):
            document.get("config", {}).pop(key, None)
        self.path.write_text(yaml.safe_dump(document, sort_keys=False))

    def _document(self) -> dict[str, Any]:
        document = yaml.safe_load(self.path.read_text())
        return document if isinstance(document, dict) else {}

    def _ask(self, *arguments: str, stdin: str = "") -> str:
        return self._cli.ask("config", *arguments, f"--stack={self._stack}", stdin=stdin)
