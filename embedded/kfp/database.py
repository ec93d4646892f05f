"""The server's state in one sqlite file, which survives a restart.

Rows are plain dictionaries; `bodies` builds the API's responses from them. There is one connection behind a
lock: statements take microseconds, and sqlite allows one writer anyway.
"""

import json
import sqlite3
import threading
import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

Row = dict[str, Any]

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS experiments (
    id TEXT PRIMARY KEY, display_name TEXT NOT NULL, namespace TEXT NOT NULL, description TEXT NOT NULL,
    created_at TEXT NOT NULL, storage_state TEXT NOT NULL, last_run_created_at TEXT,
    UNIQUE (namespace, display_name));
CREATE TABLE IF NOT EXISTS pipelines (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, display_name TEXT NOT NULL, namespace TEXT NOT NULL,
    description TEXT NOT NULL, created_at TEXT NOT NULL, UNIQUE (namespace, name));
CREATE TABLE IF NOT EXISTS versions (
    id TEXT PRIMARY KEY, pipeline_id TEXT NOT NULL REFERENCES pipelines (id) ON DELETE CASCADE,
    name TEXT NOT NULL, display_name TEXT NOT NULL, description TEXT NOT NULL, created_at TEXT NOT NULL,
    code_source_url TEXT NOT NULL, spec TEXT NOT NULL, UNIQUE (pipeline_id, name));
CREATE TABLE IF NOT EXISTS runs (
    id TEXT PRIMARY KEY, experiment_id TEXT NOT NULL, display_name TEXT NOT NULL, namespace TEXT NOT NULL,
    description TEXT NOT NULL, pipeline_id TEXT, version_id TEXT, spec TEXT NOT NULL,
    parameters TEXT NOT NULL, pipeline_root TEXT NOT NULL, service_account TEXT NOT NULL,
    storage_state TEXT NOT NULL, created_at TEXT NOT NULL, finished_at TEXT, state TEXT NOT NULL,
    error TEXT, outputs TEXT, history TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS runs_by_experiment ON runs (experiment_id, created_at);
CREATE TABLE IF NOT EXISTS tasks (
    id TEXT PRIMARY KEY, run_id TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE, parent_id TEXT,
    name TEXT NOT NULL, path TEXT NOT NULL, kind TEXT NOT NULL, state TEXT NOT NULL, created_at TEXT NOT NULL,
    started_at TEXT, ended_at TEXT, attempts INTEGER NOT NULL, cached INTEGER NOT NULL, error TEXT,
    inputs TEXT, outputs TEXT);
CREATE UNIQUE INDEX IF NOT EXISTS tasks_by_run ON tasks (run_id, path);
CREATE TABLE IF NOT EXISTS cache (
    key TEXT PRIMARY KEY, outputs TEXT NOT NULL, run_id TEXT NOT NULL, path TEXT NOT NULL,
    created_at TEXT NOT NULL);
"""

TABLES: Final = ("experiments", "pipelines", "versions", "runs", "tasks", "cache")
ACTIVE: Final = ("PENDING", "RUNNING", "CANCELING")
"""States of a run or task that can still change."""


class DuplicateError(Exception):
    """A row with that name exists already."""


class Database:
    """One sqlite file. Safe to use from several threads."""

    def __init__(self, path: Path) -> None:
        """Open or create the file; raise sqlite3.Error if it is not a database of this server."""
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "busy_timeout=5000"):
            self._connection.execute(f"PRAGMA {pragma}")
        self._connection.executescript(_SCHEMA)
        path.chmod(0o600)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def insert(self, table: str, row: Mapping[str, Any]) -> None:
        """Add a row; raise DuplicateError if its name is taken."""
        columns = ", ".join(row)
        marks = ", ".join(f":{name}" for name in row)
        try:
            self._execute(f"INSERT INTO {_known(table)} ({columns}) VALUES ({marks})", row)  # noqa: S608
        except sqlite3.IntegrityError as error:
            if "UNIQUE" in str(error):
                raise DuplicateError from error
            raise

    def update(self, table: str, identifier: str, **changes: Any) -> None:  # noqa: ANN401 - column values
        """Change columns of one row."""
        assignments = ", ".join(f"{name} = :{name}" for name in changes)
        statement = f"UPDATE {_known(table)} SET {assignments} WHERE id = :id"  # noqa: S608
        self._execute(statement, {**changes, "id": identifier})

    def delete(self, table: str, identifier: str) -> None:
        """Delete a row and its dependent rows."""
        self._execute(f"DELETE FROM {_known(table)} WHERE id = :id", {"id": identifier})  # noqa: S608

    def find(self, table: str, **equal: Any) -> Row | None:  # noqa: ANN401 - column values
        """The first row whose columns have these values."""
        where = " AND ".join(f"{name} = :{name}" for name in equal)
        rows = self.select(f"SELECT * FROM {_known(table)} WHERE {where} LIMIT 1", equal)  # noqa: S608
        return rows[0] if rows else None

    def select(self, statement: str, arguments: Mapping[str, Any] | None = None) -> list[Row]:
        """Rows of a query."""
        with self._lock:
            return [dict(row) for row in self._connection.execute(statement, arguments or {})]

    def latest_version(self, pipeline_id: str) -> Row | None:
        """The version that was uploaded last."""
        rows = self.select(
            "SELECT * FROM versions WHERE pipeline_id = :id ORDER BY created_at DESC, rowid DESC LIMIT 1",
            {"id": pipeline_id},
        )
        return rows[0] if rows else None

    def tasks(self, run_id: str) -> list[Row]:
        """The tasks of a run, in the order in which they became due."""
        return self.select("SELECT * FROM tasks WHERE run_id = :id ORDER BY rowid", {"id": run_id})

    def set_run_state(
        self, run_id: str, state: str, *, only_from: Iterable[str] = ACTIVE, error: str = ""
    ) -> bool:
        """Set the state of a run if it is in one of `only_from`; return whether it was."""
        with self._lock:
            row = self.find("runs", id=run_id)
            if row is None or row["state"] not in tuple(only_from):
                return False
            at = now()
            history = [*json.loads(row["history"]), {"update_time": at, "state": state}]
            finished = None if state in ACTIVE else at
            self.update(
                "runs", run_id, state=state, error=error or row["error"], finished_at=finished,
                history=json.dumps(history),
            )  # fmt: skip
            return True

    def end_tasks(self, run_id: str, state: str, error: str) -> None:
        """Set the state of every task of a run that has not ended."""
        self._execute(
            "UPDATE tasks SET state = :state, error = :error, ended_at = :at WHERE run_id = :run_id "
            "AND state IN ('PENDING', 'RUNNING')",
            {"state": state, "error": error, "at": now(), "run_id": run_id},
        )

    def cache_outputs(self, key: str, outputs: str, run_id: str, path: str) -> None:
        """Store the outputs of a step for later steps with the same key."""
        self._execute(
            "INSERT OR REPLACE INTO cache VALUES (:key, :outputs, :run_id, :path, :at)",
            {"key": key, "outputs": outputs, "run_id": run_id, "path": path, "at": now()},
        )

    def _execute(self, statement: str, arguments: Mapping[str, Any]) -> None:
        with self._lock:
            self._connection.execute(statement, arguments)


def _known(table: str) -> str:
    if table not in TABLES:
        raise ValueError(table)
    return table


def new_id() -> str:
    """A new random identifier."""
    return str(uuid.uuid4())


def now() -> str:
    """The current time in the API's format, which sorts as text."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
