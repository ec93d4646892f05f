"""The index of a snapshot: valid keys, consistency, and its digest in the id."""

import string
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from slipway.core.errors import UsageError
from storage.backup.index import Index, ModelObject, StackFile, checked_id, place_of, snapshot_id
from storage.layout import alias_key, history_key, tenant_prefix, version_prefix

DIGEST = "0123456789abcdef" * 4
NAMES = st.from_regex(r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?", fullmatch=True)
TENANTS = st.sampled_from(["team-a", "team-ab", "team"])
PATHS = st.lists(
    st.text(string.ascii_letters + string.digits + "-_.", min_size=1, max_size=12).filter(
        lambda part: not part.endswith(".")
    ),
    min_size=1,
    max_size=4,
).map("/".join)


@st.composite
def own_keys(draw: st.DrawFn) -> tuple[str, str]:
    tenant, model = draw(TENANTS), draw(NAMES)
    version = version_prefix(tenant, model, draw(st.text("0123456789abcdef", min_size=64, max_size=64)))
    return tenant, draw(
        st.sampled_from(
            [
                version + "manifest.json",
                version + "files/" + draw(PATHS),
                alias_key(tenant, model, draw(NAMES)),
                history_key(tenant, model, draw(st.integers(1, 10**12))),
            ]
        )
    )


@given(own_keys())
def test_every_key_of_the_layout_is_parsed(made):
    tenant, key = made
    held = ModelObject(tenant=tenant, key=key.removeprefix(f"{tenant}/"), size=0, sha256=DIGEST)
    assert held.full_key == key
    place = held.place
    match place.kind:
        case "manifest":
            assert version_prefix(tenant, place.model, place.name) + "manifest.json" == key
        case "file":
            assert version_prefix(tenant, place.model, place.name) + "files/" + place.path == key
        case "alias":
            assert alias_key(tenant, place.model, place.name) == key
        case "history":
            assert history_key(tenant, place.model, int(place.name)) == key


@given(TENANTS, st.text(max_size=80))
def test_no_key_leaves_its_tenants_prefix(tenant, text):
    try:
        place_of(tenant, text)
    except UsageError:
        return
    full = tenant_prefix(tenant) + text
    assert full.startswith(f"{tenant}/")
    assert not {"", ".", ".."} & set(full.split("/"))


@pytest.mark.parametrize(
    "key",
    [
        "../team-ab/iris/aliases/champion.json",
        f"iris/versions/{DIGEST}/files/../x",
        f"iris/versions/{DIGEST}/files/a\\b",
        f"iris/versions/{DIGEST}/files/a\0b",
        f"iris/versions/{DIGEST}/files/%2e%2e/x",
        f"iris/versions/{DIGEST}/files/" + "a" * 1024,
        f"iris/versions/{DIGEST}/files/e\u0301",
        f"iris/versions/{DIGEST}/files/",
        f"iris/versions/{DIGEST}/other.json",
        f"iris/versions/{DIGEST[:-1]}/manifest.json",
        "iris/aliases/champion",
        "iris/aliases/Champion.json",
        "iris/history/1.json",
        "iris/history/0000000\u0661.json",
        "iris/history/-0000001.json",
        "",
    ],
)
def test_a_key_outside_the_layout_is_rejected(key):
    with pytest.raises(UsageError):
        place_of("team-a", key)


@pytest.mark.parametrize(
    "name", ["tenants/../x.yaml", "tenants/a/b.yaml", "/etc/passwd", "tenants/.yaml", "x"]
)
def test_only_file_names_of_a_stack_are_accepted(name):
    with pytest.raises(ValidationError, match="not a file of a stack"):
        StackFile(name=name, size=0, sha256=DIGEST)
    assert StackFile(name="tenants/team-a.yaml", size=0, sha256=DIGEST), "the control"


def index(**changes):
    fields = {
        "stack": "local",
        "slipway": "0.1.0",
        "contract_version": 2,
        "taken_at": datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC),
        "complete": True,
        "tenants": ("team-a",),
        "objects": (
            ModelObject(tenant="team-a", key="iris/aliases/champion.json", size=3, sha256=DIGEST),
            ModelObject(tenant="team-a", key="iris/aliases/other.json", size=3, sha256=DIGEST),
        ),
        "files": (),
    }
    return Index(**fields | changes)


def test_an_index_round_trips_and_counts_shared_blobs_once():
    made = index()
    assert Index.model_validate_json(made.encode()) == made
    assert made.size == 3
    assert len(made.names_of(DIGEST)) == 2


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"tenants": ("team-ab",)}, "unlisted tenants"),
        ({"tenants": ("team-a", "../x")}, "can't name a tenant"),
        ({"stack": "../x"}, "can't name a stack"),
        ({"objects": index().objects * 2}, "listed twice"),
    ],
)
def test_an_inconsistent_index_is_rejected(changes, reason):
    with pytest.raises(ValidationError, match=reason):
        index(**changes)


def test_a_snapshot_id_contains_the_digest_of_its_index():
    made = index()
    name = snapshot_id(made.taken_at, made.encode())
    assert checked_id(name) == name
    assert name.startswith("20261122T120000000Z-")
    assert snapshot_id(made.taken_at, made.encode() + b" ") != name
    for wrong in ("", "..", name.upper(), f"{name}/..", name[:-1]):
        with pytest.raises(UsageError):
            checked_id(wrong)
