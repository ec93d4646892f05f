"""Requests to a cluster's API server, opened as kubectl opens it; errors in Slipway's words."""

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import urllib3
import yaml

from slipway.core.errors import FailedError, UsageError

if TYPE_CHECKING:
    # It takes half a second to import, which most commands and most runs of the plugin would spend for
    # nothing: only what opens a cluster or sends a request imports it.
    from kubernetes.client import ApiClient
    from kubernetes.client.exceptions import ApiException

JSON: Final = "application/json"
METADATA: Final = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
METADATA_LIST: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
"""Returns only metadata: no Secret's value and no schema is ever requested."""
_APPLY: Final = "application/apply-patch+yaml"
_SECONDS: Final = 30
"""Limit of one request; an API server on a busy machine takes more than ten seconds to apply a definition."""

_OPENING: Final = threading.Lock()
"""The client keeps certificates in files that it shares by content, and remembers one before it is written.

Where two resources opened a cluster at the same moment, one could read an empty CA certificate.
"""

Object = dict[str, Any]


class NoAnswerError(FailedError):
    """The cluster does not answer, which may pass: its API server restarts."""


class KubernetesApi:
    """One cluster's API."""

    def __init__(self, client: "ApiClient") -> None:
        """Send no request yet."""
        self._client = client
        self._plurals: dict[str, dict[str, str]] = {}
        client.rest_client.pool_manager.connection_pool_kw["retries"] = False

    @classmethod
    def open(cls, kubeconfig: Path | str | None, context: str | None = None) -> "KubernetesApi":
        """Open a cluster as kubectl does.

        Args:
            kubeconfig: its path; None for kubectl's default.
            context: of the kubeconfig; its current one by default.

        Raises:
            UsageError: there is no such kubeconfig or context.
        """
        from kubernetes import config  # noqa: PLC0415  see above
        from kubernetes.config.config_exception import ConfigException  # noqa: PLC0415

        path = None if kubeconfig is None else str(kubeconfig)
        try:
            with _OPENING:
                return cls(config.new_client_from_config(config_file=path, context=context))
        except (ConfigException, OSError) as error:
            raise _no_kubeconfig(path, error) from error

    @classmethod
    def of_content(cls, kubeconfig: str, context: str | None = None) -> "KubernetesApi":
        """Open a cluster by the content of a kubeconfig, which holds a key: no message quotes it.

        Raises:
            UsageError: it is no kubeconfig, or has no such context.
        """
        from kubernetes import config  # noqa: PLC0415  see above
        from kubernetes.config.config_exception import ConfigException  # noqa: PLC0415

        try:
            with _OPENING:
                return cls(config.new_client_from_config_dict(yaml.safe_load(kubeconfig), context=context))
        except (ConfigException, yaml.YAMLError, TypeError, AttributeError):
            raise UsageError("The stack's kubeconfig can't be read, or has no such context.") from None

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def get(self, path: str, accept: str = JSON) -> Object | None:
        """Return the object or list at a path of the API, or None where there is none.

        Raises:
            FailedError: the cluster refuses, or does not answer.
        """
        return self._call("GET", path, {"Accept": accept}, None)

    def plural(self, version: str, kind: str) -> str | None:
        """Return a kind's plural name in the API; None where the cluster does not serve it.

        Args:
            version: group and version, such as `apps/v1`.
            kind: such as `Deployment`.

        Raises:
            FailedError: the cluster refuses, or does not answer.
        """
        if kind not in self._plurals.get(version, {}):
            served = self.get(root(version)) or {"resources": []}
            self._plurals[version] = {
                each["kind"]: each["name"] for each in served["resources"] if "/" not in each["name"]
            }
        return self._plurals[version].get(kind)

    def path(self, version: str, kind: str, namespace: str, name: str) -> str | None:
        """Return the path of an object; `namespace` is empty for one of the whole cluster.

        Returns:
            None where the cluster does not serve the kind.

        Raises:
            FailedError: the cluster refuses, or does not answer.
        """
        plural = self.plural(version, kind)
        if plural is None:
            return None
        inside = f"/namespaces/{namespace}" if namespace else ""
        return f"{root(version)}{inside}/{plural}/{name}"

    def apply(self, path: str, document: Object, *, manager: str, dry_run: bool = False) -> Object:
        """Apply an object on the server's side, also over the fields of other managers.

        Args:
            path: of the object.
            document: the object.
            manager: the field manager's name.
            dry_run: change nothing; return what it would be.

        Returns:
            The object's metadata.

        Raises:
            FailedError: the cluster refuses, or does not answer.
        """
        query = f"?fieldManager={manager}&force=true" + ("&dryRun=All" if dry_run else "")
        made = self._call("PATCH", path + query, {"Accept": METADATA, "Content-Type": _APPLY}, document)
        return made or {}

    def create(self, path: str, document: Object) -> Object:
        """Create an object in the list at a path, such as a review of rights, and return the answer.

        Raises:
            FailedError: the cluster refuses, or does not answer.
        """
        made = self._call("POST", path, {"Accept": JSON, "Content-Type": JSON}, document)
        return made or {}

    def delete(self, path: str) -> None:
        """Delete an object; succeeds if there is none.

        Raises:
            FailedError: the cluster refuses, or does not answer.
        """
        self._call("DELETE", path, {"Accept": JSON}, None)

    def _call(self, method: str, path: str, headers: Mapping[str, str], body: Object | None) -> Object | None:
        from kubernetes.client.exceptions import ApiException  # noqa: PLC0415  see above

        try:
            document: Object = self._client.call_api(
                path,
                method,
                header_params=dict(headers),
                body=body,
                auth_settings=["BearerToken"],
                response_type="object",
                _return_http_data_only=True,
                _request_timeout=_SECONDS,
            )
        except ApiException as error:
            if error.status == 404 and method != "PATCH":
                return None
            raise FailedError(
                "The cluster refused a request.",
                why=f"{method} {path.partition('?')[0]}: {_reason(error)}.",
            ) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise NoAnswerError(
                "The cluster does not answer.",
                why=f"{self._client.configuration.host}: {type(error).__name__}.",
                fix="Check that it runs and can be reached from here.",
            ) from error
        return document


def contexts(kubeconfig: Path | str | None) -> list[str]:
    """Return the names of a kubeconfig's contexts.

    Args:
        kubeconfig: its path; None for kubectl's default.

    Raises:
        UsageError: there is no such kubeconfig, or it has no context.
    """
    from kubernetes import config  # noqa: PLC0415  see above
    from kubernetes.config.config_exception import ConfigException  # noqa: PLC0415

    path = None if kubeconfig is None else str(kubeconfig)
    try:
        known, _ = config.list_kube_config_contexts(path)
    except (ConfigException, OSError) as error:
        raise _no_kubeconfig(path, error) from error
    return [str(each["name"]) for each in known]


def _no_kubeconfig(path: str | None, error: Exception) -> UsageError:
    return UsageError(
        f"The cluster can't be reached by kubeconfig {path or '(default)'}.",
        why=str(error),
        fix="Name a kubeconfig and a context that exist.",
    )


def root(version: str) -> str:
    """Return the path of a group and version, such as `apps/v1` or `v1`."""
    return f"/apis/{version}" if "/" in version else f"/api/{version}"


def _reason(error: "ApiException") -> str:
    """Return the status, and the message of the API server where it sent one."""
    try:
        message = str(yaml.safe_load(error.body)["message"]).rstrip(".")
    except (yaml.YAMLError, KeyError, TypeError, AttributeError):
        message = ""
    return f"{error.status} {message or error.reason}"
