"""KServe's own controller with its webhooks, beside an API server of the tests."""

import base64
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

from embedded.toolchain import binary, kserve_manifests
from infra.components.kserve import objects
from infra.components.kserve.manifests import load_crds
from infra.components.kserve.objects import Webhook
from infra.names import KSERVE_NAMESPACE, SERVING_RUNTIME

_HOOKS = (objects.DEFAULTER, *objects.VALIDATING)
_ADMISSION = "/apis/admissionregistration.k8s.io/v1"


def definitions(http: httpx.Client) -> None:
    """Make KServe's CustomResourceDefinitions and wait until they are served."""
    for definition in load_crds(kserve_manifests()).values():
        definition["spec"].pop("conversion", None)  # one version each: nothing to convert
        http.post(
            "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", json=definition
        ).raise_for_status()
    eventually(lambda: len(_discovered(http)) == len(objects.CRDS))


def _discovered(http: httpx.Client) -> set[str]:
    """Return the kinds that discovery knows: the controller asks it once, at its start."""
    group = "/apis/serving.kserve.io"
    answers = [http.get(f"{group}/{version}") for version in ("v1beta1", "v1alpha1")]
    resources = [each for answer in answers if answer.is_success for each in answer.json()["resources"]]
    return {each["name"] for each in resources} & {*objects.CRDS}


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
            for hook in _HOOKS:
                http.delete(f"{_ADMISSION}/{_configuration(hook).lower()}s/{hook.configuration}")
            process.kill()
            process.wait()


def _objects(http: httpx.Client) -> None:
    """Make what the controller reads: its configuration, the runtime and the storage container."""
    namespace = {"metadata": {"name": KSERVE_NAMESPACE}}
    http.post("/api/v1/namespaces", json=namespace).raise_for_status()
    http.post(
        f"/api/v1/namespaces/{KSERVE_NAMESPACE}/configmaps",
        json={
            "metadata": {"name": objects.CONFIG_NAME},
            "data": objects.controller_config("fine:1"),
        },
    ).raise_for_status()
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


def _configure(http: httpx.Client, ca: str, port: int) -> None:
    for hook in _HOOKS:
        kind = _configuration(hook)
        body = {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": kind,
            "metadata": {"name": hook.configuration},
            "webhooks": [_webhook(hook, ca, port)],
        }
        http.post(f"{_ADMISSION}/{kind.lower()}s", json=body).raise_for_status()


def _configuration(hook: Webhook) -> str:
    mutating = hook is objects.DEFAULTER
    return "MutatingWebhookConfiguration" if mutating else "ValidatingWebhookConfiguration"


def _webhook(hook: Webhook, ca: str, port: int) -> dict[str, Any]:
    return {
        "name": hook.name,
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "clientConfig": {
            "url": f"https://127.0.0.1:{port}{hook.path}",
            "caBundle": base64.b64encode(ca.encode()).decode(),
        },
        "rules": [
            {
                "apiGroups": [hook.group],
                "apiVersions": [hook.version],
                "operations": [*hook.operations],
                "resources": [hook.resource],
            }
        ],
    }
