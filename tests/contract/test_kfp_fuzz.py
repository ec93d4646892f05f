"""Requests that are generated from the API's description: none causes a 500 or a traceback.

The description is generated from the routes, so a route that is added is tested.
"""

import contextlib
import json
from collections.abc import Iterator

import hypothesis
import pytest
import requests
import schemathesis
from schemathesis import GenerationMode
from support.kfp_server import KfpServer

pytestmark = [pytest.mark.contract, pytest.mark.filterwarnings("ignore::DeprecationWarning")]
EXAMPLES = 12
"""Number of valid and of invalid requests for each operation."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KfpServer]:
    folder = tmp_path_factory.mktemp("kfp")
    (folder / "launcher.yaml").write_text("")
    server = KfpServer(folder / "data", folder / "launcher.yaml")
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_no_generated_request_causes_a_server_error(server: KfpServer, mode: GenerationMode) -> None:
    schema = schemathesis.openapi.from_dict(server.json("/apis/v2beta1/openapi.json"))
    sent = 0
    for result in schema.get_all_operations():
        operation = result.ok()

        @hypothesis.settings(
            max_examples=EXAMPLES, database=None, derandomize=True,
            suppress_health_check=list(hypothesis.HealthCheck),
        )  # fmt: skip
        @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
        def check(case: schemathesis.Case) -> None:
            nonlocal sent
            sent += 1
            try:
                answer = case.call(base_url=f"{server.url}/apis/v2beta1", timeout=30)
            except (ValueError, requests.exceptions.InvalidHeader):
                return  # not a valid HTTP request
            assert answer.status_code < 500, (case.method, case.formatted_path, answer.text)
            if answer.status_code >= 400 and case.method != "HEAD":
                assert {"error", "code", "message", "details"} == set(json.loads(answer.text))

        # An operation without parameters has no invalid requests.
        with contextlib.suppress(hypothesis.errors.Unsatisfiable):
            check()
    assert sent > 20 * EXAMPLES
    assert "Traceback" not in server.log
    assert server.get("/apis/v2beta1/healthz")[0] == 200
