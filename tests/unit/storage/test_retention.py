"""Lifecycle rules in the S3 API's form: which objects expire, and that no rule of ours expires a model."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.stores.aws import lifecycle
from storage.layout import Buckets, alias_key, history_prefix, runs_prefix, version_prefix
from storage.retention import expiring_rule, rules_of

BUCKETS = Buckets()
NAMES = st.from_regex(r"[a-z]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
DIGESTS = st.from_regex(r"[0-9a-f]{64}", fullmatch=True)
DAYS = st.integers(1, 3650)
KEYS = st.text("ab/-", min_size=1, max_size=8)
VERSION = f"team-a/iris/versions/{'a' * 64}/"
LATER = datetime(2099, 1, 1, tzinfo=UTC)


@given(tenant=NAMES, model=NAMES, alias=NAMES, digest=DIGESTS, days=DAYS)
def test_no_rule_of_ours_expires_models_aliases_or_the_log(
    tenant: str, model: str, alias: str, digest: str, days: int
) -> None:
    assert rules_of(BUCKETS, days)[BUCKETS.models] == ()
    on_aws = [_as_s3(rule) for rule in lifecycle(BUCKETS.models, BUCKETS, days)]
    assert expiring_rule(on_aws, version_prefix(tenant, model, digest)) is None
    assert expiring_rule(on_aws, alias_key(tenant, model, alias)) is None
    assert expiring_rule(on_aws, history_prefix(tenant, model)) is None
    assert expiring_rule(on_aws, "") is None


@given(tenant=NAMES, days=DAYS)
def test_runs_expire_and_current_data_does_not(tenant: str, days: int) -> None:
    rules = {
        bucket: [_as_s3(rule) for rule in lifecycle(bucket, BUCKETS, days)]
        for bucket in rules_of(BUCKETS, days)
    }
    assert expiring_rule(rules[BUCKETS.artifacts], runs_prefix(tenant)) == "slipway-runs"
    assert expiring_rule(rules[BUCKETS.data], f"{tenant}/") is None
    assert {"Days": days} in [rule.get("Expiration") for rule in rules[BUCKETS.artifacts]]


def _as_s3(rule: dict[str, Any]) -> dict[str, Any]:
    """A rule in the words of pulumi_aws, in those of the S3 API."""
    words = {
        "expiration": "Expiration",
        "days": "Days",
        "expired_object_delete_marker": "ExpiredObjectDeleteMarker",
        "noncurrent_version_expiration": "NoncurrentVersionExpiration",
        "noncurrent_days": "NoncurrentDays",
        "abort_incomplete_multipart_upload": "AbortIncompleteMultipartUpload",
        "days_after_initiation": "DaysAfterInitiation",
        "id": "ID",
        "status": "Status",
        "filter": "Filter",
        "prefix": "Prefix",
    }
    return {words[key]: _as_s3(value) if isinstance(value, dict) else value for key, value in rule.items()}


@pytest.mark.parametrize(
    "scope",
    [
        {"Filter": {"Prefix": ""}},
        {"Filter": {}},
        {},
        {"Prefix": ""},
        {"Prefix": "team-a/"},
        {"Filter": {"Prefix": "team-a/iris"}},
        {"Filter": {"Prefix": VERSION}},
        {"Filter": {"Prefix": VERSION + "files/model.pkl"}},
        {"Filter": {"Tag": {"Key": "a", "Value": "b"}}},
        {"Filter": {"ObjectSizeGreaterThan": 1 << 40}},
        {"Filter": {"And": {"Prefix": "team-a/", "Tags": [{"Key": "a", "Value": "b"}]}}},
        {"Filter": {"And": {"ObjectSizeLessThan": 1, "Tags": [{"Key": "a", "Value": "b"}]}}},
    ],
)
@pytest.mark.parametrize(
    "action",
    [
        {"Expiration": {"Days": 1}},
        {"Expiration": {"Date": LATER}},
        {"Expiration": {}},
        {"Expiration": {"Days": 3, "ExpiredObjectDeleteMarker": True}},
        {"Expiration": {"SomethingNew": True}},
        {"Transitions": [{"Days": 1, "StorageClass": "GLACIER"}]},
        {"Transition": {"Days": 1, "StorageClass": "DEEP_ARCHIVE"}},
    ],
)
def test_a_rule_that_may_expire_it_is_found(scope: dict[str, Any], action: dict[str, Any]) -> None:
    rule = {"ID": "tidy", "Status": "Enabled"} | scope | action
    assert expiring_rule([rule], VERSION) == "tidy"
    assert expiring_rule([rule | {"Status": "Disabled"}], VERSION) is None
    kept = {"ID": "other", "Status": "Enabled", "Filter": {"Prefix": "team-ab/"}, "Expiration": {"Days": 1}}
    assert expiring_rule([kept, rule], VERSION) == "tidy"


@pytest.mark.parametrize("prefix", ["team-ab/", "team-a/iris-2", "team-a/other/", "x", VERSION[:-2] + "b"])
def test_a_rule_of_another_prefix_is_ignored(prefix: str) -> None:
    rule = {"ID": "tidy", "Status": "Enabled", "Filter": {"Prefix": prefix}, "Expiration": {"Days": 1}}
    assert expiring_rule([rule], VERSION) is None


@pytest.mark.parametrize(
    "action",
    [
        {"Expiration": {"ExpiredObjectDeleteMarker": True}},
        {"NoncurrentVersionExpiration": {"NoncurrentDays": 1}},
        {"AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1}},
        {"Transitions": [{"Days": 1, "StorageClass": "STANDARD_IA"}]},
        {},
    ],
)
def test_a_rule_that_keeps_current_objects_is_ignored(action: dict[str, Any]) -> None:
    assert (
        expiring_rule([{"ID": "x", "Status": "Enabled", "Filter": {"Prefix": ""}} | action], VERSION) is None
    )


def test_a_rule_without_an_id_is_described_by_its_prefix() -> None:
    rule = {"Status": "Enabled", "Filter": {"Prefix": "team-a/"}, "Expiration": {"Days": 1}}
    assert expiring_rule([rule], VERSION) == "of prefix 'team-a/'"


@given(covered=KEYS, key=KEYS, asked=st.integers(0, 8))
def test_a_rule_is_found_by_any_prefix_of_a_covered_key(covered: str, key: str, asked: int) -> None:
    rule = {"ID": "x", "Status": "Enabled", "Filter": {"Prefix": covered}, "Expiration": {"Days": 1}}
    assert (expiring_rule([rule], key) is not None) == (key.startswith(covered) or covered.startswith(key))
    taken = covered + key
    assert expiring_rule([rule], taken[:asked]) == "x"
