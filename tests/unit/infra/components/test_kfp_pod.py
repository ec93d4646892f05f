"""The pod of the pipelines API: which container has the token, the database and the folder of runs."""

import pytest
from support.engine import reveal
from support.recorded_platform import deploy

from infra.components.kfp.pod import hosts
from infra.settings.models import LocalSettings


@pytest.fixture(scope="module")
def pod() -> dict:
    with pytest.MonkeyPatch.context() as patch:
        engine, _ = deploy(patch, LocalSettings(environment="local"), ())
    return reveal(engine.one("kfp-server").inputs)["spec"]["template"]["spec"]


def containers(pod: dict) -> dict[str, dict]:
    return {container["name"]: container for container in (*pod["initContainers"], *pod["containers"])}


def mounted(pod: dict, name: str) -> dict[str, dict]:
    return {mount["name"]: mount for mount in containers(pod)[name]["volumeMounts"]}


def test_only_the_server_mounts_token_and_database(pod: dict) -> None:
    assert pod["automountServiceAccountToken"] is False
    mounting = {name for name in containers(pod) if {"token", "data"} & mounted(pod, name).keys()}
    assert mounting == {"api-server"}
    [token] = [volume for volume in pod["volumes"] if volume["name"] == "token"]
    sources = [next(iter(source)) for source in token["projected"]["sources"]]
    assert sources == ["serviceAccountToken", "configMap", "downwardAPI"]
    shared = mounted(pod, "api-server").keys() & mounted(pod, "steps").keys()
    assert shared <= {"work", "authority"}


def test_steps_run_as_another_user_and_mount_only_the_runs(pod: dict) -> None:
    users = {name: one["securityContext"]["runAsUser"] for name, one in containers(pod).items()}
    assert users == {"folders": 65532, "api-server": 65532, "steps": 65533}
    assert pod["securityContext"]["fsGroup"] == 65532
    assert not pod.get("shareProcessNamespace")
    assert mounted(pod, "steps")["work"] == {"name": "work", "mountPath": "/work/runs", "subPath": "runs"}
    assert containers(pod)["folders"]["command"] == ["mkdir", "-p", "-m", "2750", "/work/runs"]
    server, steps = (containers(pod)[name]["command"] for name in ("api-server", "steps"))
    assert server[server.index("--work") + 1] == "/work/runs"
    assert server[server.index("--steps-socket") + 1] == steps[steps.index("--connect") + 1]


def test_the_server_allows_its_host_names(pod: dict) -> None:
    command = containers(pod)["api-server"]["command"]
    allowed = [command[at + 1] for at, word in enumerate(command) if word == "--allow-host"]
    assert "ml-pipeline.kubeflow.svc.cluster.local" in allowed
    assert hosts("https://kfp.example.org:8443/x")[-1] == "kfp.example.org"
    assert {"ml-pipeline", "ml-pipeline.kubeflow", "ml-pipeline.kubeflow.svc"} <= set(allowed)
