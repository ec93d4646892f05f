"""Keys that an operator hands over: what is taken, what is refused, and that no message tells a secret."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.core.errors import UsageError
from storage.keys import StoreRole
from storage.operator_keys import read_admin, read_tenants

GOOD = "Vx4-9qLmT2_wZr8K"


def admin(secret: str, access: str = "operator") -> str:
    return json.dumps({"access_key": access, "secret_key": secret})


def every(*tenants: str, **changes: object) -> dict[str, dict[str, object]]:
    return {
        tenant: {
            role.value: {"access_key": f"{tenant}-{role}", "secret_key": f"{GOOD}{tenant}{role}"}
            for role in StoreRole
        }
        | changes
        for tenant in tenants
    }


def refusal(call: object, *arguments: object) -> str:
    assert callable(call)
    with pytest.raises(UsageError) as caught:
        call(*arguments)
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_a_good_key_is_taken() -> None:
    key = read_admin(admin(GOOD), "here")
    assert (key.access_key, key.secret_key.get_secret_value()) == ("operator", GOOD)
    assert GOOD not in repr(key)


@pytest.mark.parametrize(
    ("secret", "access", "why"),
    [
        ("minioadmin", "minioadmin", "fewer than 12 characters"),
        ("minio123", "minio", "fewer than 12 characters"),
        ("12341234", "user", "fewer than 12 characters"),
        ("MinioAdminMinioAdmin", "minioadmin", "is a default"),
        ("minioadmin123", "x", "is a default"),
        ("a-long-user-name", "a-long-user-name", "the access key itself"),
        ("A-Long-User-Name123", "a-long-user-name", "the access key itself"),
        ("abababababababab", "user", "repeats few characters"),
        ("elevenchars", "user", "fewer than 12 characters"),
        ("", "user", "is no key"),
        ("with a space in it", "user", "is no key"),
        ("line\nbreak-in-it-too", "user", "is no key"),
    ],
)
def test_a_key_that_can_be_guessed_is_refused(secret: str, access: str, why: str) -> None:
    message = refusal(read_admin, admin(secret, access), "Pulumi.dev.yaml: slipway:storeAdmin")
    assert message.startswith("Pulumi.dev.yaml: slipway:storeAdmin: ")
    assert why in message
    if len(secret) > 8:
        assert secret not in message or secret == access


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '"x"',
        '{"access_key": "a"}',
        '{"access_key": 1, "secret_key": "Vx4-9qLmT2_wZr8K"}',
        '{"access_key": "a", "access_key": "b", "secret_key": "Vx4-9qLmT2_wZr8K"}',
        '{"access_key": "a", "secret_key": "Vx4-9qLmT2_wZr8K", "more": 1}',
        "[" * 100_000,
    ],
)
def test_what_is_no_key_is_refused(text: str) -> None:
    assert "here: " in refusal(read_admin, text, "here")


@given(st.text(max_size=40))
def test_no_text_is_quoted_or_breaks_it(text: str) -> None:
    said = refusal(read_admin, json.dumps([text]), "here")
    assert len(text) < 4 or text not in said or text in "is no JSON object, or names something twice."


def test_every_role_of_every_tenant_has_a_key() -> None:
    found = read_tenants(json.dumps(every("team-a", "team-b")), "here", ["team-a"])
    assert found.of("team-a", StoreRole.SERVER).access_key == "team-a-server"


def test_missing_keys_are_named() -> None:
    given_keys = every("team-a")
    del given_keys["team-a"]["promoter"]
    message = refusal(read_tenants, json.dumps(given_keys), "here", ["team-a", "team-b"])
    assert "no key for team-a.promoter, team-b.runner, team-b.server" in message


@pytest.mark.parametrize("half", ["access_key", "secret_key"])
@pytest.mark.parametrize("other", [("team-a", "server"), ("team-b", "runner")])
def test_two_never_share_a_key(other: tuple[str, str], half: str) -> None:
    given_keys = every("team-a", "team-b")
    shared = given_keys["team-a"]["runner"]
    twin = given_keys[other[0]][other[1]]
    assert isinstance(shared, dict)
    assert isinstance(twin, dict)
    twin[half] = shared[half]
    message = refusal(read_tenants, json.dumps(given_keys), "here", ["team-a", "team-b"])
    assert f"team-a.runner and {'.'.join(other)} share a key" in message
    assert GOOD not in message


def test_a_weak_key_is_named_by_tenant_and_role() -> None:
    weak = every("team-a", server={"access_key": "team-a-server", "secret_key": "minio123"})
    assert "here: team-a.server: the secret key" in refusal(
        read_tenants, json.dumps(weak), "here", ["team-a"]
    )


def test_an_unknown_role_is_refused() -> None:
    odd = every("team-a", root={"access_key": "x", "secret_key": GOOD})
    assert "team-a.root: is no role" in refusal(read_tenants, json.dumps(odd), "here", ["team-a"])
