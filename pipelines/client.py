"""The only module that opens `kfp.Client`."""

import contextlib
import io
import warnings
from collections.abc import Callable, Iterator
from typing import Any, Final

import urllib3
from kfp import Client
from kfp_server_api import ApiException

from infra.contract import PlatformOutputs
from slipway.core.errors import FailedError, UsageError

_CAUSES: Final = {
    401: "The token is missing, wrong or expired.",
    403: "The identity has no permission for this in the namespace.",
    404: "It does not exist.",
    409: "It exists already.",
}


def open_client(outputs: PlatformOutputs, tenant: str, token: str | None = None) -> Client:
    """Open a client for the stack's Pipelines API, in the tenant's namespace.

    Args:
        outputs: The stack's outputs.
        tenant: Tenant whose namespace to use.
        token: Bearer token; required if the API's auth mode is `token`.
    """
    namespace = outputs.tenant(tenant).namespace
    if outputs.kfp.auth_mode == "token" and not token:
        raise UsageError(
            "The Pipelines API of this stack requires a token.",
            fix=f"Get one with `slipway tenant token {tenant} --audience {outputs.kfp.audience}`.",
        )
    with calling("open the Pipelines API"), warnings.catch_warnings():
        # The client warns on every construction that it does not support KFP v1.
        warnings.simplefilter("ignore", FutureWarning)
        return Client(host=outputs.kfp.endpoint, namespace=namespace, existing_token=token)


@contextlib.contextmanager
def calling(what: str) -> Iterator[None]:
    """Suppress the client's output, and translate its errors into a FailedError."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    except ApiException as error:
        cause = _CAUSES.get(error.status or 0, str(error.reason))
        detail = str(error.body or "")[:500]
        raise FailedError(
            f"The Pipelines API refused to {what}.", why=f"{error.status}: {cause} {detail}".rstrip()
        ) from error
    except urllib3.exceptions.HTTPError as error:
        raise FailedError(
            f"The Pipelines API did not answer when asked to {what}.",
            why=type(error).__name__,
            fix="Check with `slipway status` that it is up.",
        ) from error


def pages(page: Callable[[str], Any], what: str) -> Iterator[Any]:
    """Yield the pages of a list of the API, one request each.

    Args:
        page: Requests the page of a token; that of the first page is empty.
        what: What is requested, as for `calling`.

    Raises:
        FailedError: The API rejects a request or doesn't answer.
    """
    token = ""
    while True:
        with calling(what):
            answer = page(token)
        yield answer
        token = answer.next_page_token or ""
        if not token:
            return
