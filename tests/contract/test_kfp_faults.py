"""Runs when the server, a step or the store fails."""

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from kfp import dsl
from support import kfp_cases as steps
from support.kfp_server import BUCKET, ROOT, TENANT, KfpServer, launcher_objects
from support.minio import Minio, running_minio
from support.waiting import eventually, gone

pytestmark = [pytest.mark.contract, pytest.mark.filterwarnings("ignore::FutureWarning")]
CANARY = "CANARY-of-the-servers-environment"


@dsl.pipeline(name="slow")
def slow(seconds: float) -> None:
    steps.sleeps(seconds=seconds)


@dsl.pipeline(name="quick")
def quick() -> None:
    steps.writes(content="x")


@pytest.fixture(scope="module")
def minio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Minio]:
    with running_minio(tmp_path_factory.mktemp("minio")) as server:
        server.client().create_bucket(Bucket=BUCKET)
        yield server


@pytest.fixture
def server(tmp_path: Path, minio: Minio) -> Iterator[KfpServer]:
    (tmp_path / "launcher.yaml").write_text(launcher_objects(minio))
    server = KfpServer(tmp_path / "data", tmp_path / "launcher.yaml", environment={"SECRET_THING": CANARY})
    try:
        yield server.start()
    finally:
        server.stop()


def started(server: KfpServer, pipeline: Any, **arguments: Any) -> str:
    run = server.client().create_run_from_pipeline_func(
        pipeline, arguments=arguments, namespace=TENANT, enable_caching=False
    )
    return str(run.run_id)


def state(server: KfpServer, run_id: str) -> Any:
    return server.json(f"/apis/v2beta1/runs/{run_id}")


def until(server: KfpServer, run_id: str, *states: str) -> Any:
    def ended() -> Any:
        run = state(server, run_id)
        return run if run["state"] in states else None

    return eventually(ended)


def step_is_running(server: KfpServer, run_id: str) -> int:
    """Wait for the step's process and return its pid."""

    def look() -> int:
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                with suppress(OSError):
                    if str((folder / "cwd").readlink()).startswith(str(server.data / "work" / run_id)):
                        return int(folder.name)
        return 0

    return eventually(look)


def test_a_killed_server_kills_steps_and_records_it(server: KfpServer) -> None:
    ended = started(server, quick)
    until(server, ended, "SUCCEEDED")
    run_id = started(server, slow, seconds=600)
    pid = step_is_running(server, run_id)
    server.kill()
    eventually(lambda: gone(pid))
    server.start()
    run = state(server, run_id)
    assert run["state"] == "FAILED"
    assert "server was stopped" in run["error"]["message"]
    assert server.tasks(run_id)["sleeps"]["state"] == "FAILED"
    assert state(server, ended)["state"] == "SUCCEEDED"
    until(server, started(server, quick), "SUCCEEDED")


def test_a_stopped_server_ends_its_steps_and_runs(server: KfpServer) -> None:
    run_id = started(server, slow, seconds=600)
    pid = step_is_running(server, run_id)
    server.stop()
    eventually(lambda: gone(pid))
    server.start()
    assert state(server, run_id)["state"] == "FAILED"


def test_terminate_kills_the_step(server: KfpServer) -> None:
    run_id = started(server, slow, seconds=600)
    pid = step_is_running(server, run_id)
    server.client().terminate_run(run_id)
    eventually(lambda: gone(pid))
    until(server, run_id, "CANCELED")
    assert server.tasks(run_id)["sleeps"]["state"] == "CANCELED"
    status, body = server.request("POST", f"/apis/v2beta1/runs/{run_id}:terminate")
    assert (status, json.loads(body)["code"]) == (400, 9)


def test_a_killed_step_fails_with_the_signal(server: KfpServer) -> None:
    run_id = started(server, slow, seconds=600)
    os.kill(step_is_running(server, run_id), 9)
    run = until(server, run_id, "FAILED")
    assert "signal 9" in run["error"]["message"]


def test_the_step_parent_is_restarted(server: KfpServer) -> None:
    run_id = started(server, slow, seconds=600)
    step = step_is_running(server, run_id)
    parent = int(Path(f"/proc/{step}/stat").read_text().rsplit(")", 1)[1].split()[1])
    os.kill(parent, 9)
    assert "ended unexpectedly" in until(server, run_id, "FAILED")["error"]["message"]
    eventually(lambda: gone(step))
    until(server, started(server, quick), "SUCCEEDED")


def test_an_artifact_changed_in_the_store_is_not_used(server: KfpServer, minio: Minio) -> None:
    @dsl.pipeline(name="tampered")
    def tampered(forged: str) -> None:
        made = steps.writes(content="genuine")
        pause = steps.waits(path=forged).after(made)
        steps.reads(data=made.outputs["data"]).after(pause)

    forged = server.data.parent / "forged"
    run_id = started(server, tampered, forged=str(forged))
    key = f"{TENANT}/runs/tampered/{run_id}/writes/data"
    eventually(lambda: server.tasks(run_id)["writes"]["state"] == "SUCCEEDED")
    assert key in minio.keys(BUCKET, key)
    minio.client().put_object(Bucket=BUCKET, Key=key, Body=b"forged")
    forged.touch()
    run = until(server, run_id, "FAILED", "SUCCEEDED")
    assert run["state"] == "FAILED"
    assert "digest differs" in run["error"]["message"]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda text: text.replace("kfp-launcher", "other"), "no ConfigMap kfp-launcher"),
        (lambda text: text.replace("name: store-runner", "name: other"), "no Secret store-runner"),
        (lambda text: text.replace("secret: ", "other: "), "no key 'secret'"),
        (lambda text: text.replace("disableSSL", "disableTLS"), "disableTLS"),
    ],
)
def test_an_invalid_launcher_config_is_reported(server: KfpServer, spoil: Any, message: str) -> None:
    until(server, started(server, quick), "SUCCEEDED")
    good = server.launcher_config.read_text()
    server.launcher_config.write_text(spoil(good))
    assert server.launcher_config.read_text() != good
    assert message in until(server, started(server, quick), "FAILED")["error"]["message"]


def test_a_refused_key_fails_the_run_and_is_not_logged(
    server: KfpServer, minio: Minio, tmp_path: Path
) -> None:
    wrong = "WRONG-secret-key-of-realistic-length-0123"
    server.launcher_config.write_text(launcher_objects(Minio(minio.endpoint, minio.access_key, wrong)))
    run_id = started(server, quick)
    run = until(server, run_id, "FAILED")
    assert "SignatureDoesNotMatch" in run["error"]["message"]
    server.launcher_config.write_text(launcher_objects(minio))
    until(server, started(server, quick), "SUCCEEDED")
    server.stop()
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "launcher.yaml"]
    text = b"".join(path.read_bytes() for path in files)
    assert run_id.encode() in text
    for secret in (wrong, minio.secret_key, CANARY):
        assert secret.encode() not in text


def test_artifacts_are_stored_in_the_runs_root(server: KfpServer, minio: Minio) -> None:
    run = server.client().create_run_from_pipeline_func(
        quick, namespace=TENANT, pipeline_root=f"{ROOT}/elsewhere", enable_caching=False
    )
    until(server, run.run_id, "SUCCEEDED")
    assert f"{TENANT}/runs/elsewhere/quick/{run.run_id}/writes/data" in minio.keys(
        BUCKET, f"{TENANT}/runs/elsewhere"
    )
