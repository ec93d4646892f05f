"""Lists of images, and the comparison of what runs with one."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.settings.models import ImageReferences
from oci.references import parse
from slipway.cli import app
from slipway.core.errors import UsageError
from slipway.operations import images_list, images_verify, workspace
from slipway.operations.images_push import Push, PushedImage
from slipway.operations.images_registry import login_of

A, B = (f"sha256:{each * 32}" for each in ("ab", "cd"))


def pod(name: str, *containers: tuple[str, str], field: str = "containerStatuses") -> dict[str, Any]:
    statuses = [{"name": "main", "image": image, "imageID": running} for image, running in containers]
    return {"metadata": {"namespace": "kserve", "name": name}, "status": {field: statuses}}


def test_a_list_is_read_from_a_file(tmp_path: Path):
    file = tmp_path / "images.txt"
    file.write_text("# upstream\n\nghcr.io/kserve/agent:v0.20.0  # KServe\npython:3.11\n")
    found = images_list.read(["python:3.11"], file)
    assert [str(each) for each in found] == ["docker.io/library/python:3.11", "ghcr.io/kserve/agent:v0.20.0"]


def test_a_mistake_in_a_list_is_named_by_its_line(tmp_path: Path):
    file = tmp_path / "images.txt"
    file.write_text("python:3.11\nNot An Image\n")
    with pytest.raises(UsageError, match=r"images.txt, line 2: 'Not An Image' is not a reference"):
        images_list.read([], file)


@pytest.mark.parametrize(("name", "reason"), [("none", "No such file"), (".", "Is a directory")])
def test_a_list_that_cannot_be_read_is_a_mistake(tmp_path: Path, name: str, reason: str):
    with pytest.raises(UsageError, match=reason):
        images_list.read([], tmp_path / name)


def test_an_empty_list_is_a_mistake():
    with pytest.raises(UsageError, match="No image is given"):
        images_list.read([], None)


@pytest.mark.parametrize(
    "field", ["initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses"]
)
def test_a_digest_that_is_not_listed_is_found(field):
    listed = [parse(f"ghcr.io/kserve/agent:v1@{A}")]
    pods = [
        pod("right", ("ghcr.io/kserve/agent:v1", f"ghcr.io/kserve/agent@{A}"), field=field),
        pod("mirrored", ("mirror/agent:v1", f"docker-pullable://mirror.example.org/agent@{A}"), field=field),
        pod("wrong", ("ghcr.io/kserve/agent:v1", f"ghcr.io/kserve/agent@{B}"), field=field),
    ]
    found = images_verify.compare(pods, listed)
    assert found.containers == 3
    assert [(each.pod, each.digest) for each in found.unlisted] == [("wrong", B)]


def test_an_image_without_a_registry_is_compared_by_name():
    pods = [
        pod("imported", ("slipway.local/pause:1", "sha256:" + "0" * 64)),
        pod("other", ("slipway.local/pause:2", "sha256:" + "0" * 64)),
        pod("waiting", ("slipway.local/pause:3", "")),
    ]
    found = images_verify.compare(pods, [parse("slipway.local/pause:1"), parse(f"slipway.local/pause:2@{A}")])
    assert found.containers == 2
    assert [(each.pod, each.digest) for each in found.unlisted] == [("other", None)]


class Stack:
    """A stack whose cluster answers with these pods."""

    def __init__(self, pods: dict[str, list[dict[str, Any]]]) -> None:
        self._pods = pods

    def live(self) -> "Stack":
        return self

    def read(self, path: str) -> dict[str, Any]:
        return {"items": self._pods.get(path, [])}


def test_only_the_given_namespaces_are_compared(monkeypatch):
    pods = {"/api/v1/namespaces/kserve/pods": [pod("wrong", ("a:1", f"a@{B}"))]}
    monkeypatch.setattr(workspace, "open_stack", lambda _stack, **_: Stack(pods))
    listed = [parse(f"a:1@{A}")]
    assert len(images_verify.verify("dev", listed, namespaces=["kserve"]).unlisted) == 1
    with pytest.raises(UsageError, match="no running container"):
        images_verify.verify("dev", listed, namespaces=["typo"])


def test_an_unlisted_image_ends_the_command_with_1(monkeypatch, capsys):
    pods = {"/api/v1/pods": [pod("one", ("a:1", f"a@{B}"))]}
    monkeypatch.setattr(workspace, "open_stack", lambda _stack, **_: Stack(pods))
    assert app.main(["images", "verify", f"a:1@{A}", "--stack", "dev"]) == 1
    assert B in capsys.readouterr().out
    assert app.main(["images", "verify", f"a:1@{B}", "--stack", "dev"]) == 0
    assert capsys.readouterr().out == "All 1 containers run images of the list.\n"


def test_a_login_needs_a_user_and_a_password():
    assert login_of(None, None) is None
    login = login_of("user", "secret")
    assert login
    assert (login.username, login.password.get_secret_value()) == ("user", "secret")
    for username, password in (("user", None), (None, "secret"), ("user", "")):
        with pytest.raises(UsageError):
            login_of(username, password)


def test_the_settings_name_what_a_stack_needs():
    def pushed(name: str) -> PushedImage:
        return PushedImage(name=name, reference=f"r.example.org/{name}@{A}", uploaded=5)

    push = Push(images=[pushed("kserve-controller"), pushed("pause")])
    assert push.settings == ["images:", f"  kserve_controller: r.example.org/kserve-controller@{A}"]
    assert push.uploaded == 10
    assert Push(images=[pushed("pause")]).settings == []
    every = Push(images=[pushed(field.replace("_", "-")) for field in ImageReferences.model_fields])
    ImageReferences.model_validate(yaml.safe_load("\n".join(every.settings))["images"])
