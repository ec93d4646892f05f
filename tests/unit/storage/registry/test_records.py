"""Records of the registry as earlier versions of Slipway wrote them are read, and lose nothing."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from storage.registry.candidate import Candidate
from storage.registry.promotion_record import EarlierRecord, PromotionRecord
from storage.registry.records import HistoryEntry

DIGEST, DATA, CODE = "a" * 64, "b" * 64, "c" * 40
MANIFEST = {
    "apiVersion": "serving.kserve.io/v1beta1",
    "metadata": {"name": "churn", "annotations": {"slipway.dev/run-id": "run-1"}},
}

ENTRY_BEFORE_EVALUATIONS: dict[str, Any] = {
    "schema_version": 1,
    "tenant": "team-a",
    "model": "churn",
    "number": 1,
    "event": "promoted",
    "digest": DIGEST,
    "at": "2026-10-01T08:00:00Z",
    "token": "0123456789abcdef",
    "details": {
        "candidate": {
            "schema_version": 1,
            "model": "churn",
            "model_uri": "s3://artifacts/team-a/runs/training/run-1/model",
            "model_digest": DIGEST,
            "data_uri": "s3://data/team-a/churn.csv",
            "data_sha256": DATA,
            "run_id": "run-1",
            "pipeline_version": "d" * 64,
            "git_commit": CODE,
            "metrics": {"accuracy": 0.91},
            "threshold": 0.85,
            "held_out_rows": 40,
        },
        "manifest": MANIFEST,
        "previous": None,
        "reason": "accuracy 0.9100 reaches 0.85; nothing is served yet",
        "smoke": {"rows": 5, "agreed": 5},
    },
}
"""An entry from before promotion evaluated for itself."""

ENTRY_WITH_PIPELINE_VERSION: dict[str, Any] = {
    "schema_version": 2,
    "tenant": "team-a",
    "model": "churn",
    "number": 2,
    "event": "promoted",
    "digest": DIGEST,
    "at": "2026-11-20T08:00:00Z",
    "token": "fedcba9876543210",
    "by": "somebody@somewhere",
    "details": {
        "candidate": {
            "schema_version": 2,
            "model": "churn",
            "model_uri": "s3://artifacts/team-a/runs/training/run-2/model",
            "model_digest": DIGEST,
            "data_uri": "s3://data/team-a/churn.csv",
            "data_sha256": DATA,
            "run_id": "run-2",
            "pipeline_version": "d" * 64,
            "git_commit": CODE,
            "metrics": {"accuracy": 0.95},
            "threshold": 0.85,
            "held_out_rows": 40,
            "differing_rows": 0,
        },
        "evaluation": {
            "by": "somebody@somewhere",
            "software": {"python": "3.11.2"},
            "held_out": {
                "data_uri": "s3://data/team-a/churn.csv",
                "data_sha256": DATA,
                "read": {"target": "target", "drop": [], "missing": ["NA", "null"]},
                "split": {"test_split": 0.2, "seed": 42},
                "rows": 40,
                "rows_sha256": "e" * 64,
                "few": {},
                "warnings": [],
            },
            "metrics": {"accuracy": 0.95},
            "reported": {"accuracy": 0.95},
            "baseline": {"accuracy": 0.5},
            "most_frequent": "x",
            "champion": None,
            "not_compared": "nothing is served yet",
            "warnings": [],
        },
        "gates": {
            "minimums": {"accuracy": None, "f1_weighted": None},
            "min_held_out_rows": 10,
            "min_gain": 0.0,
            "compare": "always",
            "max_drop": 0.0,
        },
        "reason": "accuracy 0.9500 reaches 0.85",
        "replaced": "",
        "previous": None,
        "manifest": MANIFEST,
        "smoke": {
            "rows": 40,
            "agreed": 40,
            "accuracy": 0.95,
            "largest_difference": 1e-7,
            "expected": ["x"],
            "answered": ["x"],
        },
    },
}
"""An entry from before the digest of the pipeline had one name."""


def read(entry: dict[str, Any]) -> HistoryEntry:
    return HistoryEntry.model_validate_json(json.dumps(entry))


def test_an_entry_before_evaluations_has_run_and_manifest():
    found = read(ENTRY_BEFORE_EVALUATIONS)
    assert isinstance(found.details, EarlierRecord)
    assert (found.run_id, found.details.candidate.data_uri) == ("run-1", "s3://data/team-a/churn.csv")
    assert found.details.manifest == MANIFEST
    assert found.details.reason.startswith("accuracy 0.9100")


def test_an_entry_before_evaluations_is_written_back_whole():
    written = json.loads(read(ENTRY_BEFORE_EVALUATIONS).model_dump_json())
    assert written["details"].items() >= ENTRY_BEFORE_EVALUATIONS["details"].items()


def test_an_entry_with_the_earlier_name_is_a_full_record():
    found = read(ENTRY_WITH_PIPELINE_VERSION)
    assert isinstance(found.details, PromotionRecord)
    assert found.run_id == "run-2"
    assert found.details.candidate.pipeline_digest == "d" * 64
    assert read(json.loads(found.model_dump_json())) == found


def test_an_entry_of_a_restore_keeps_what_it_restores():
    details = {**ENTRY_WITH_PIPELINE_VERSION["details"], "snapshot": "20261128T100000Z", "previous": DATA}
    found = read({**ENTRY_WITH_PIPELINE_VERSION, "event": "restored", "details": details})
    assert isinstance(found.details, PromotionRecord)
    assert (found.details.snapshot, found.details.previous) == ("20261128T100000Z", DATA)


def test_an_entry_without_details_tells_nothing():
    found = read({**ENTRY_BEFORE_EVALUATIONS, "details": {}})
    assert (found.run_id, found.details.manifest, found.details.reason) == ("", {}, "")


@pytest.mark.parametrize("name", ["pipeline_version", "pipeline_digest"])
def test_a_candidate_is_read_by_either_name(name):
    fields = dict(ENTRY_WITH_PIPELINE_VERSION["details"]["candidate"])
    value = fields.pop("pipeline_version")
    assert Candidate.model_validate(fields | {name: value}).pipeline_digest == value


def test_a_candidate_without_its_pipeline_is_refused():
    fields = dict(ENTRY_WITH_PIPELINE_VERSION["details"]["candidate"])
    del fields["pipeline_version"]
    with pytest.raises(ValidationError, match="pipeline_digest"):
        Candidate.model_validate(fields)
