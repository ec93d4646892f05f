"""The pipelines server as a separate process, with its launcher's objects in a file."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.minio import Minio, free_port
from support.waiting import PATIENCE_SECONDS

BUCKET = "slipway-artifacts"
TENANT = "team-a"
ROOT = f"s3://{BUCKET}/{TENANT}/runs"


def launcher_objects(minio: Minio, namespace: str = TENANT, **endpoint: Any) -> str:
    """The manifests of `kfp-launcher` and its Secret in a namespace."""
    default = {
        "endpoint": minio.endpoint,
        "region": "us-east-1",
        "disableSSL": True,
        "forcePathStyle": True,
        "credentials": {
            "secretRef": {"secretName": "store-runner", "accessKeyKey": "access", "secretKeyKey": "secret"}
        },
        **endpoint,
    }
    config = {
        "kind": "ConfigMap",
        "metadata": {"name": "kfp-launcher", "namespace": namespace},
        "data": {"defaultPipelineRoot": ROOT, "providers": yaml.safe_dump({"s3": {"default": default}})},
    }
    secret = {
        "kind": "Secret",
        "metadata": {"name": "store-runner", "namespace": namespace},
        "stringData": {"access": minio.access_key, "secret": minio.secret_key},
    }
    return yaml.safe_dump_all([config, secret])


_AROUND = {
    **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
    "AWS_DEFAULT_REGION": "us-east-1",
}
"""Environment of the server: the store's endpoint like in its pod, and no key."""


@dataclass
class KfpServer:
    """A data folder and the server process, which can be killed and restarted."""

    data: Path
    launcher_config: Path
    workers: int = 4
    environment: Mapping[str, str] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    prefix: tuple[str, ...] = ()
    """Command prefix, for example to run as another user."""
    port: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return self.data.with_suffix(".log").read_text(errors="replace")

    def start(self) -> "KfpServer":
        with self.data.with_suffix(".log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *self.prefix, sys.executable, "-m", "embedded.kfp", "--host", "127.0.0.1",
                    "--port", str(self.port),
                    "--data", str(self.data), "--launcher-config", str(self.launcher_config),
                    "--namespace", TENANT, "--workers", str(self.workers), "--preload", "", *self.options,
                ],
                env={**_AROUND, **self.environment},
                stdout=log,
                stderr=subprocess.STDOUT,
            )  # fmt: skip
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                if self.get("/apis/v2beta1/healthz")[0] == 200:
                    return self
            except (urllib.error.URLError, OSError):
                time.sleep(0.05)
        raise AssertionError(f"the server did not start: {self.log[-2000:]}")

    def client(self, namespace: str = TENANT) -> Any:
        """The unmodified client of the SDK, without the developer's settings."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("HOME", str(self.data))
            from kfp import Client

            return Client(host=self.url, namespace=namespace)

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def get(self, path: str) -> tuple[int, bytes]:
        return self.request("GET", path)

    def json(self, path: str) -> Any:
        status, body = self.get(path)
        assert status == 200, (status, body)
        return json.loads(body)

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, bytes]:
        http_request = urllib.request.Request(self.url + path, body, dict(headers or {}), method=method)
        try:
            with urllib.request.urlopen(http_request, timeout=60) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, refused.read()

    def tasks(self, run_id: str) -> dict[str, Any]:
        """Tasks of a run by their path."""
        listed = self.json(f"/apis/v2beta1/runs/{run_id}/tasks")["tasks"]
        return {task["path"]: task for task in listed}

    def task_log(self, run_id: str, path: str) -> str:
        status, body = self.get(f"/apis/v2beta1/runs/{run_id}/tasks/{path}/log")
        assert status == 200, body
        return body.decode()
