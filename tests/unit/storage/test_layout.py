"""Keys, prefixes and URIs: they round trip and never overlap with another tenant's."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from slipway.core.errors import UsageError
from storage.client import split_uri
from storage.layout import (
    HISTORY_DIGITS,
    Buckets,
    VersionKey,
    alias_key,
    aliases_prefix,
    checked_name,
    history_key,
    history_prefix,
    model_prefix,
    read_version_key,
    runs_prefix,
    tenant_prefix,
    version_prefix,
)

BUCKETS = Buckets()
NAMES = st.from_regex(r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?", fullmatch=True)
DIGESTS = st.from_regex(r"[0-9a-f]{64}", fullmatch=True)
PATHS = st.text(min_size=1, max_size=30)


@given(tenant=NAMES, model=NAMES, digest=DIGESTS, path=PATHS)
def test_a_version_key_round_trips(tenant: str, model: str, digest: str, path: str) -> None:
    key = version_prefix(tenant, model, digest) + path
    assert read_version_key(key) == VersionKey(tenant, model, digest, path)
    bucket, found = split_uri(f"s3://{BUCKETS.models}/{key}")
    assert (bucket, found) == (BUCKETS.models, key)


@given(key=st.text("ab/.0", max_size=40))
def test_other_keys_are_not_version_keys(key: str) -> None:
    assert read_version_key(key) is None


@given(tenant=NAMES, model=NAMES, alias=NAMES, number=st.integers(1, 10**HISTORY_DIGITS - 1))
def test_alias_and_log_keys_are_not_version_keys(tenant: str, model: str, alias: str, number: int) -> None:
    for key in (alias_key(tenant, model, alias), history_key(tenant, model, number)):
        assert key.startswith(model_prefix(tenant, model))
        assert read_version_key(key) is None
    assert alias_key(tenant, model, alias) == f"{aliases_prefix(tenant, model)}{alias}.json"
    assert int(history_key(tenant, model, number).removeprefix(history_prefix(tenant, model))[:-5]) == number


@given(numbers=st.lists(st.integers(1, 10**HISTORY_DIGITS - 1), min_size=2))
def test_log_keys_sort_by_number(numbers: list[int]) -> None:
    listed = sorted(history_key("team-a", "iris", number) for number in numbers)
    assert listed == [history_key("team-a", "iris", number) for number in sorted(numbers)]


@given(one=NAMES, other=NAMES, model=NAMES, digest=DIGESTS)
def test_no_prefix_of_a_tenant_matches_anothers_keys(one: str, other: str, model: str, digest: str) -> None:
    assume(one != other)
    for key in (version_prefix(other, model, digest), runs_prefix(other), tenant_prefix(other)):
        assert not key.startswith(tenant_prefix(one))
        assert not tenant_prefix(one).startswith(key)


@given(tenant=NAMES, tail=st.from_regex(r"[a-z0-9-]{1,5}", fullmatch=True), model=NAMES)
def test_a_longer_tenant_name_has_another_prefix(tenant: str, tail: str, model: str) -> None:
    assert not f"{tenant}{tail}/{model}/".startswith(tenant_prefix(tenant))
    assert not f"{tenant_prefix(tenant)}{model}{tail}/".startswith(model_prefix(tenant, model))


@given(tenant=NAMES)
def test_uris_are_prefixes_without_the_slash(tenant: str) -> None:
    found = {
        split_uri(BUCKETS.pipeline_root(tenant) + "/"),
        split_uri(BUCKETS.models_uri(tenant) + "/"),
        split_uri(BUCKETS.data_uri(tenant) + "/"),
    }
    assert found == {
        (BUCKETS.artifacts, runs_prefix(tenant)),
        (BUCKETS.models, tenant_prefix(tenant)),
        (BUCKETS.data, tenant_prefix(tenant)),
    }


@given(name=st.text(max_size=45))
def test_only_valid_names_are_accepted(name: str) -> None:
    plain = (
        0 < len(name) <= 40
        and set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
        and name[0].isalpha()
        and not name.endswith("-")
    )
    if plain:
        assert checked_name("tenant", name) == name
    else:
        with pytest.raises(UsageError, match="can't name a tenant"):
            checked_name("tenant", name)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "a\n", "A", "a_b", "a.b", "-a", "a-", "1a", "*", "a" * 41, "ä", "a\x00"]
)
def test_no_key_is_built_from_an_invalid_name(name: str) -> None:
    for build in (
        lambda: tenant_prefix(name),
        lambda: runs_prefix(name),
        lambda: model_prefix("team-a", name),
        lambda: alias_key("team-a", "iris", name),
        lambda: BUCKETS.models_uri(name),
    ):
        with pytest.raises(UsageError):
            build()


@pytest.mark.parametrize(
    "digest", ["", "a" * 63, "a" * 65, "A" * 64, "g" * 64, "../" + "a" * 61, "a" * 64 + "\n"]
)
def test_no_prefix_is_built_from_an_invalid_digest(digest: str) -> None:
    with pytest.raises(UsageError, match="not a model digest"):
        version_prefix("team-a", "iris", digest)
