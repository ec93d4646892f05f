"""The restore drill: proves that a backup can be restored, by restoring it into a scratch stack.

For environment `local`, the drill creates a second cluster: another instance, a project folder made of
the snapshot's settings and tenants, a secret of its own. It is deleted in any case; what a killed drill
left is removed by the next one. For other environments the user names an existing scratch stack.
"""

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import yaml
from pydantic import BaseModel, ConfigDict

from embedded import session
from embedded.instance import Instance
from infra.contract import PlatformOutputs
from infra.names import settings_file
from infra.settings.config import PLATFORM_KEY
from infra.stack.stack import Stack
from serving import access
from serving.cluster import Cluster
from serving.endpoint import CHAMPION, ModelEndpoint
from serving.predict import NotAnsweringError, ask, url_of
from slipway.core.errors import SlipwayError, UsageError
from slipway.core.locks import LockHeldError, locked
from slipway.core.report import Report
from slipway.core.waiting import tries
from slipway.operations import local_cluster, workspace
from slipway.operations.backup import Snapshot, Where, find
from slipway.operations.backup_key import bare_stack
from slipway.operations.prediction import read_schema
from slipway.operations.restore import restore_models, restore_state
from storage.backup.index import SETTINGS, STATE
from storage.backup.restore import Restored
from storage.registry.registry import Registry

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SCRATCH: Final = "local-drill"
"""Name of the scratch stack."""

ANSWER_SECONDS: Final = 60.0


class Finding(BaseModel):
    """One check of the drill and its result."""

    model_config = ConfigDict(frozen=True)

    what: str
    ok: bool
    detail: str
    seconds: float


class Drill(BaseModel):
    """The result of a drill."""

    model_config = ConfigDict(frozen=True)

    stack: str
    snapshot: str
    findings: tuple[Finding, ...]
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return all(each.ok for each in self.findings)


def find_and_drill(
    stack: str,
    where: Where,
    snapshot: str | None,
    *,
    into: str | None,
    unsigned: bool = False,
    report: Report,
) -> Drill:
    """Drill a stack's snapshot, the newest by default; raises as `backup.find` and `drill`."""
    return drill(find(stack, where, snapshot, unsigned=unsigned, report=report), into, report)


def drill(snapshot: Snapshot, into: str | None, report: Report) -> Drill:
    """Restore a snapshot into a scratch stack and check the result.

    Args:
        snapshot: The snapshot.
        into: An existing scratch stack; None creates one and deletes it at the end, for `local` only.
        report: Takes lines of progress.

    Raises:
        UsageError: There is no scratch stack to restore into.
        FailedError: The scratch stack can't be created, or a store failed.
    """
    started = time.monotonic()
    settings = yaml.safe_load(snapshot.place.read(snapshot.index.file(SETTINGS)))
    environment = settings["config"][PLATFORM_KEY]["environment"]
    findings = [_state(snapshot, report)]
    if into is not None:
        if into == snapshot.index.stack:
            raise UsageError(f"{into} is the stack of the backup.", fix="Name a scratch stack with --into.")
        findings += rehearse(workspace.outputs(into), snapshot, report)
    elif environment == "local":
        with scratch(snapshot, settings, report) as outputs:
            findings.append(_finding("scratch stack", True, "made from the snapshot's settings", started))
            findings += rehearse(outputs, snapshot, report)
    else:
        raise UsageError(
            f"A drill for a stack of environment {environment!r} needs a scratch stack.",
            why="The drill creates one only for environment `local`.",
            fix="Create one with the same tenants, and name it with --into.",
        )
    return Drill(
        stack=snapshot.index.stack,
        snapshot=snapshot.id,
        findings=tuple(findings),
        seconds=round(time.monotonic() - started, 1),
    )


def rehearse(outputs: PlatformOutputs, snapshot: Snapshot, report: Report) -> list[Finding]:
    """Restore every tenant's models, and query every champion."""
    started = time.monotonic()
    findings = []
    outcomes = restore_models(outputs, snapshot, report=report)
    seconds = round(time.monotonic() - started, 1)
    for each in outcomes:
        what = f"{each.tenant}/{each.model}" + (f"@{each.alias}" if each.alias else "")
        detail = f"{each.digest[:12]} {'verified' if each.verified else each.why}"
        findings.append(Finding(what=what, ok=each.verified, detail=detail, seconds=seconds))
        if each.verified and each.alias == CHAMPION:
            findings.append(_served(outputs, each, report))
    return findings


# --- checks ----------------------------------------------------------------------------------------------


def _state(snapshot: Snapshot, report: Report) -> Finding:
    """Import the state with Pulumi in a temporary folder: this needs the right passphrase."""
    started = time.monotonic()
    report("reading the stack's state")
    settings = snapshot.place.read(snapshot.index.file(SETTINGS))
    with bare_stack(snapshot.index.stack, settings, report) as bare:
        try:
            count = restore_state(snapshot, bare)
        except SlipwayError as error:
            return _finding(STATE, False, str(error), started)
    return _finding(STATE, True, f"{count} resources, imported by Pulumi", started)


def _served(outputs: PlatformOutputs, restored: Restored, report: Report) -> Finding:
    """Create the champion's endpoint from its log entry, and query it for one row."""
    started = time.monotonic()
    what = f"{restored.tenant}/{restored.model} served"
    client = access.open_store(outputs, restored.tenant, "promoter")
    registry = Registry(client, outputs.store.models_bucket, restored.tenant)
    endpoint = ModelEndpoint(Cluster.of(outputs), registry, outputs, restored.tenant, restored.model, report)
    try:
        endpoint.reinstate()
        answer = _answer(outputs, client, registry, restored)
    except SlipwayError as error:
        return _finding(what, False, str(error), started)
    return _finding(what, True, answer, started)


def _answer(outputs: PlatformOutputs, client: "S3Client", registry: Registry, restored: Restored) -> str:
    schema = read_schema(client, registry.show(restored.model, restored.digest))
    row = pa.table(
        {
            each.name: pa.array([0], pa.float32()) if each.kind == "number" else [each.categories[0]]
            for each in schema.features
        }
    )
    url = url_of(outputs, restored.tenant, restored.model)
    for last in tries(ANSWER_SECONDS, interval=0.5):
        try:
            [answer] = ask(url, schema, row).labels
            break
        except NotAnsweringError:
            if last:
                raise
    return f"answered {answer} for a row of zeros"


def _finding(what: str, ok: bool, detail: str, started: float) -> Finding:
    return Finding(what=what, ok=ok, detail=detail, seconds=round(time.monotonic() - started, 1))


# --- the scratch stack -----------------------------------------------------------------------------------


@contextmanager
def scratch(snapshot: Snapshot, settings: dict[str, object], report: Report) -> Iterator[PlatformOutputs]:
    """Create a local platform from a snapshot's settings and tenants; delete it at the end.

    Raises:
        UsageError: Another drill of this checkout is running.
    """
    own = workspace.instance()
    instance = Instance(
        f"drill-{hashlib.sha256(own.name.encode()).hexdigest()[:12]}", own.data_root, own.run_root
    )
    with _exclusive(), tempfile.TemporaryDirectory(prefix="slipway-drill-") as name:
        folder = Path(name)
        _lay_out(folder, snapshot, settings)
        local_cluster.remove(instance, report)
        try:
            env = session.environment(instance, report)
            path = os.pathsep.join(filter(None, (str(workspace.project()), os.environ.get("PYTHONPATH"))))
            stack = Stack(SCRATCH, folder, {**env, "PYTHONPATH": path})
            stack.init("local")
            report("creating the scratch stack")
            stack.up()
            yield stack.outputs()
        finally:
            report("deleting the scratch stack")
            local_cluster.remove(instance, report)


def _lay_out(folder: Path, snapshot: Snapshot, settings: dict[str, object]) -> None:
    """Create a project folder: the checkout's program, the snapshot's settings and tenants."""
    project = workspace.project()
    workspace.lay_out(folder)
    # A copy, not a link: the program looks for tenants beside itself.
    shutil.copy(project / "infra" / "__main__.py", folder / "infra")
    for name in (".venv", "pyproject.toml", "uv.lock"):
        if (project / name).exists():
            (folder / name).symlink_to(project / name)
    config = settings["config"]
    assert isinstance(config, dict)
    platform = {"config": {PLATFORM_KEY: config[PLATFORM_KEY]}}
    (folder / settings_file(SCRATCH)).write_text(yaml.safe_dump(platform, sort_keys=False))
    (folder / "tenants").mkdir()
    for each in snapshot.index.files:
        if each.name.startswith("tenants/"):
            (folder / each.name).write_bytes(snapshot.place.read(each))


@contextmanager
def _exclusive() -> Iterator[None]:
    """Lock the checkout's folder: a second drill would delete the first one's scratch stack."""
    try:
        with locked(workspace.project(), folder=True, wait=False):
            yield
    except LockHeldError:
        raise UsageError(
            "Another restore drill of this checkout is running.", fix="Wait for it to end."
        ) from None
