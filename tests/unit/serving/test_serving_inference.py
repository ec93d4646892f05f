"""The InferenceService, and its predictions."""

import json

import httpx
import pytest
from support.models import with_categories
from support.platform import outputs

from serving import predict
from serving.inference import ServedVersion, manifest
from slipway.core.errors import FailedError, UsageError
from tabular.schema import ModelSchema

DIGEST = "a" * 64
URI = f"s3://models/team-a/churn/versions/{DIGEST}/files"


def version(**changes: object) -> ServedVersion:
    fields = {
        "model": "churn",
        "digest": DIGEST,
        "storage_uri": URI,
        "promotion": 3,
        "run_id": "run-1",
        "pipeline_digest": "b" * 64,
        "git_commit": "c" * 40,
        "data_sha256": "d" * 64,
    }
    return ServedVersion(**(fields | changes))


def test_the_manifest_carries_identity_lineage_and_limits():
    made = manifest(outputs(), "team-a", version())
    predictor = made["spec"]["predictor"]
    assert made["apiVersion"] == "serving.kserve.io/v1beta1"
    assert (made["metadata"]["name"], made["metadata"]["namespace"]) == ("churn", "team-a")
    assert predictor["serviceAccountName"] == "model-server"
    assert predictor["model"]["storageUri"] == URI
    assert predictor["model"]["runtime"] == "slipway-onnx"
    assert predictor["model"]["resources"]["limits"] == {"cpu": "1", "memory": "1Gi"}
    assert predictor["deploymentStrategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    assert (predictor["minReplicas"], predictor["maxReplicas"]) == (1, 1)
    annotations = made["metadata"]["annotations"]
    assert annotations["serving.kserve.io/deploymentMode"] == "Standard"
    assert {key.removeprefix("slipway.dev/"): value for key, value in annotations.items()} | {
        "model-digest": DIGEST,
        "promotion": "3",
        "run-id": "run-1",
        "pipeline-digest": "b" * 64,
        "git-commit": "c" * 40,
        "data-digest": "d" * 64,
    } == {key.removeprefix("slipway.dev/"): value for key, value in annotations.items()}
    assert all(isinstance(value, str) for value in annotations.values())
    assert json.loads(json.dumps(made)) == made


def test_limits_are_those_of_the_outputs():
    """They were written here once, and the settings changed nothing."""
    platform = outputs()
    serving = platform.serving.model_copy(update={"model_memory": "2Gi", "model_cpu": "500m"})
    made = manifest(platform.model_copy(update={"serving": serving}), "team-a", version())
    resources = made["spec"]["predictor"]["model"]["resources"]
    assert resources["limits"] == {"cpu": "500m", "memory": "2Gi"}
    assert resources["requests"] == {"cpu": "100m", "memory": "128Mi"}


def test_served_by_a_deployment_without_an_autoscaler():
    annotations = manifest(outputs(), "team-a", version())["metadata"]["annotations"]
    assert annotations["serving.kserve.io/deploymentMode"] == "Standard"
    assert annotations["serving.kserve.io/autoscalerClass"] == "none"


def test_the_pod_is_restricted():
    predictor = manifest(outputs(), "team-a", version())["spec"]["predictor"]
    assert predictor["securityContext"] == {
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert predictor["model"]["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
    }
    assert predictor["automountServiceAccountToken"] is False


@pytest.mark.parametrize(
    "uri",
    [
        f"s3://models/team-b/churn/versions/{DIGEST}/files",
        f"s3://models/team-ab/churn/versions/{DIGEST}/files",
        f"s3://models/team-a/other/versions/{DIGEST}/files",
        f"s3://models/team-a/churn/versions/{'e' * 64}/files",
        "pvc://x",
        "http://169.254.169.254/latest",
        "hf://x/y",
        URI + "/more",
    ],
)
def test_what_is_not_the_tenants_own_version_is_refused(uri):
    with pytest.raises(UsageError, match="is not a version of team-a's model"):
        manifest(outputs(), "team-a", version(storage_uri=uri))


@pytest.mark.parametrize("value", ["", "two words", "a\n", "<b>", "x" * 201])
@pytest.mark.parametrize("field", ["run_id", "pipeline_digest", "git_commit", "data_sha256"])
def test_lineage_that_admission_would_refuse_is_refused(field, value):
    with pytest.raises(UsageError, match="can't be a value of the annotation"):
        manifest(outputs(), "team-a", version(**{field: value}))


@pytest.fixture
def answering(monkeypatch):
    """Let `httpx.post` meet a handler instead of a network."""

    def answer(handler):
        client = httpx.Client(transport=httpx.MockTransport(handler))
        monkeypatch.setattr(httpx, "post", client.post)

    return answer


SCHEMA = ModelSchema(**with_categories(60).schema.model_dump(), frameworks={}, parameters={})
ROWS = with_categories(60).held_out.slice(0, 2)


def answered(*labels: str, probabilities: object = (1, 0, 0, 0, 0.5, 0.5)) -> dict[str, object]:
    outputs = [{"name": "label", "data": labels}, {"name": "probabilities", "data": probabilities}]
    return {"outputs": outputs}


def test_rows_travel_by_name_and_labels_come_back(answering):
    def handler(request):
        body = json.loads(request.content)
        assert str(request.url).endswith("/serving/team-a/churn/v2/models/churn/infer")
        tensors = {each["name"]: (each["datatype"], each["shape"], each["data"]) for each in body["inputs"]}
        assert tensors["n0"] == ("FP32", [2], ROWS["n0"].to_pylist())
        assert tensors["colour"] == ("BYTES", [2], ROWS["colour"].to_pylist())
        assert list(tensors) == ["n0", "n1", "colour", "code"]
        return httpx.Response(200, json=answered("high", "none"))

    answering(handler)
    answers = predict.ask(predict.url_of(outputs(), "team-a", "churn"), SCHEMA, ROWS)
    assert answers.labels.tolist() == ["high", "none"]
    assert answers.probabilities.tolist() == [[1, 0, 0], [0, 0.5, 0.5]]


@pytest.mark.parametrize("status", [404, 429, 500, 502, 503])
def test_an_endpoint_that_is_not_there_yet_may_be_asked_again(answering, status):
    answering(lambda request: httpx.Response(status, text="no"))
    with pytest.raises(predict.NotAnsweringError, match=str(status)):
        predict.ask("http://x", SCHEMA, ROWS)


@pytest.mark.parametrize(
    "response",
    [
        httpx.Response(400, text="bad shape"),
        httpx.Response(200, text="hello"),
        httpx.Response(200, json={"outputs": []}),
        httpx.Response(200, json=answered("high")),
        httpx.Response(200, json=answered("high", "other")),
        httpx.Response(200, json=answered("high", "low", probabilities=[1])),
    ],
)
def test_an_answer_without_a_class_per_row_is_a_failure(answering, response):
    answering(lambda request: response)
    with pytest.raises(FailedError) as failed:
        predict.ask("http://x", SCHEMA, ROWS)
    assert not isinstance(failed.value, predict.NotAnsweringError)
