r"""Gives a webhook's Service its certificate and tells the API server to trust it. Runs as a Job.

    python3 -m infra.jobs.webhook_certificates --namespace kserve --secret NAME --service NAME \
        --mutating NAME… --validating NAME… [--renew-before-days 30]

Every option can come from the environment instead: SLIPWAY_NAMESPACE, SLIPWAY_SECRET,
SLIPWAY_SERVICE, SLIPWAY_MUTATING, SLIPWAY_VALIDATING (names with commas). A rerun changes nothing
until the certificate is about to end. `caBundle` is applied under a field manager of its own, so
that whoever applies the rest of the configuration does not take it away.
"""

import argparse
import base64
import binascii
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import urllib3.exceptions
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException

from infra.jobs.certificates import Serving, defect, issue, names_of, with_previous
from infra.names import PART_OF
from slipway.core.errors import FailedError, SlipwayError, UsageError
from slipway.core.report import Report

FIELD_MANAGER: Final = "slipway-webhook-certificates"
_GROUP: Final = "/apis/admissionregistration.k8s.io/v1"
_KINDS: Final = {
    "mutatingwebhookconfigurations": "MutatingWebhookConfiguration",
    "validatingwebhookconfigurations": "ValidatingWebhookConfiguration",
}
_PATIENCE: Final = (5, 30)
"""Seconds to connect to the API server and to wait for its answer."""


@dataclass(frozen=True)
class Order:
    """What is to be certified, and who is to trust it."""

    namespace: str
    secret: str
    service: str
    mutating: tuple[str, ...]
    validating: tuple[str, ...]
    renew_before: timedelta = timedelta(days=30)

    def configurations(self) -> list[str]:
        """Return the API paths of the webhook configurations."""
        each = zip(_KINDS, (self.mutating, self.validating), strict=True)
        return [f"{_GROUP}/{plural}/{name}" for plural, names in each for name in names]


def certify(api: client.ApiClient, order: Order, now: datetime, report: Report) -> int:
    """Renew the certificate if it must be, have it trusted, and return how many objects changed.

    The new authority is trusted before the new certificate is shown, and the old one as long as it
    is valid, so that no call fails in between.

    Raises:
        FailedError: A configuration is missing, or another run renews at the same time.
    """
    cluster = Cluster(api)
    path = f"/api/v1/namespaces/{order.namespace}/secrets"
    stored = cluster.get(f"{path}/{order.secret}")
    serving = _serving(stored)
    names = names_of(order.service, order.namespace)
    reason = "there is none" if serving is None else defect(serving, names, now, order.renew_before)
    if reason:
        previous = serving.authorities if serving else b""
        serving = with_previous(issue(names, now), previous, now)
    assert serving is not None
    changed = sum(_trust(cluster, each, serving.authorities, report) for each in order.configurations())
    if reason:
        cluster.write(path, _secret(order, serving, stored))
        report(f"issued a certificate for {names[2]}: {reason}")
        changed += 1
    return changed


class Cluster:
    """The few calls that the Job makes, with its own words for what can go wrong."""

    def __init__(self, api: client.ApiClient) -> None:
        self._api = api

    def get(self, path: str) -> dict[str, Any] | None:
        """Return an object, or None where there is none."""
        try:
            return self._call("GET", path)
        except ApiException as error:
            if error.status == 404:
                return None
            raise

    def write(self, collection: str, body: dict[str, Any]) -> None:
        """Create or replace an object; whoever was faster wins."""
        metadata = body["metadata"]
        try:
            if "resourceVersion" in metadata:
                self._call("PUT", f"{collection}/{metadata['name']}", body)
            else:
                self._call("POST", collection, body)
        except ApiException as error:
            if error.status == 409:
                raise FailedError(
                    f"The Secret {metadata['name']} was changed at the same time.", fix="It is tried again."
                ) from error
            raise

    def apply(self, path: str, body: dict[str, Any]) -> None:
        """Apply fields of an object as their manager."""
        query = [("fieldManager", FIELD_MANAGER), ("force", "true")]
        self._call("PATCH", path, body, query=query, content_type="application/apply-patch+yaml")

    def _call(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        *,
        query: Sequence[tuple[str, str]] = (("fieldManager", FIELD_MANAGER),),
        content_type: str = "application/json",
    ) -> dict[str, Any]:
        answer = self._api.call_api(
            path,
            method,
            query_params=[] if method == "GET" else list(query),
            header_params={"Accept": "application/json", "Content-Type": content_type},
            body=body,
            response_type="object",
            auth_settings=["BearerToken"],
            _return_http_data_only=True,
            _request_timeout=_PATIENCE,
        )
        found: dict[str, Any] = answer
        return found


def _trust(cluster: Cluster, path: str, authorities: bytes, report: Report) -> bool:
    """Have every webhook of a configuration trust the authorities; say whether that is new."""
    found = cluster.get(path)
    kind, name = path.split("/")[-2:]
    if found is None:
        raise FailedError(f"There is no {name} among the {kind}.", fix="It must be made before this runs.")
    bundle = base64.b64encode(authorities).decode()
    hooks = found.get("webhooks") or []
    if all(hook["clientConfig"].get("caBundle") == bundle for hook in hooks):
        return False
    cluster.apply(
        path,
        {
            "apiVersion": found.get("apiVersion", "admissionregistration.k8s.io/v1"),
            "kind": _KINDS[kind],
            "metadata": {"name": name},
            "webhooks": [{"name": hook["name"], "clientConfig": {"caBundle": bundle}} for hook in hooks],
        },
    )
    report(f"{name} trusts the certificate's authority")
    return True


def _serving(secret: Mapping[str, Any] | None) -> Serving | None:
    if secret is None:
        return None
    data = secret.get("data") or {}
    try:
        parts = [base64.b64decode(data.get(name, "")) for name in ("tls.crt", "tls.key", "ca.crt")]
    except binascii.Error:
        parts = [b"", b"", b""]
    return Serving(*parts)


def _secret(order: Order, serving: Serving, stored: Mapping[str, Any] | None) -> dict[str, Any]:
    parts = {"tls.crt": serving.certificate, "tls.key": serving.key, "ca.crt": serving.authorities}
    body: dict[str, Any] = dict(stored) if stored else {"type": "kubernetes.io/tls"}
    body |= {"apiVersion": "v1", "kind": "Secret"}
    body["metadata"] = dict(body.get("metadata", {"labels": dict(PART_OF)})) | {"name": order.secret}
    body["data"] = {name: base64.b64encode(value).decode() for name, value in parts.items()}
    return body


def order_from(arguments: Sequence[str], environ: Mapping[str, str]) -> Order:
    """Read the order from options, or from the environment where an option is not given.

    Raises:
        UsageError: Something is not said.
    """
    parser = argparse.ArgumentParser(prog="infra.jobs.webhook_certificates", description=__doc__)
    for name in ("namespace", "secret", "service"):
        parser.add_argument(f"--{name}", default=environ.get(f"SLIPWAY_{name.upper()}"))
    for name in ("mutating", "validating"):
        said = environ.get(f"SLIPWAY_{name.upper()}", "")
        names = [each.strip() for each in said.split(",") if each.strip()]
        parser.add_argument(f"--{name}", nargs="*", default=names)
    parser.add_argument("--renew-before-days", type=int, default=30)
    chosen = parser.parse_args(arguments)
    if missing := [name for name in ("namespace", "secret", "service") if not getattr(chosen, name)]:
        raise UsageError(f"Nobody said which {', '.join(missing)}.", fix=f"Give --{missing[0]}.")
    if not 1 <= chosen.renew_before_days <= 300:
        raise UsageError("--renew-before-days is 1 to 300: certificates last 365 days.")
    return Order(
        namespace=chosen.namespace,
        secret=chosen.secret,
        service=chosen.service,
        mutating=tuple(dict.fromkeys(chosen.mutating)),
        validating=tuple(dict.fromkeys(chosen.validating)),
        renew_before=timedelta(days=chosen.renew_before_days),
    )


def _report(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run once with the pod's own account, or with $KUBECONFIG, and return the exit code."""
    try:
        order = order_from(sys.argv[1:] if arguments is None else arguments, os.environ)
        if kubeconfig := os.environ.get("KUBECONFIG"):
            config.load_kube_config(config_file=kubeconfig)
        else:
            config.load_incluster_config()
        with client.ApiClient() as api:
            changed = certify(api, order, datetime.now(UTC), _report)
    except SlipwayError as error:
        _report(f"error: {error}")
        return error.exit_code
    except ApiException as error:
        _report(f"error: the API server answered {error.status} {error.reason}")
        return 1
    except (config.ConfigException, urllib3.exceptions.HTTPError) as error:
        _report(f"error: the API server can't be reached: {type(error).__name__}")
        return 1
    _report(f"the certificate is good and trusted; {changed} changes")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
