"""The store's own key and certificate, replaced: a number in the stack's file, an `up`, and a proof.

Both take effect when the store's server restarts, so it is away for seconds: clients try again, what is
served goes on. Whether an earlier call was stopped is seen at the store, not kept anywhere.
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
from slipway.operations import workspace
from slipway.operations.store_administrator import as_administrator, require_own
from slipway.operations.tenant_rotation import TenantSteps
from storage.client import StoreAccess
from storage.credential_verifier import OPEN, UNKNOWN, answer, expect
from storage.keys import root_key
from storage.settings import MinioSettings

_CONNECT_SECONDS: Final = 10.0


@dataclass(frozen=True)
class Replaced:
    """How a replacement ended."""

    generation: int
    continued: bool
    """Whether an earlier call had begun it."""


def rotate(stack: str, phases: Phases, *, certificate: bool = False) -> Replaced:
    """Replace the administrator's key, or the certificate; raises as `rotate_root`."""
    settings = workspace.settings(stack)
    with phases("Preparing the tools") as report:
        opened = workspace.open_stack(stack, report)
    what = "certificate" if certificate else "administrator's key"
    with phases(f"Replace the store's {what}") as report:
        replace = rotate_certificate if certificate else rotate_root
        return replace(opened, settings, report)


def rotate_root(stack: Stack, settings: PlatformSettings, report: Report = silent) -> Replaced:
    """Replace the administrator's key, or go on with what was stopped.

    Raises:
        UsageError: The store's administrator is not ours.
        FailedError: The store does not answer, or answers to the wrong key; a rerun continues.
    """
    store, outputs = require_own(settings), stack.outputs()
    tenant = _any_tenant(outputs)
    secret = stack.secret().get_secret_value()
    bucket = outputs.store.models_bucket

    def opens(generation: int) -> str:
        return answer(as_administrator(outputs, root_key(secret, generation), tenant), bucket, "")()

    said = opens(store.root_key_generation)
    if said not in (OPEN, UNKNOWN):
        raise _silent_store(said)
    continued = said == UNKNOWN
    generation = store.root_key_generation + (0 if continued else 1)
    report(f"{'continuing' if continued else 'beginning'}: administrator's key {generation}")
    _set(stack, "root_key_generation", generation, report)
    report("bringing the platform up")
    stack.up()
    for each, wanted in ((generation, OPEN), (generation - 1, UNKNOWN)):
        expect(
            wanted,
            as_administrator(outputs, root_key(secret, each), tenant),
            bucket,
            "",
            f"list s3://{bucket}",
        )
    report(f"administrator's key {generation} opens the store, {generation - 1} is unknown to it")
    _tenants_still_open(stack, store, stack.outputs(), report)
    return Replaced(generation, continued)


def rotate_certificate(stack: Stack, settings: PlatformSettings, report: Report = silent) -> Replaced:
    """Replace the store's authority and certificate, or go on with what was stopped.

    Readers trust an authority one generation before it signs, so none of them is interrupted.

    Raises:
        UsageError: The store's certificate is not ours.
        FailedError: The store does not answer, or shows the wrong certificate; a rerun continues.
    """
    store, outputs = require_own(settings), stack.outputs()
    tenant = _any_tenant(outputs)
    trusted = _access(outputs, tenant).ca
    if trusted is None:
        raise UsageError("The store speaks no TLS: it has no certificate.")
    shown = shown_generation(outputs.store.endpoint, trusted)
    continued = shown < store.certificate_generation
    generation = store.certificate_generation + (0 if continued else 1)
    report(f"{'continuing' if continued else 'beginning'}: certificate {generation}, {shown} is shown")
    _set(stack, "certificate_generation", generation, report)
    report("bringing the platform up")
    stack.up()
    renewed = _access(stack.outputs(), tenant).ca
    if renewed is None or (now := shown_generation(outputs.store.endpoint, renewed)) != generation:
        raise FailedError(
            f"The store does not show certificate {generation}.",
            why="It shows another, although `up` has succeeded.",
            fix="Check with `slipway status` that the store is up, and run the command again.",
        )
    former = first_certificate(trusted)
    if generation > shown and _is_trusted(outputs.store.endpoint, former):
        raise FailedError(
            f"The store still shows what authority {shown} signed.", fix="Run the command again."
        )
    report(f"the store shows certificate {now}, which authority {shown} did not sign")
    _tenants_still_open(stack, store, stack.outputs(), report)
    return Replaced(generation, continued)


def shown_generation(endpoint: str, trusted: str) -> int:
    """Return the generation of the certificate that the store shows to who trusts `trusted`.

    Raises:
        FailedError: It does not answer, or shows what none of these authorities signed.
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
        raise _silent_store(type(error).__name__) from error
    subject = x509.load_der_x509_certificate(shown or b"").subject.rfc4514_string()
    with suppress(ValueError):
        return int(subject.rpartition(" ")[2])
    raise UsageError("The store's certificate is not one that Slipway made.", why=subject)


def first_certificate(bundle: str) -> str:
    """Return the first certificate of a bundle: the authority that signs now; the next one follows."""
    end = "-----END CERTIFICATE-----\n"
    return bundle.partition(end)[0] + end


def _is_trusted(endpoint: str, authority: str) -> bool:
    try:
        shown_generation(endpoint, authority)
    except FailedError:
        return False
    return True


def _tenants_still_open(stack: Stack, store: MinioSettings, outputs: PlatformOutputs, report: Report) -> None:
    for name, place in outputs.tenants.items():
        steps = TenantSteps(stack, store, name, stack.project / "tenants", report)
        steps.verify_valid(place.key_generation)


def _set(stack: Stack, setting: str, generation: int, report: Report) -> None:
    held = yaml_edit.read(stack.settings)
    path = ("config", PLATFORM_KEY, "store", setting)
    yaml_edit.write(stack.settings, held, yaml_edit.edited(held, path, generation, stack.settings.name))
    load_file(stack.settings)
    report(f"{stack.settings.name}: store.{setting} {generation}")


def _access(outputs: PlatformOutputs, tenant: str) -> StoreAccess:
    return store_access(outputs, tenant, "editor")


def _any_tenant(outputs: PlatformOutputs) -> str:
    """Return a tenant, whose namespace tells which authority to trust."""
    if not outputs.tenants:
        raise UsageError(
            "The stack has no tenant, so nothing tells this machine whom to trust.",
            fix=f"Add tenants/<name>.yaml and run `slipway up {outputs.stack}`.",
        )
    return min(outputs.tenants)


def _silent_store(said: str) -> FailedError:
    return FailedError(
        f"The store did not answer as it should: {said}.",
        fix="Check with `slipway status` that it is up, and run the command again.",
    )
