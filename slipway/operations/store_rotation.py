"""Replaces the store's own key or certificate: a number in the stack's file, an `up`, and a check.

Both take effect when the store's server restarts, which takes seconds: clients retry, and models are
served meanwhile. Whether an earlier call was interrupted is read from the store, not recorded anywhere.
"""

import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from cryptography import x509

from infra.contract import PlatformOutputs
from infra.settings import yaml_edit
from infra.settings.config import PLATFORM_KEY, load_file
from infra.settings.models import PlatformSettings
from infra.stack.stack import Stack
from serving.access import store_access
from slipway.core.errors import FailedError, UsageError
from slipway.core.report import Phases, Report, silent
from slipway.core.waiting import poll
from slipway.operations import workspace
from slipway.operations.store_administrator import as_administrator, require_own
from slipway.operations.tenant_rotation import TenantSteps
from storage.client import StoreAccess
from storage.credential_verifier import OPEN, UNKNOWN, answer, expect
from storage.keys import root_key
from storage.settings import MinioSettings

_CONNECT_SECONDS: Final = 10.0
_RESTART_SECONDS: Final = 60.0
"""Time limit for each server of the store to restart with a new certificate."""


@dataclass(frozen=True)
class Replaced:
    """The result of a replacement."""

    generation: int
    continued: bool
    """Whether it continued an interrupted call."""


def rotate(stack: str, phases: Phases, *, certificate: bool = False) -> Replaced:
    """Replace the administrator's key, or the certificate; raises as `rotate_root`."""
    settings = workspace.settings(stack)
    with phases("Preparing the tools") as report:
        opened = workspace.open_stack(stack, report)
    replaced = "certificate" if certificate else "administrator's key"
    with phases(f"Replace the store's {replaced}") as report:
        replace = rotate_certificate if certificate else rotate_root
        return replace(opened, settings, report)


def rotate_root(stack: Stack, settings: PlatformSettings, report: Report = silent) -> Replaced:
    """Replace the administrator's key, or continue an interrupted replacement.

    Raises:
        UsageError: Slipway does not manage the store's administrator.
        FailedError: The store does not answer, or accepts the wrong key; a rerun continues.
    """
    store, outputs = require_own(settings), stack.outputs()
    tenant = _any_tenant(outputs)
    secret = stack.stack_settings.secret().get_secret_value()
    bucket = outputs.store.models_bucket

    def opens(generation: int) -> str:
        return answer(as_administrator(outputs, root_key(secret, generation), tenant), bucket, "")()

    access = opens(store.root_key_generation)
    if access not in (OPEN, UNKNOWN):
        raise _unexpected_answer(access)
    continued = access == UNKNOWN
    generation = store.root_key_generation + (0 if continued else 1)
    report(f"{'continuing' if continued else 'beginning'}: administrator's key {generation}")
    _set(stack, "root_key_generation", generation, report)
    report("bringing the platform up")
    stack.up()
    for each, expected in ((generation, OPEN), (generation - 1, UNKNOWN)):
        expect(
            expected,
            as_administrator(outputs, root_key(secret, each), tenant),
            bucket,
            "",
            f"list s3://{bucket}",
        )
    report(f"administrator's key {generation} opens the store, {generation - 1} is unknown to it")
    _tenants_still_open(stack, store, stack.outputs(), report)
    return Replaced(generation, continued)


def rotate_certificate(stack: Stack, settings: PlatformSettings, report: Report = silent) -> Replaced:
    """Replace the store's CA and certificate, or continue an interrupted replacement.

    Clients trust a CA one generation before it signs, so none of them is interrupted.

    Raises:
        UsageError: Slipway does not manage the store's certificate.
        FailedError: The store does not answer, or presents the wrong certificate; a rerun continues.
    """
    store, outputs = require_own(settings), stack.outputs()
    tenant = _any_tenant(outputs)
    trusted = _access(outputs, tenant).ca
    if trusted is None:
        raise UsageError("The store does not use TLS: it has no certificate.")
    shown = shown_generation(outputs.store.endpoint, trusted)
    continued = shown < store.certificate_generation
    generation = store.certificate_generation + (0 if continued else 1)
    report(
        f"{'continuing' if continued else 'beginning'}: certificate {generation}, the store presents {shown}"
    )
    _set(stack, "certificate_generation", generation, report)
    report("bringing the platform up")
    stack.up()
    renewed, former = _access(stack.outputs(), tenant).ca, first_certificate(trusted)
    if renewed is None:
        raise FailedError("The tenant's namespace has no CA certificate.", fix="Run the command again.")

    def fault() -> FailedError | None:
        return _certificate_fault(outputs.store.endpoint, generation, renewed, shown, former)

    # `up` may end before the servers have restarted.
    seconds = _RESTART_SECONDS * (store.nodes + 1)
    if (left := poll(fault, lambda each: each is None, seconds=seconds, interval=0.5)) is not None:
        raise left
    report(f"the store presents certificate {generation}, which CA {shown} did not sign")
    _tenants_still_open(stack, store, stack.outputs(), report)
    return Replaced(generation, continued)


def _certificate_fault(
    endpoint: str, generation: int, renewed: str, earlier: int, former: str
) -> FailedError | None:
    """Return what is wrong with the certificate that the store presents, if anything.

    Args:
        endpoint: URL of the store.
        generation: The generation that it should present.
        renewed: CA certificates that it should be trusted by, in PEM.
        earlier: The generation that it presented before; the same if it was replaced already.
        former: CA certificate of `earlier`, which should not sign for another generation.
    """
    try:
        presented = shown_generation(endpoint, renewed)
    except FailedError as error:  # a server that restarts
        return error
    if presented != generation:
        return FailedError(
            f"The store does not present certificate {generation}.",
            why="It presents another, although `up` has succeeded.",
            fix="Check with `slipway status` that the store is up, and run the command again.",
        )
    if generation > earlier and _is_trusted(endpoint, former):
        return FailedError(
            f"The store still presents a certificate that CA {earlier} signed.", fix="Run the command again."
        )
    return None


def shown_generation(endpoint: str, trusted: str) -> int:
    """Return the generation of the certificate that the store presents.

    Args:
        endpoint: URL of the store.
        trusted: CA certificates in PEM.

    Raises:
        UsageError: Slipway did not make the certificate.
        FailedError: The store does not answer, or none of these CAs signed its certificate.
    """
    parts = urlsplit(endpoint)
    host, port = parts.hostname or "", parts.port or 443
    context = ssl.create_default_context(cadata=trusted)
    try:
        with (
            socket.create_connection((host, port), _CONNECT_SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=host) as wrapped,
        ):
            shown = wrapped.getpeercert(binary_form=True)
    except OSError as error:
        raise _unexpected_answer(type(error).__name__) from error
    subject = x509.load_der_x509_certificate(shown or b"").subject.rfc4514_string()
    with suppress(ValueError):
        return int(subject.rpartition(" ")[2])
    raise UsageError("The store's certificate is not one that Slipway made.", why=subject)


def first_certificate(bundle: str) -> str:
    """Return the first certificate of a bundle: the CA that signs now; the next CA follows."""
    end = "-----END CERTIFICATE-----\n"
    return bundle.partition(end)[0] + end


def _is_trusted(endpoint: str, ca: str) -> bool:
    try:
        shown_generation(endpoint, ca)
    except FailedError:
        return False
    return True


def _tenants_still_open(stack: Stack, store: MinioSettings, outputs: PlatformOutputs, report: Report) -> None:
    for name, place in outputs.tenants.items():
        steps = TenantSteps(stack, store, name, stack.project / "tenants", report)
        steps.verify_valid(place.key_generation)


def _set(stack: Stack, setting: str, generation: int, report: Report) -> None:
    original = yaml_edit.read(stack.settings)
    path = ("config", PLATFORM_KEY, "store", setting)
    edited = yaml_edit.edited(original, path, generation, stack.settings.name)
    yaml_edit.write(stack.settings, original, edited)
    load_file(stack.settings)
    report(f"{stack.settings.name}: store.{setting} {generation}")


def _access(outputs: PlatformOutputs, tenant: str) -> StoreAccess:
    return store_access(outputs, tenant, "editor")


def _any_tenant(outputs: PlatformOutputs) -> str:
    """Return a tenant, whose namespace holds the CA certificate to trust."""
    if not outputs.tenants:
        raise UsageError(
            "The stack has no tenant, so there is no CA certificate to trust.",
            fix=f"Add tenants/<name>.yaml and run `slipway up {outputs.stack}`.",
        )
    return min(outputs.tenants)


def _unexpected_answer(reply: str) -> FailedError:
    return FailedError(
        f"The store did not answer as expected: {reply}.",
        fix="Check with `slipway status` that it is up, and run the command again.",
    )
