"""Where the cluster is and who we are there: by path, by text, by context, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from embedded.plugins.kubernetes.kubeconfig import Choice, connect, server_of
from slipway.core.errors import FailedError, UsageError


def _text(user: dict[str, Any] | None = None, **changed: Any) -> str:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "one",
        "clusters": [
            {"name": "a", "cluster": {"server": "http://127.0.0.1:1/"}},
            {"name": "b", "cluster": {"server": "http://127.0.0.1:2"}},
        ],
        "contexts": [
            {"name": "one", "context": {"cluster": "a", "user": "me", "namespace": "mine"}},
            {"name": "two", "context": {"cluster": "b", "user": "me"}},
        ],
        "users": [{"name": "me", "user": user or {"token": "t"}}],
    }
    return json.dumps({**config, **changed})


def test_a_text_and_a_path_are_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "config"
    file.write_text(_text())
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path / 'missing'}:{file}")
    for choice in (Choice(_text()), Choice(str(file)), Choice()):
        found = connect(choice)
        assert (found.server, found.namespace) == ("http://127.0.0.1:1", "mine")
        assert found.headers == {"Authorization": "Bearer t"}
        assert "Bearer" not in repr(found)


def test_context_and_cluster_are_chosen() -> None:
    assert connect(Choice(_text(), context="two")).server == "http://127.0.0.1:2"
    assert connect(Choice(_text(), context="two")).namespace == "default"
    assert connect(Choice(_text(), cluster="b")).server == "http://127.0.0.1:2"
    assert server_of(Choice("clusters: [")) is None


def test_credentials(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from-file\n")
    assert connect(Choice(_text({"tokenFile": str(tmp_path / "token")}))).headers == {
        "Authorization": "Bearer from-file"
    }
    basic = connect(Choice(_text({"username": "u", "password": "p"}))).headers
    assert basic == {"Authorization": "Basic dTpw"}
    plugin = tmp_path / "plugin"
    plugin.write_text('#!/bin/sh\necho \'{"status": {"token": "from-plugin"}}\'\n')
    plugin.chmod(0o755)
    assert connect(Choice(_text({"exec": {"command": str(plugin)}}))).headers == {
        "Authorization": "Bearer from-plugin"
    }


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        (Choice("/no/such/file"), "no kubeconfig at /no/such/file"),
        (Choice("a:\n- [", context=""), "not valid YAML"),
        (Choice("a: b\n"), "not a kubeconfig"),
        (Choice(_text(), context="three"), "no context 'three'; it has one, two"),
        (Choice(_text(**{"current-context": ""})), "no current context"),
        (Choice(_text({"auth-provider": {}})), "auth-provider"),
        (Choice(_text(clusters=[{"name": "a", "cluster": {}}])), "names no server"),
    ],
)
def test_refusals(choice: Choice, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        connect(choice)


def test_a_plugin_that_fails_is_named() -> None:
    with pytest.raises(FailedError, match="/bin/false gave no credential"):
        connect(Choice(_text({"exec": {"command": "/bin/false"}})))
