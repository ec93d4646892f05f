"""What `slipway init` finds out, with a cluster and a registry that are not there."""

import json
import socket
from collections.abc import Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from pydantic import SecretStr

from infra.settings.models import ImageReferences
from oci.login import Login
from oci.references import Reference, parse_place
from slipway.cli import app
from slipway.core.errors import UsageError
from slipway.operations import cluster_settings
from slipway.operations.cluster_settings import Answers, find, free_ports
from slipway.operations.images_registry import Connection

DIGEST = f"sha256:{'a' * 64}"
REGISTRY = parse_place("registry.acme.test/slipway")
LOGIN = Login("robot", SecretStr("not-to-be-shown"))


def storage_class(name: str, *, default: bool = False, made: str = "2026-01-01T00:00:00Z") -> dict[str, Any]:
    annotations = {"storageclass.kubernetes.io/is-default-class": str(default).lower()}
    return {"metadata": {"name": name, "annotations": annotations, "creationTimestamp": made}}


class Api:
    def __init__(self, classes: list[dict[str, Any]]) -> None:
        self._classes = classes

    def get(self, path: str) -> Mapping[str, Any]:
        assert path == "/apis/storage.k8s.io/v1/storageclasses"
        return {"items": self._classes}

    def close(self) -> None:
        pass


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Path:
    contexts = [{"name": name, "context": {"cluster": "c", "user": "u"}} for name in ("ml", "other")]
    document = {
        "contexts": contexts,
        "current-context": "other",
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": "u", "user": {}}],
    }
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(document))
    return path


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    classes: list[dict[str, Any]] = []
    opened = SimpleNamespace(open=lambda _path, _context: Api(classes))
    monkeypatch.setattr(cluster_settings, "KubernetesApi", opened)
    return classes


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Digests by reference."""
    digests: dict[str, str] = {}

    @contextmanager
    def opened(*_: object):
        yield SimpleNamespace(digest=lambda reference: digests.get(str(reference)))

    monkeypatch.setattr(Connection, "open", opened)
    monkeypatch.setattr(
        cluster_settings.images, "reference", lambda name: f"slipway.local/{name}:0123456789ab"
    )
    for name in ImageReferences.model_fields:
        repository = f"slipway/{name.replace('_', '-')}"
        digests[str(Reference("registry.acme.test", repository, "0123456789ab"))] = DIGEST
    return digests


def refused(answers: Answers) -> UsageError:
    with pytest.raises(UsageError) as caught:
        find(answers)
    return caught.value


def test_nothing_said_is_nothing_found() -> None:
    assert find(Answers()) == ({}, None)


def test_a_context_gives_the_settings_of_the_cluster(kubeconfig: Path, cluster: list[dict[str, Any]]) -> None:
    cluster += [storage_class("fast", default=True), storage_class("slow")]
    values, login = find(Answers(context="ml", kubeconfig=kubeconfig))
    assert login is None
    assert values == {
        ("cluster", "context"): "ml",
        ("cluster", "kubeconfig"): str(kubeconfig),
        ("store", "storage_class"): "fast",
        ("kfp", "storage_class"): "fast",
    }


def test_the_variable_of_kubectl_names_the_kubeconfig(
    kubeconfig: Path, cluster: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.append(storage_class("only"))
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    values, _ = find(Answers(context="ml"))
    assert values["cluster", "kubeconfig"] == str(kubeconfig)
    assert values["store", "storage_class"] == "only", "there is no choice"


def test_of_several_defaults_the_newest_counts(kubeconfig: Path, cluster: list[dict[str, Any]]) -> None:
    cluster += [
        storage_class("a", default=True),
        storage_class("b", default=True, made="2026-02-01T00:00:00Z"),
    ]
    values, _ = find(Answers(context="ml", kubeconfig=kubeconfig))
    assert values["store", "storage_class"] == "b"


def test_an_unknown_context_is_refused_with_the_known_ones(kubeconfig: Path) -> None:
    error = refused(Answers(context="nosuch", kubeconfig=kubeconfig))
    assert "no context 'nosuch'" in error.what
    assert error.why == "Its contexts are: ml, other."
    assert "can't be reached" in refused(Answers(context="ml", kubeconfig=kubeconfig.with_name("none"))).what


def test_a_cluster_is_never_chosen_by_default(kubeconfig: Path) -> None:
    assert "need --context" in refused(Answers(kubeconfig=kubeconfig)).what
    assert "need --context" in refused(Answers(storage_class="fast")).what


def test_without_a_default_a_storage_class_must_be_named(
    kubeconfig: Path, cluster: list[dict[str, Any]]
) -> None:
    error = refused(Answers(context="ml", kubeconfig=kubeconfig))
    assert "no default StorageClass" in error.what
    assert "Install a storage driver" in error.fix
    cluster += [storage_class("fast"), storage_class("slow")]
    error = refused(Answers(context="ml", kubeconfig=kubeconfig))
    assert error.why == "Its StorageClasses are: fast, slow."
    assert "--storage-class" in error.fix
    assert (
        "no StorageClass 'x'" in refused(Answers(context="ml", kubeconfig=kubeconfig, storage_class="x")).what
    )
    values, _ = find(Answers(context="ml", kubeconfig=kubeconfig, storage_class="slow"))
    assert values["store", "storage_class"] == "slow"


def test_images_become_digests_and_the_login_a_secret(registry: dict[str, str]) -> None:
    values, login = find(Answers(registry=REGISTRY, connection=Connection(login=LOGIN)))
    reference = f"registry.acme.test/slipway/model-server:0123456789ab@{DIGEST}"
    assert values["images", "model_server"] == reference
    assert {key for _, key in values} == set(ImageReferences.model_fields)
    ImageReferences.model_validate({name: value for (_, name), value in values.items()})
    assert login is not None
    assert "not-to-be-shown" not in repr((values, login))
    assert json.loads(login.get_secret_value())["auths"]["registry.acme.test"]["username"] == "robot"


def test_images_that_were_not_pushed_are_named(registry: dict[str, str]) -> None:
    del registry["registry.acme.test/slipway/gateway:0123456789ab"]
    error = refused(Answers(registry=REGISTRY, connection=Connection(login=LOGIN)))
    assert error.what == "The registry does not have registry.acme.test/slipway/gateway:0123456789ab."
    assert error.fix == "Push them: slipway images push registry.acme.test/slipway"


def test_ports_in_use_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(cluster_settings, "FIRST_PORT", port - 1)
        monkeypatch.setattr(cluster_settings, "_LAST_PORT", port + 60)
        chosen = free_ports()
    assert set(chosen) == {("endpoints", name) for name in ("gateway", "store", "kfp")}
    assert port not in chosen.values()
    assert min(chosen.values()) > port


@pytest.mark.parametrize(
    ("stack", "options", "reason"),
    [
        ("local", ["--registry", "registry.acme.test/slipway"], "has no cluster or registry to name"),
        ("local", ["--context", "ml"], "has no cluster or registry to name"),
        ("kind", ["--context", "ml"], "makes its own cluster"),
        ("dev", ["--storage-class", "fast"], "need --context"),
    ],
)
def test_options_of_another_environment_are_refused(
    project: Path,
    nothing_starts: None,
    capsys: pytest.CaptureFixture[str],
    stack: str,
    options: list[str],
    reason: str,
) -> None:
    assert app.main(["init", stack, *options]) == 2
    assert reason in capsys.readouterr().err
    assert not (project / f"Pulumi.{stack}.yaml").exists()
