"""The API with the unmodified client and plain HTTP: names, pages, filters, error codes."""

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kfp import compiler, dsl
from support import kfp_cases as steps
from support.kfp_server import BUCKET, TENANT, KfpServer, launcher_objects
from support.minio import running_minio

pytestmark = [pytest.mark.contract, pytest.mark.filterwarnings("ignore::FutureWarning")]
API = "/apis/v2beta1"


@dsl.pipeline(name="small")
def small(value: int = 3) -> None:
    steps.number(value=value)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KfpServer]:
    folder = tmp_path_factory.mktemp("kfp")
    with running_minio(folder) as minio:
        minio.client().create_bucket(Bucket=BUCKET)
        (folder / "launcher.yaml").write_text(launcher_objects(minio))
        server = KfpServer(folder / "data", folder / "launcher.yaml")
        try:
            yield server.start()
        finally:
            server.stop()


@pytest.fixture(scope="module")
def client(server: KfpServer) -> Any:
    return server.client()


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ir") / "small.yaml"
    compiler.Compiler().compile(small, str(path))
    return path


def name() -> str:
    return f"n-{uuid.uuid4().hex[:8]}"


def upload(server: KfpServer, data: bytes, pipeline: str) -> tuple[int, Any]:
    body = b'--X\r\nContent-Disposition: form-data; name="uploadfile"; filename="p.yaml"\r\n\r\n' + data
    headers = {"Content-Type": "multipart/form-data; boundary=X"}
    status, answer = server.request(
        "POST", f"{API}/pipelines/upload?name={pipeline}", body + b"\r\n--X--\r\n", headers
    )
    return status, json.loads(answer)


def post(server: KfpServer, path: str, body: Any) -> tuple[int, Any]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    status, answer = server.request("POST", API + path, data, {"Content-Type": "application/json"})
    return status, json.loads(answer)


def test_pipelines_are_uploaded_listed_and_deleted(client: Any, package: Path) -> None:
    first = name()
    uploaded = client.upload_pipeline(str(package), pipeline_name=first, description="d")
    second = client.upload_pipeline_version(str(package), "v2", pipeline_name=first, description="git 123")
    assert client.get_pipeline_id(first) == uploaded.pipeline_id
    assert client.get_pipeline(uploaded.pipeline_id).description == "d"
    versions = client.list_pipeline_versions(
        uploaded.pipeline_id, sort_by="created_at desc"
    ).pipeline_versions
    assert [version.display_name for version in versions] == ["v2", first]
    version = client.get_pipeline_version(uploaded.pipeline_id, second.pipeline_version_id)
    assert (version.description, version.pipeline_spec["pipelineInfo"]["name"]) == ("git 123", "small")
    for one in versions:
        client.delete_pipeline_version(uploaded.pipeline_id, one.pipeline_version_id)
    client.delete_pipeline(uploaded.pipeline_id)
    assert client.get_pipeline_id(first) is None


def test_names_are_unique(client: Any, server: KfpServer, package: Path) -> None:
    taken = name()
    assert upload(server, package.read_bytes(), taken)[0] == 200
    status, body = upload(server, package.read_bytes(), taken)
    assert (status, body["code"]) == (409, 6)
    assert taken in body["message"]
    assert {"error", "code", "message", "details"} == set(body)
    created = client.create_experiment(taken, namespace=TENANT)
    assert client.create_experiment(taken, namespace=TENANT).experiment_id == created.experiment_id
    assert post(server, "/experiments", {"display_name": taken, "namespace": TENANT})[0] == 409
    assert post(server, "/experiments", {"display_name": taken, "namespace": "team-b"})[0] == 200


def test_runs_are_created_listed_and_deleted(client: Any, package: Path) -> None:
    pipeline = client.upload_pipeline(str(package), pipeline_name=name())
    version = client.list_pipeline_versions(pipeline.pipeline_id).pipeline_versions[0]
    experiment = client.create_experiment(name(), namespace=TENANT)
    run = client.run_pipeline(
        experiment.experiment_id, "job", pipeline_id=pipeline.pipeline_id,
        version_id=version.pipeline_version_id, params={"value": 7}, service_account="pipeline-runner",
    )  # fmt: skip
    ended = client.wait_for_run_completion(run.run_id, 60, sleep_duration=0.05)
    assert (ended.state, ended.service_account, ended.runtime_config.parameters) == (
        "SUCCEEDED", "pipeline-runner", {"value": 7},
    )  # fmt: skip
    [task] = ended.run_details.task_details
    assert (task.display_name, task.state) == ("number", "SUCCEEDED")
    assert task.create_time <= task.start_time <= task.end_time
    assert [entry.state for entry in ended.state_history] == ["PENDING", "RUNNING", "SUCCEEDED"]
    listed = client.list_runs(experiment_id=experiment.experiment_id, namespace=TENANT).runs
    assert [one.run_id for one in listed] == [run.run_id]
    client.archive_run(run.run_id)
    assert client.get_run(run.run_id).storage_state == "ARCHIVED"
    client.unarchive_run(run.run_id)
    client.delete_run(run.run_id)
    assert (
        client.list_runs(experiment_id=experiment.experiment_id).runs is None
        or not client.list_runs(experiment_id=experiment.experiment_id).runs
    )
    client.archive_experiment(experiment.experiment_id)
    client.delete_experiment(experiment.experiment_id)


def test_pages_and_filters(server: KfpServer, client: Any) -> None:
    prefix = name()
    for number in range(5):
        client.create_experiment(f"{prefix}-{number}", namespace="paged")
    seen, token = [], ""
    while True:
        page = client.list_experiments(
            namespace="paged", page_token=token, page_size=2, sort_by="display_name desc"
        )
        seen += [one.display_name for one in page.experiments]
        token = page.next_page_token
        if not token:
            break
        client.create_experiment(f"{prefix}-z{len(seen)}", namespace="paged")
    assert seen == [f"{prefix}-{number}" for number in (4, 3, 2, 1, 0)]
    substring = json.dumps(
        {"predicates": [{"operation": "IS_SUBSTRING", "key": "name", "stringValue": prefix[2:] + "-3"}]}
    )
    matches = client.list_experiments(namespace="paged", filter=substring)
    assert [one.display_name for one in matches.experiments] == [f"{prefix}-3"]
    assert matches.total_size == 1


@pytest.mark.parametrize("query", [
    "page_token=x", "page_size=-1", "page_size=x", "sort_by=spec", "sort_by=id;drop", "filter=[",
    "filter=%7B%22predicates%22%3A%5B%7B%22key%22%3A%221%3D1%22%7D%5D%7D",
])  # fmt: skip
def test_an_invalid_list_option_is_refused(server: KfpServer, query: str) -> None:
    status, body = server.get(f"{API}/runs?{query}")
    assert (status, json.loads(body)["code"]) == (400, 3)
    assert server.get(f"{API}/runs?page_size=2&sort_by=created_at%20desc")[0] == 200


@pytest.mark.parametrize("path", [
    "/runs/{}", "/experiments/{}", "/pipelines/{}", "/pipelines/{}/versions", "/runs/{}/tasks",
    "/runs/{}/tasks/a/b/log", "/pipelines/{}/versions/{}",
])  # fmt: skip
def test_unknown_ids_are_404_and_malformed_ids_400(server: KfpServer, path: str) -> None:
    status, body = server.get(API + path.replace("{}", str(uuid.uuid4())))
    assert (status, json.loads(body)["code"]) == (404, 5)
    for wrong in ("none", "..", str(uuid.uuid4())[:-1]):
        status, body = server.get(API + path.replace("{}", wrong))
        assert (status, json.loads(body)["code"]) == (400, 3)


@pytest.mark.parametrize("path", ["/pipelines/names/none", "/nothing"])
def test_unknown_paths_are_404(server: KfpServer, path: str) -> None:
    status, body = server.get(API + path)
    assert (status, json.loads(body)["code"]) == (404, 5)


def test_pipelines_without_a_namespace_are_shared(client: Any, package: Path) -> None:
    shared, own = name(), name()
    client.upload_pipeline(str(package), pipeline_name=shared)
    client.upload_pipeline(str(package), pipeline_name=own, namespace="team-c")
    listed = client.list_pipelines(namespace="team-c", page_size=200).pipelines
    assert {shared, own} <= {pipeline.display_name for pipeline in listed}
    others = client.list_pipelines(namespace="team-d", page_size=200).pipelines
    assert own not in {pipeline.display_name for pipeline in others}


def test_a_run_is_validated_before_it_starts(server: KfpServer, client: Any, package: Path) -> None:
    pipeline = client.upload_pipeline(str(package), pipeline_name=name())
    reference = {"pipeline_id": pipeline.pipeline_id}

    def run(parameters: Any, **more: Any) -> tuple[int, Any]:
        body = {"display_name": "r", "pipeline_version_reference": reference,
                "runtime_config": {"parameters": parameters}, **more}  # fmt: skip
        status, answer = post(server, "/runs", body)
        return status, answer.get("message", "")

    assert run({"value": 5})[0] == 200
    assert run({"value": "5"}) == (400, "parameter 'value': expected an integer, got \"5\"")
    assert run({"value": 1.5})[0] == 400
    assert run({"other": 1})[0] == 400
    assert run({}, experiment_id=str(uuid.uuid4()))[0] == 404
    assert run({}, experiment_id="none")[0] == 400
    assert run({}, experiment_id=5)[0] == 400
    assert run({}, service_account="../x")[0] == 400
    assert run({}, invented=1)[0] == 400
    assert run([])[0] == 400
    assert run({}, runtime_config={"pipeline_root": "s3://bucket/../up"})[0] == 400
    assert run({}, runtime_config={"pipeline_root": "file:///etc"})[0] == 400
    assert run({}, pipeline_version_reference={})[0] == 400
    assert run({}, pipeline_version_reference={"pipeline_id": str(uuid.uuid4())})[0] == 404
    assert run({}, pipeline_version_reference={"pipeline_id": "none"})[0] == 400
    assert run({}, pipeline_version_reference=[])[0] == 400
    assert post(server, "/runs", b"{")[0] == 400
    assert post(server, "/runs", b"[]")[0] == 400


def test_uploads_are_refused_with_exact_codes(server: KfpServer, package: Path) -> None:
    good = package.read_bytes()
    assert upload(server, good, name())[0] == 200
    assert upload(server, b"", name())[0] == 400
    assert upload(server, b"\xff", name())[0] == 400
    assert upload(server, b"a: &a [*a]", name())[0] == 400
    assert upload(server, good.replace(b"schemaVersion: 2.1.0", b"schemaVersion: 9.0.0"), name())[0] == 400
    assert upload(server, b"#" * (32 * 1024 * 1024 + 1), name())[0] == 413
    assert upload(server, good, "x" * 200)[0] == 400
    assert server.request("POST", f"{API}/pipelines/upload?name=x", b"{}")[0] == 415
    assert server.request("POST", f"{API}/pipelines/upload?name=x")[0] == 400
    assert server.get(f"{API}/healthz")[0] == 200


def test_recurring_runs_are_refused_by_name(server: KfpServer) -> None:
    status, body = post(server, "/recurringruns", {"display_name": "r"})
    assert (status, body["code"]) == (400, 9)
    assert "recurring runs are not supported" in body["message"]


def test_healthz_reports_no_authentication(server: KfpServer) -> None:
    health = server.json(f"{API}/healthz")
    assert health["multi_user"] is False
    assert health["authentication"] == "none"


def test_the_page_shows_runs_and_escapes_text(server: KfpServer, client: Any, package: Path) -> None:
    run = client.create_run_from_pipeline_package(
        str(package), arguments={}, run_name="<script>alert(1)</script>", namespace=TENANT
    )
    client.wait_for_run_completion(run.run_id, 60, sleep_duration=0.05)
    for path in ("/", f"/runs/{run.run_id}"):
        status, body = server.get(path)
        assert status == 200
        assert b"&lt;script&gt;" in body
        assert b"<script" not in body
    assert b"SUCCEEDED" in server.get(f"/runs/{run.run_id}")[1]
