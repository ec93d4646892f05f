"""Accounts in the files of the container tools and in credential helpers."""

import base64
import json
from pathlib import Path

import pytest
from pydantic import SecretStr

from oci import auth_files, pull_secrets
from oci.login import Login
from slipway.core.errors import UsageError


def entry(username: str, password: str) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{username}:{password}".encode()).decode()}


def write(path: Path, **document: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))


@pytest.fixture(autouse=True)
def asked_again() -> None:
    """Each test has another helper of the same name."""
    auth_files._ask.cache_clear()


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path)}


def found(
    env: dict[str, str], registry: str = "r.example.org", repository: str = ""
) -> tuple[str, str] | None:
    login = auth_files.find(registry, repository, environment=env)
    return (login.username, login.password.get_secret_value()) if login else None


def test_files_are_read_in_the_order_of_the_tools(tmp_path, env):
    assert found(env) is None
    write(tmp_path / ".docker/config.json", auths={"r.example.org": entry("docker", "1")})
    assert found(env) == ("docker", "1")
    write(tmp_path / ".config/containers/auth.json", auths={"r.example.org": entry("podman", "2")})
    assert found(env) == ("podman", "2")
    env["XDG_RUNTIME_DIR"] = str(tmp_path / "run")
    write(tmp_path / "run/containers/auth.json", auths={"r.example.org": entry("session", "3")})
    assert found(env) == ("session", "3")
    env["REGISTRY_AUTH_FILE"] = str(tmp_path / "named.json")
    write(tmp_path / "named.json", auths={"r.example.org": entry("named", "4:5")})
    assert found(env) == ("named", "4:5")
    assert found(env, "other.example.org") is None


def test_the_most_specific_account_is_used(tmp_path, env):
    auths = {"r.example.org": entry("all", "1"), "r.example.org/team": entry("team", "2")}
    write(tmp_path / ".docker/config.json", auths=auths)
    assert found(env, repository="team/image") == ("team", "2")
    assert found(env, repository="teams/image") == ("all", "1")


@pytest.mark.parametrize("key", ["https://index.docker.io/v1/", "docker.io"])
def test_docker_hub_has_several_names(tmp_path, env, key):
    write(tmp_path / ".docker/config.json", auths={key: entry("hub", "1")})
    assert found(env, "docker.io") == ("hub", "1")


HELPER = """#!/bin/sh
read registry
echo "$registry" >> "$0.asked"
[ "$1 $registry" = "get r.example.org" ] || { echo "credentials not found"; exit 1; }
echo '{"ServerURL": "r.example.org", "Username": "%s", "Secret": "s3"}'
"""


def helper(folder: Path, name: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program = folder / f"docker-credential-{name}"
    program.write_text(text)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


@pytest.mark.parametrize(
    "document",
    [{"credHelpers": {"r.example.org": "tests"}}, {"credsStore": "tests", "auths": {"r.example.org": {}}}],
)
def test_a_credential_helper_is_asked(tmp_path, env, monkeypatch, document):
    helper(tmp_path, "tests", HELPER % "helped", monkeypatch)
    write(tmp_path / ".docker/config.json", **document)
    assert found(env, repository="a/b") == found(env) == ("helped", "s3")
    assert found(env, "other.example.org") is None
    assert (tmp_path / "docker-credential-tests.asked").read_text() == "r.example.org\n", "asked once"


def test_an_identity_token_is_recognised(tmp_path, env, monkeypatch):
    helper(tmp_path, "tests", HELPER % "<token>", monkeypatch)
    write(tmp_path / ".docker/config.json", credHelpers={"r.example.org": "tests"})
    login = auth_files.find("r.example.org", environment=env)
    assert login
    assert login.is_identity_token
    with pytest.raises(UsageError, match="identity token"):
        pull_secrets.docker_config({"r.example.org": login})


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "It is not JSON"),
        ("[]", "It is not a JSON object"),
        ('{"auths": {"r.example.org": {"auth": "%%%"}}}', "not base64"),
    ],
)
def test_a_damaged_file_is_a_users_mistake(tmp_path, env, text, why):
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker/config.json").write_text(text)
    with pytest.raises(UsageError, match=why):
        found(env)


def test_a_missing_or_broken_helper_is_a_users_mistake(tmp_path, env, monkeypatch):
    write(tmp_path / ".docker/config.json", credHelpers={"r.example.org": "tests"})
    with pytest.raises(UsageError, match="docker-credential-tests is not installed"):
        found(env)
    helper(tmp_path, "tests", "#!/bin/sh\necho secret-word\n", monkeypatch)
    with pytest.raises(UsageError, match="no usable answer") as refused:
        found(env)
    assert "secret-word" not in str(refused.value)


def test_a_password_is_never_shown():
    assert "s3cret" not in repr(Login("user", SecretStr("s3cret")))


def test_a_pull_secret_is_read_as_a_login(tmp_path, env):
    made = pull_secrets.docker_config(
        {
            "r.example.org": Login("puller", SecretStr("a:b")),
            "docker.io": Login("hub", SecretStr("c")),
        }
    )
    write(tmp_path / ".docker/config.json", **json.loads(made))
    assert found(env) == ("puller", "a:b")
    assert found(env, "docker.io") == ("hub", "c")
