"""A candidate with everything in place, to be bent by a test, and files to publish."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from storage.registry.candidate import Candidate
from storage.registry.model_files import Staged
from storage.registry.records import Lineage
from storage.registry.version_files import File


def candidate(**changes: Any) -> Candidate:
    fields: dict[str, Any] = {
        "schema_version": 2,
        "model": "cancer",
        "model_uri": "s3://artifacts/team-a/runs/training/run-1/train/model",
        "model_digest": "a" * 64,
        "data_uri": "s3://data/team-a/x.csv",
        "data_sha256": "1" * 64,
        "run_id": "run-1",
        "pipeline_digest": "b" * 64,
        "git_commit": "c" * 40,
        "metrics": {"accuracy": 0.95, "f1_weighted": 0.95},
        "threshold": 0.85,
        "held_out_rows": 114,
        "differing_rows": 0,
    }
    return Candidate(**(fields | changes))


def lineage(**changes: Any) -> Lineage:
    """What promotion records of such a candidate."""
    return Lineage.of(candidate(**changes), {"accuracy": 0.95}, {"scikit-learn": "1.9.1"})


def staged_files(folder: Path, files: Mapping[str, bytes]) -> Staged:
    """Lay files out as a promotion does before it publishes them."""
    for path, content in files.items():
        (folder / path).write_bytes(content)
    listed = (
        File(path=path, sha256=hashlib.sha256(content).hexdigest(), size=len(content))
        for path, content in files.items()
    )
    return Staged(folder, tuple(sorted(listed, key=lambda file: file.path)))
