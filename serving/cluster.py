"""Calls the Kubernetes API; the only module of `serving` that does."""

import base64
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any, Final

import urllib3
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from kubernetes.config.config_exception import ConfigException
from pydantic import SecretStr

from infra.contract import PlatformOutputs
from serving import diagnosis
from serving.inference import FIELD_MANAGER
from slipway.core.errors import FailedError, UsageError
from slipway.core.report import Report, silent
from slipway.core.waiting import changes, tries

POLL_SECONDS: Final = 0.5
REQUEST_SECONDS: Final = 15
BLOCKED_SECONDS: Final = 5.0
"""A pod that could not be created for this long won't be: ReplicaSets first retry within milliseconds."""
LOG_LINES: Final = 50
_ISVC: Final = ("serving.kserve.io", "v1beta1", "inferenceservices")

Object = dict[str, Any]


@contextmanager
def _calling(what: str) -> Iterator[None]:
    try:
        yield
    except ApiException as error:
        raise FailedError(
            f"The cluster refused to {what}.", why=f"{error.status} {error.reason}: {_message(error)}"
        ) from error
    except urllib3.exceptions.HTTPError as error:
        raise FailedError(
            f"The cluster did not answer when asked to {what}.",
            why=type(error).__name__,
            fix="Check with `slipway status` that it is up.",
        ) from error


def _message(error: ApiException) -> str:
    try:
        return str(json.loads(error.body)["message"])[:500]
    except (ValueError, KeyError, TypeError):
        return str(error.body)[:500]


class Cluster:
    """The tenant namespaces of one stack, as promotion needs them."""

    def __init__(self, api: client.ApiClient) -> None:
        self._api = api
        self._custom = client.CustomObjectsApi(api)
        self._core = client.CoreV1Api(api)
        self._apps = client.AppsV1Api(api)

    @classmethod
    def of(cls, outputs: PlatformOutputs) -> "Cluster":
        """Open the stack's cluster by the kubeconfig and the context that it names, else the user's own."""
        try:
            return cls(config.new_client_from_config(config_file=outputs.kubeconfig, context=outputs.context))
        except (ConfigException, OSError) as error:
            raise UsageError(
                f"There is no usable kubeconfig for the cluster of stack {outputs.stack!r}.",
                why=str(error),
                fix="Set KUBECONFIG to a kubeconfig for it, with the context that the outputs name.",
            ) from error

    def read_secret(self, namespace: str, name: str) -> dict[str, str]:
        """Return the decoded values of a Secret."""
        with _calling(f"read Secret {namespace}/{name}"):
            secret = self._core.read_namespaced_secret(name, namespace, _request_timeout=REQUEST_SECONDS)
        return {key: base64.b64decode(value).decode() for key, value in (secret.data or {}).items()}

    def read_config_map(self, namespace: str, name: str) -> dict[str, str]:
        """Return the values of a ConfigMap."""
        with _calling(f"read ConfigMap {namespace}/{name}"):
            answer = self._core.read_namespaced_config_map(name, namespace, _request_timeout=REQUEST_SECONDS)
        return dict(answer.data or {})

    def request_token(self, namespace: str, account: str, seconds: int, audience: str | None) -> SecretStr:
        """Request a token of a ServiceAccount; the API server may shorten the requested lifetime."""
        spec = client.V1TokenRequestSpec(audiences=[audience] if audience else [], expiration_seconds=seconds)
        with _calling(f"make a token of ServiceAccount {namespace}/{account}"):
            answer = self._core.create_namespaced_service_account_token(
                account,
                namespace,
                client.AuthenticationV1TokenRequest(spec=spec),
                _request_timeout=REQUEST_SECONDS,
            )
        return SecretStr(answer.status.token)

    def get(self, namespace: str, name: str) -> Object | None:
        """Return the InferenceService, or None."""
        with _calling(f"read InferenceService {namespace}/{name}"):
            try:
                isvc: Object = self._custom.get_namespaced_custom_object(
                    _ISVC[0], _ISVC[1], namespace, _ISVC[2], name, _request_timeout=REQUEST_SECONDS
                )
            except ApiException as error:
                if error.status == 404:
                    return None
                raise
        return isvc

    def changed_at(self, namespace: str, name: str) -> datetime:
        """Return when a Secret was last changed, to the second."""
        with _calling(f"read Secret {namespace}/{name}"):
            secret = self._core.read_namespaced_secret(name, namespace, _request_timeout=REQUEST_SECONDS)
        known = (entry.time for entry in secret.metadata.managed_fields or () if entry.time)
        latest: datetime = max((secret.metadata.creation_timestamp, *known))
        return latest

    def list_names(self, namespace: str) -> tuple[str, ...]:
        """Return the names of the namespace's InferenceServices."""
        return tuple(sorted(str(item["metadata"]["name"]) for item in self.services(namespace)))

    def services(self, namespace: str) -> list[Object]:
        """Return the InferenceServices of a namespace."""
        with _calling(f"list the InferenceServices of {namespace}"):
            listing = self._custom.list_namespaced_custom_object(
                _ISVC[0], _ISVC[1], namespace, _ISVC[2], _request_timeout=REQUEST_SECONDS
            )
        return [dict(item) for item in listing["items"]]

    def apply(self, manifest: Mapping[str, Any], *, manager: str = FIELD_MANAGER) -> None:
        """Apply an InferenceService server-side; fields that the manager omits now are removed."""
        namespace, name = manifest["metadata"]["namespace"], manifest["metadata"]["name"]
        # The generated client offers no apply patch for custom objects (kubernetes 30).
        with _calling(f"apply InferenceService {namespace}/{name}"):
            self._api.call_api(
                f"/apis/{_ISVC[0]}/{_ISVC[1]}/namespaces/{namespace}/{_ISVC[2]}/{name}",
                "PATCH",
                query_params=[
                    ("fieldManager", manager),
                    ("force", "true"),
                    ("fieldValidation", "Strict"),
                ],
                header_params={"Content-Type": "application/apply-patch+yaml", "Accept": "application/json"},
                body=dict(manifest),
                response_type="object",
                auth_settings=["BearerToken"],
                _return_http_data_only=True,
                _request_timeout=REQUEST_SECONDS,
            )

    def delete(self, namespace: str, name: str) -> None:
        """Delete the InferenceService; it may be gone already."""
        with _calling(f"delete InferenceService {namespace}/{name}"):
            try:
                self._custom.delete_namespaced_custom_object(
                    _ISVC[0], _ISVC[1], namespace, _ISVC[2], name, _request_timeout=REQUEST_SECONDS
                )
            except ApiException as error:
                if error.status != 404:
                    raise

    def wait_serving(
        self, namespace: str, name: str, storage_uri: str, *, report: Report = silent, timeout: float = 300
    ) -> None:
        """Wait until every ready pod serves `storage_uri` and the InferenceService says Ready.

        Ready alone is not enough: right after an apply it still refers to the old version.

        Raises:
            FailedError: It failed or timed out; with the cause from pods, events and conditions.
        """
        report, blocked_since = changes(report), None
        for last in tries(timeout, POLL_SECONDS):
            isvc, pods = self.get(namespace, name), self.pods(namespace, name)
            if isvc is None:
                raise FailedError(f"InferenceService {namespace}/{name} was deleted meanwhile.")
            deployment = self.deployment(namespace, name)
            state = diagnosis.examine(isvc, deployment, pods, storage_uri)
            if state.serving:
                return
            report(state.summary)
            now = time.monotonic()
            blocked_since = (blocked_since or now) if state.blocked else None
            lasting = blocked_since is not None and now - blocked_since > BLOCKED_SECONDS
            hopeless = state.hopeless or lasting
            if hopeless or last:
                causes = diagnosis.causes(
                    isvc,
                    deployment,
                    pods,
                    storage_uri,
                    events=self._events(namespace),
                    logs=self._log_ends(namespace, diagnosis.failed_containers(pods, storage_uri)),
                )
                waited = "can't become ready" if hopeless else f"is not ready after {timeout:.0f} s"
                raise FailedError(
                    f"The new version of {namespace}/{name} {waited}.",
                    why="; ".join(causes) or state.summary,
                )

    def _log_ends(self, namespace: str, failed: Mapping[diagnosis.Log, bool]) -> dict[diagnosis.Log, str]:
        """Return the ends of these logs, as far as they can be read: they only add to a diagnosis."""
        ends = {}
        for (pod, container), previous in failed.items():
            with suppress(ApiException, urllib3.exceptions.HTTPError):
                # Undecoded: the client would read a line of JSON as an object.
                answer = self._core.read_namespaced_pod_log(
                    pod,
                    namespace,
                    container=container,
                    previous=previous,
                    tail_lines=LOG_LINES,
                    _request_timeout=REQUEST_SECONDS,
                    _preload_content=False,
                )
                ends[pod, container] = answer.data.decode(errors="replace")
        return ends

    def pods(self, namespace: str, name: str) -> list[Object]:
        """Return the pods of an InferenceService."""
        selector = f"serving.kserve.io/inferenceservice={name}"
        with _calling(f"list the pods of {namespace}/{name}"):
            listing = self._core.list_namespaced_pod(
                namespace, label_selector=selector, _request_timeout=REQUEST_SECONDS
            )
        return [self._plain(pod) for pod in listing.items]

    def deployment(self, namespace: str, name: str) -> Object | None:
        """Return the Deployment of an InferenceService's predictor, or None."""
        with _calling(f"read the Deployment of {namespace}/{name}"):
            try:
                deployment = self._apps.read_namespaced_deployment(
                    f"{name}-predictor", namespace, _request_timeout=REQUEST_SECONDS
                )
            except ApiException as error:
                if error.status == 404:
                    return None
                raise
        return self._plain(deployment)

    def _events(self, namespace: str) -> list[Object]:
        try:
            listing = self._core.list_namespaced_event(namespace, _request_timeout=REQUEST_SECONDS)
        except (ApiException, urllib3.exceptions.HTTPError):
            return []  # Events only add to a diagnosis; the failure itself is being reported.
        return [self._plain(event) for event in listing.items]

    def _plain(self, typed: Any) -> Object:  # noqa: ANN401 - the client has no types
        plain: Object = self._api.sanitize_for_serialization(typed)
        return plain
