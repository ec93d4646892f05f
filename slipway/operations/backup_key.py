"""The key that signs a stack's backups, derived from the stack's secret.

If the stack is lost, the secret is read from the snapshot's own settings, where it is encrypted. Only
somebody with the passphrase can make settings that can be decrypted here, so they can be trusted. ADR 0008
describes the limits.
"""

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import yaml
from pydantic import SecretStr

from infra.names import settings_file
from infra.settings.config import load_file
from infra.stack.stack import Stack
from slipway.core.errors import FailedError, UsageError
from slipway.core.report import Report, silent
from slipway.operations import workspace
from storage.backup.index import SETTINGS
from storage.backup.place import BackupPlace
from storage.keys import backup_key

_MADE: Final = re.compile(r"[A-Za-z0-9_-]{43,}")
"""A secret as `slipway init` makes it. Encrypted values in a stack's state are JSON, so they start otherwise;
a store's secret key has 40 characters. Neither can be passed off as the stack's secret."""


def signing_key(stack: str, place: BackupPlace, snapshot: str, report: Report = silent) -> SecretStr:
    """Return the key that a snapshot's index must be signed with.

    Raises:
        UsageError: The stack's settings are missing, and the snapshot's settings can't be trusted.
        FailedError: The secrets can't be decrypted, for example because the passphrase is wrong.
    """
    path = workspace.project() / settings_file(stack)
    if path.is_file():
        opened = workspace.open_stack(stack, report)
        secret = (
            opened.stack_settings.secret()
            if opened.exists()
            else _decrypted(stack, path.read_bytes(), report)
        )
        return backup_key(secret.get_secret_value())
    settings = place.read(place.index(stack, snapshot).file(SETTINGS))
    report("reading the stack's secret from the snapshot's settings")
    secret = _decrypted(stack, settings, report)
    if not _MADE.fullmatch(secret.get_secret_value()):
        raise UsageError(
            f"The settings of snapshot {snapshot} can't be trusted.",
            why="Their secret is not one that `slipway init` made.",
            fix=f"Restore {path.name} from your own copy; "
            "or, if you know that the snapshot is yours, add --unsigned.",
        )
    return backup_key(secret.get_secret_value())


@contextmanager
def bare_stack(name: str, settings: bytes, report: Report = silent) -> Iterator[Stack]:
    """Yield a stack of that name in a temporary folder and backend, which are deleted at the end."""
    with tempfile.TemporaryDirectory(prefix="slipway-stack-") as temporary:
        folder = Path(temporary)
        (folder / "backend").mkdir()
        workspace.lay_out(folder)
        path = folder / settings_file(name)
        path.write_bytes(settings)
        environment = load_file(path).environment
        env = dict(workspace.tool_environment(name, report, environment=environment))
        env["PULUMI_BACKEND_URL"] = f"file://{folder / 'backend'}"
        yield Stack(name, folder, env)


def _decrypted(stack: str, settings: bytes, report: Report) -> SecretStr:
    document = yaml.safe_load(settings)
    provider = document.get("secretsprovider") if isinstance(document, dict) else None
    if provider not in (None, "", "default", "passphrase"):
        # A forged snapshot could name a key that its author shares with everybody.
        raise UsageError(
            f"The snapshot's signature can't be checked: stack {stack} is not here.",
            why="Its settings are encrypted with an external key, and a snapshot may name any key.",
            fix=f"Restore {settings_file(stack)} and run `slipway init {stack}`; "
            "or, if you know that the snapshot is yours, add --unsigned.",
        )
    with bare_stack(stack, settings, report) as bare:
        try:
            bare.register()
            return bare.stack_settings.secret()
        except FailedError as error:
            if "passphrase" not in error.why:
                raise
            raise FailedError(
                "The snapshot's signature can't be checked: its settings can't be read here.",
                why=error.why,
                fix="Restore the passphrase, which is kept apart from the backup; see docs/backup.md.",
            ) from error
