r"""Issues a certificate for a webhook's Service and makes the API server trust it. Runs as a Job.

    python3 -m infra.jobs.webhook_certificates --namespace kserve --secret NAME --service NAME \
        --mutating NAME… --validating NAME… [--renew-before-days 30]

Each option can be set by an environment variable instead: SLIPWAY_NAMESPACE, SLIPWAY_SECRET,
SLIPWAY_SERVICE, SLIPWAY_MUTATING, SLIPWAY_VALIDATING (comma-separated names). A rerun changes nothing
until the certificate is about to expire. `caBundle` has a field manager of its own, so that applying the
rest of the configuration does not remove it.
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

from infra.jobs.certificates import ServingCertificate, issue, renewal_reason, service_names, with_previous_ca
from infra.names import CA_KEY, PART_OF
from slipway.core.errors import FailedError, SlipwayError, UsageError
from slipway.core.report import Report

FIELD_MANAGER: Final = "slipway-webhook-certificates"
_GROUP: Final = "/apis/admissionregistration.k8s.io/v1"
_KINDS: Final = {
    "mutatingwebhookconfigurations": "MutatingWebhookConfiguration",
    "validatingwebhookconfigurations": "ValidatingWebhookConfiguration",
}
_TIMEOUTS: Final = (5, 30)
"""Timeouts, in seconds, for connecting to the API server and for its answer."""


@dataclass(frozen=True)
class CertificateRequest:
    """The Service to certify, and the webhook configurations that must trust its CA certificate."""

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


def ensure_certificate(
    api: client.ApiClient, request: CertificateRequest, now: datetime, report: Report
) -> int:
    """Issue or renew the certificate if necessary, and return how many objects changed.

    The new CA certificate is trusted before the new certificate is used, and the old one for as long
    as it is valid, so that no call fails in between.

    Raises:
        FailedError: A configuration is missing, or another run renews the certificate at the same time.
    """
    objects = WebhookObjects(api)
    path = f"/api/v1/namespaces/{request.namespace}/secrets"
    stored = objects.get(f"{path}/{request.secret}")
    serving = _serving(stored)
    names = service_names(request.service, request.namespace)
    reason = (
        "it does not exist yet"
        if serving is None
        else renewal_reason(serving, names, now, request.renew_before)
    )
    if reason:
        previous = serving.ca_certificates if serving else b""
        serving = with_previous_ca(issue(names, now), previous, now)
    assert serving is not None
    changed = sum(_trust(objects, each, serving.ca_certificates, report) for each in request.configurations())
    if reason:
        objects.write(path, _secret(request, serving, stored))
        report(f"issued a certificate for {names[2]}: {reason}")
        changed += 1
    return changed


class WebhookObjects:
    """The API calls of the Job, with its own error messages."""

    def __init__(self, api: client.ApiClient) -> None:
        self._api = api

    def get(self, path: str) -> dict[str, Any] | None:
        """Return an object, or None if it does not exist."""
        try:
            return self._call("GET", path)
        except ApiException as error:
            if error.status == 404:
                return None
            raise

    def write(self, collection: str, body: dict[str, Any]) -> None:
        """Create an object, or replace the version that was read.

        Raises:
            FailedError: The object was changed at the same time.
        """
        metadata = body["metadata"]
        try:
            if "resourceVersion" in metadata:
                self._call("PUT", f"{collection}/{metadata['name']}", body)
            else:
                self._call("POST", collection, body)
        except ApiException as error:
            if error.status == 409:
                raise FailedError(
                    f"The Secret {metadata['name']} was changed at the same time.", fix="The Job retries."
                ) from error
            raise

    def apply(self, path: str, body: dict[str, Any]) -> None:
        """Apply fields of an object (server-side apply)."""
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
        answer: dict[str, Any] = self._api.call_api(
            path,
            method,
            query_params=[] if method == "GET" else list(query),
            header_params={"Accept": "application/json", "Content-Type": content_type},
            body=body,
            response_type="object",
            auth_settings=["BearerToken"],
            _return_http_data_only=True,
            _request_timeout=_TIMEOUTS,
        )
        return answer


def _trust(objects: WebhookObjects, path: str, ca_certificates: bytes, report: Report) -> bool:
    """Set the CA certificates in every webhook of a configuration; return whether that changed it."""
    configuration = objects.get(path)
    kind, name = path.split("/")[-2:]
    if configuration is None:
        raise FailedError(f"{kind} {name} does not exist.", fix="Create it before this Job runs.")
    bundle = base64.b64encode(ca_certificates).decode()
    hooks = configuration.get("webhooks") or []
    if all(hook["clientConfig"].get("caBundle") == bundle for hook in hooks):
        return False
    objects.apply(
        path,
        {
            "apiVersion": configuration.get("apiVersion", "admissionregistration.k8s.io/v1"),
            "kind": _KINDS[kind],
            "metadata": {"name": name},
            "webhooks": [{"name": hook["name"], "clientConfig": {"caBundle": bundle}} for hook in hooks],
        },
    )
    report(f"{name} trusts the certificate's CA")
    return True


def _serving(secret: Mapping[str, Any] | None) -> ServingCertificate | None:
    if secret is None:
        return None
    data = secret.get("data") or {}
    try:
        parts = [base64.b64decode(data.get(name, "")) for name in ("tls.crt", "tls.key", CA_KEY)]
    except binascii.Error:
        parts = [b"", b"", b""]
    return ServingCertificate(*parts)


def _secret(
    request: CertificateRequest, serving: ServingCertificate, stored: Mapping[str, Any] | None
) -> dict[str, Any]:
    parts = {"tls.crt": serving.certificate, "tls.key": serving.key, CA_KEY: serving.ca_certificates}
    body: dict[str, Any] = dict(stored) if stored else {"type": "kubernetes.io/tls"}
    body |= {"apiVersion": "v1", "kind": "Secret"}
    body["metadata"] = dict(body.get("metadata", {"labels": dict(PART_OF)})) | {"name": request.secret}
    body["data"] = {name: base64.b64encode(value).decode() for name, value in parts.items()}
    return body


def request_from(arguments: Sequence[str], environ: Mapping[str, str]) -> CertificateRequest:
    """Read the request from options, or from the environment where an option is missing.

    Raises:
        UsageError: A value is missing or out of range.
    """
    parser = argparse.ArgumentParser(prog="infra.jobs.webhook_certificates", description=__doc__)
    for name in ("namespace", "secret", "service"):
        parser.add_argument(f"--{name}", default=environ.get(f"SLIPWAY_{name.upper()}"))
    for name in ("mutating", "validating"):
        value = environ.get(f"SLIPWAY_{name.upper()}", "")
        names = [each.strip() for each in value.split(",") if each.strip()]
        parser.add_argument(f"--{name}", nargs="*", default=names)
    parser.add_argument("--renew-before-days", type=int, default=30)
    options = parser.parse_args(arguments)
    if missing := [name for name in ("namespace", "secret", "service") if not getattr(options, name)]:
        raise UsageError(
            f"Missing: {', '.join(f'--{name}' for name in missing)}.", fix=f"Give --{missing[0]}."
        )
    if not 1 <= options.renew_before_days <= 300:
        raise UsageError("--renew-before-days must be 1 to 300: certificates are valid for 365 days.")
    return CertificateRequest(
        namespace=options.namespace,
        secret=options.secret,
        service=options.service,
        mutating=tuple(dict.fromkeys(options.mutating)),
        validating=tuple(dict.fromkeys(options.validating)),
        renew_before=timedelta(days=options.renew_before_days),
    )


def _report(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run once with the pod's ServiceAccount, or with $KUBECONFIG, and return the exit code."""
    try:
        request = request_from(sys.argv[1:] if arguments is None else arguments, os.environ)
        if kubeconfig := os.environ.get("KUBECONFIG"):
            config.load_kube_config(config_file=kubeconfig)
        else:
            config.load_incluster_config()
        with client.ApiClient() as api:
            changed = ensure_certificate(api, request, datetime.now(UTC), _report)
    except SlipwayError as error:
        _report(f"error: {error}")
        return error.exit_code
    except ApiException as error:
        _report(f"error: the API server answered {error.status} {error.reason}")
        return 1
    except (config.ConfigException, urllib3.exceptions.HTTPError) as error:
        _report(f"error: the API server can't be reached: {type(error).__name__}")
        return 1
    _report(f"the certificate is valid and trusted; {changed} changes")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
