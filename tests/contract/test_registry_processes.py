"""Sixteen processes write the same version, the same log and the same alias: one wins, all learn who."""

import multiprocessing
from pathlib import Path

import pytest
from support.minio import running_minio
from support.promotions import key_of
from support.writers import MODEL, PATIENCE_SECONDS, Result, write

from storage.client import StoreAccess, open_store
from storage.registry.registry import Registry

pytestmark = pytest.mark.contract
WRITERS = 16


def written(access: StoreAccess, folder: Path) -> list[Result]:
    """Let the processes write, and return what each learned."""
    spawn = multiprocessing.get_context("spawn")
    together, results = spawn.Barrier(WRITERS), spawn.Queue()
    processes = [
        spawn.Process(target=write, args=(index, access, folder, together, results), daemon=True)
        for index in range(WRITERS)
    ]
    for process in processes:
        process.start()
    try:
        return [results.get(timeout=PATIENCE_SECONDS) for _ in processes]
    finally:
        for process in processes:
            process.join(10)
            process.kill()


def test_of_sixteen_processes_one_wins_and_fifteen_learn_who(tmp_path):
    (tmp_path / "minio").mkdir()
    with running_minio(tmp_path / "minio") as minio:
        minio.client().create_bucket(Bucket="models")
        access = StoreAccess(endpoint=minio.url, region="us-east-1", key=key_of(minio))
        results = written(access, tmp_path)
        registry = Registry(open_store(access), "models", "team-a")
        writers = {each.writer: each for each in results}
        assert len(writers) == WRITERS

        versions = registry.list_versions(MODEL)
        assert len(versions) == WRITERS + 1
        [shared] = set(versions) - {each.own for each in results}
        first = registry.verify(MODEL, shared).by
        assert first in writers
        assert {each.version_by for each in results} == {first}, "all learned who published it"

        log = {entry.number: (entry.by, entry.digest) for entry in registry.history(MODEL)}
        assert log == {each.entry: (each.writer, each.own) for each in results}
        assert sorted(log) == list(range(1, WRITERS + 1))

        [winner] = [each for each in results if not each.conflict]
        held = registry.read_alias(MODEL, "champion")
        assert held is not None
        record = held.record
        assert (record.digest, record.by, record.number) == (winner.own, winner.writer, 1)
        named = f"{winner.writer} pointed it at {winner.own[:12]} of run {record.run_id} by move "
        assert [each.writer for each in results if each.conflict and named not in each.conflict] == []
