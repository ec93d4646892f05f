"""Keys that an operator provides: valid, weak and malformed ones; no message contains a secret."""

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


def usage_error(call: object, *arguments: object) -> str:
    assert callable(call)
    with pytest.raises(UsageError) as caught:
        call(*arguments)
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_a_strong_key_is_accepted() -> None:
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
        ("", "user", "not a valid key"),
        ("with a space in it", "user", "not a valid key"),
        ("line\nbreak-in-it-too", "user", "not a valid key"),
    ],
)
def test_a_weak_key_is_rejected(secret: str, access: str, why: str) -> None:
    message = usage_error(read_admin, admin(secret, access), "Pulumi.dev.yaml: slipway:storeAdmin")
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
def test_a_malformed_key_is_rejected(text: str) -> None:
    assert "here: " in usage_error(read_admin, text, "here")


@given(st.text(max_size=40))
def test_no_input_is_quoted_in_the_message(text: str) -> None:
    message = usage_error(read_admin, json.dumps([text]), "here")
    assert len(text) < 4 or text not in message or text in "not a JSON object, or a key occurs twice."


def test_every_role_of_every_tenant_has_a_key() -> None:
    keys = read_tenants(json.dumps(every("team-a", "team-b")), "here", ["team-a"])
    assert keys.of("team-a", StoreRole.SERVER).access_key == "team-a-server"


def test_missing_keys_are_named() -> None:
    operator_keys = every("team-a")
    del operator_keys["team-a"]["promoter"]
    message = usage_error(read_tenants, json.dumps(operator_keys), "here", ["team-a", "team-b"])
    assert "no key for team-a.promoter, team-b.runner, team-b.server" in message


@pytest.mark.parametrize("half", ["access_key", "secret_key"])
@pytest.mark.parametrize("other", [("team-a", "server"), ("team-b", "runner")])
def test_a_shared_key_is_rejected(other: tuple[str, str], half: str) -> None:
    operator_keys = every("team-a", "team-b")
    shared = operator_keys["team-a"]["runner"]
    twin = operator_keys[other[0]][other[1]]
    assert isinstance(shared, dict)
    assert isinstance(twin, dict)
    twin[half] = shared[half]
    message = usage_error(read_tenants, json.dumps(operator_keys), "here", ["team-a", "team-b"])
    assert f"team-a.runner and {'.'.join(other)} share a key" in message
    assert GOOD not in message


def test_a_weak_key_is_named_by_tenant_and_role() -> None:
    weak = every("team-a", server={"access_key": "team-a-server", "secret_key": "minio123"})
    assert "here: team-a.server: the secret key" in usage_error(
        read_tenants, json.dumps(weak), "here", ["team-a"]
    )


def test_an_unknown_role_is_rejected() -> None:
    odd = every("team-a", root={"access_key": "x", "secret_key": GOOD})
    assert "team-a.root: unknown role" in usage_error(read_tenants, json.dumps(odd), "here", ["team-a"])
