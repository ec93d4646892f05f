"""KServe's own controller with its webhooks, beside an API server of the tests."""

import base64
import functools
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from support.apiserver import ApiServer, free_port
from support.certificates import certificate, new_ca
from support.waiting import eventually

from embedded.toolchain import binary
from infra.components.kserve import objects
from infra.names import KSERVE_NAMESPACE, SERVING_RUNTIME
from infra.upstream import installed, preparing
from slipway.core.report import silent
from slipway.operations.upstream_parts import BUILDER

_ADMISSION = "/apis/admissionregistration.k8s.io/v1"


@functools.cache
def documents(kind: str) -> list[dict[str, Any]]:
    """Return the objects of a kind of the installed KServe, rendered if they are not in the cache."""
    preparing.prepare(installed.locked(["kserve"]), BUILDER, silent)
    [kserve] = installed.bundled(["kserve"])
    return [each for each in kserve.documents if each["kind"] == kind]


def definition(plural: str) -> dict[str, Any]:
    """Return one of the CustomResourceDefinitions."""
    every = documents("CustomResourceDefinition")
    return next(each for each in every if each["spec"]["names"]["plural"] == plural)


def definitions(http: httpx.Client) -> None:
    """Make KServe's CustomResourceDefinitions and wait until they are served."""
    every = documents("CustomResourceDefinition")
    for definition in every:
        http.post(
            "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", json=definition
        ).raise_for_status()
    plurals = {each["spec"]["names"]["plural"] for each in every}
    eventually(lambda: _discovered(http) >= plurals)


def _discovered(http: httpx.Client) -> set[str]:
    """Return the kinds that discovery knows: the controller asks it once, at its start."""
    group = "/apis/serving.kserve.io"
    answers = [http.get(f"{group}/{version}") for version in ("v1beta1", "v1alpha1")]
    return {each["name"] for answer in answers if answer.is_success for each in answer.json()["resources"]}


@contextmanager
def controller(server: ApiServer, folder: Path) -> Iterator[None]:
    """Run the controller on loopback, with its webhooks in force, while the block does."""
    signer = new_ca()
    certificate(signer, "127.0.0.1", days=1, folder=folder)
    [chain] = folder.glob("*.pem")
    certificates = folder / "k8s-webhook-server" / "serving-certs"
    certificates.mkdir(parents=True)
    for name in ("tls.crt", "tls.key"):
        (certificates / name).write_bytes(chain.read_bytes())
    (folder / "kubeconfig").write_text(server.kubeconfig)
    webhooks, health = free_port(), free_port()
    with server.http() as http:
        _objects(http)
        environment = {
            "PATH": os.environ["PATH"],
            "TMPDIR": str(folder),
            "POD_NAMESPACE": KSERVE_NAMESPACE,
            "KUBECONFIG": str(folder / "kubeconfig"),
        }
        with (folder / "kserve.log").open("wb") as log:
            process = subprocess.Popen(
                [
                    str(binary("kserve-controller")),
                    f"--webhook-port={webhooks}",
                    f"--health-probe-addr=127.0.0.1:{health}",
                    "--metrics-addr=0",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                process_group=0,
            )
        try:
            eventually(lambda: httpx.get(f"http://127.0.0.1:{health}/readyz").status_code == 200)
            _configure(http, signer.pem, webhooks)
            yield
        finally:
            for each in _configurations():
                http.delete(f"{_ADMISSION}/{each['kind'].lower()}s/{each['metadata']['name']}")
            process.kill()
            process.wait()


def _objects(http: httpx.Client) -> None:
    """Make what the controller reads: its configuration, the runtime and the storage container."""
    namespace = {"metadata": {"name": KSERVE_NAMESPACE}}
    http.post("/api/v1/namespaces", json=namespace).raise_for_status()
    [configuration] = documents("ConfigMap")
    http.post(f"/api/v1/namespaces/{KSERVE_NAMESPACE}/configmaps", json=configuration).raise_for_status()
    runtime = objects.serving_runtime("fine:1", cpu_limit="1", memory_limit="1Gi")
    made = {"ClusterServingRuntime": (SERVING_RUNTIME, runtime)}
    made["ClusterStorageContainer"] = ("slipway-s3", objects.storage_container("fine:1"))
    for kind, (name, spec) in made.items():
        body = {
            "apiVersion": "serving.kserve.io/v1alpha1",
            "kind": kind,
            "metadata": {"name": name},
            "spec": spec,
        }
        http.post(f"/apis/serving.kserve.io/v1alpha1/{kind.lower()}s", json=body).raise_for_status()


def _configurations() -> list[dict[str, Any]]:
    return [*documents("MutatingWebhookConfiguration"), *documents("ValidatingWebhookConfiguration")]


def _configure(http: httpx.Client, ca: str, port: int) -> None:
    """Make the webhook configurations, with the controller's address in place of its Service."""
    for each in _configurations():
        hooks = [_on_loopback(hook, ca, port) for hook in each["webhooks"] if not _of_pods(hook)]
        http.post(
            f"{_ADMISSION}/{each['kind'].lower()}s", json={**each, "webhooks": hooks}
        ).raise_for_status()


def _of_pods(hook: dict[str, Any]) -> bool:
    return hook["rules"][0]["resources"] == ["pods"]


def _on_loopback(hook: dict[str, Any], ca: str, port: int) -> dict[str, Any]:
    return {
        **hook,
        "clientConfig": {
            "url": f"https://127.0.0.1:{port}{hook['clientConfig']['service']['path']}",
            "caBundle": base64.b64encode(ca.encode()).decode(),
        },
    }
