"""How the engine is spoken to: its log, its errors, and what older ones leave out of a request."""

import contextlib
import traceback
from collections.abc import Iterator
from typing import Any, Final, NoReturn

import grpc
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, provider_pb2, status_pb2

from embedded.plugins.kubernetes import check, refusals, values
from embedded.plugins.kubernetes.client import ApiError, NoKindError, UnreachableError
from embedded.plugins.kubernetes.lifecycle import NotInitialisedError, Wish
from slipway.core.errors import FailedError, SlipwayError
from slipway.core.report import Report, silent

Request = Any
"""A message about a resource: it has a URN, and from newer engines a type."""

_STATUS: Final = "grpc-status-details-bin"
_Autonaming = provider_pb2.CheckRequest.AutonamingOptions


class Engine:
    """The engine's log; silent where there is no engine."""

    def __init__(self, address: str) -> None:
        self._stub = engine_pb2_grpc.EngineStub(grpc.insecure_channel(address)) if address else None

    def reporter(self, urn: str, *, lasting: bool = False) -> Report:
        """Return a function that says a line beside a resource; a lasting one stays, as a warning."""
        stub = self._stub
        if stub is None:
            return silent

        def report(line: str) -> None:
            request = engine_pb2.LogRequest(
                severity=engine_pb2.WARNING if lasting else engine_pb2.INFO,
                message=line,
                urn=urn,
                ephemeral=not lasting,
            )
            with contextlib.suppress(grpc.RpcError):
                stub.Log(request, timeout=5)

        return report


@contextlib.contextmanager
def answering(context: grpc.ServicerContext, wish: Wish) -> Iterator[None]:
    """Turn what went wrong into the status that the engine understands, without a secret in it."""
    hidden = wish.inputs.secrets()
    try:
        yield
    except NotInitialisedError as error:
        reasons = [values.redact(reason, hidden) for reason in error.reasons]
        failure = provider_pb2.ErrorResourceInitFailed(
            id=error.identity,
            properties=values.encode(error.outputs),
            inputs=values.encode(error.inputs),
            reasons=reasons,
        )
        status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=reasons[0])
        status.details.add().Pack(failure)
        context.set_trailing_metadata(((_STATUS, status.SerializeToString()),))
        context.abort(grpc.StatusCode.UNKNOWN, reasons[0])
    except (SlipwayError, ApiError, NoKindError, UnreachableError) as error:
        context.abort(grpc.StatusCode.UNKNOWN, values.redact(text(_explained(error, wish)), hidden))
    except grpc.RpcError:
        raise
    except Exception as error:  # noqa: BLE001 - a bug here must not look like a lost plugin
        where = "".join(traceback.format_tb(error.__traceback__)[-3:])
        message = values.redact(f"bug in the provider: {type(error).__name__}: {error}\n{where}", hidden)
        context.abort(grpc.StatusCode.INTERNAL, message)


def refuse(context: grpc.ServicerContext, error: SlipwayError) -> NoReturn:
    """End a call that this provider does not serve."""
    context.abort(grpc.StatusCode.UNIMPLEMENTED, text(error))
    raise AssertionError("abort raises")


def text(error: BaseException) -> str:
    """Return what, why and fix, each on a line of its own."""
    if isinstance(error, SlipwayError):
        return "\n".join(part for part in (error.what, error.why, error.fix) if part)
    return str(error)


def type_of(request: Request) -> str:
    """Return the resource's type token."""
    if request.type:
        return str(request.type)
    return str(request.urn.split("::")[2].rpartition("$")[2])


def naming(request: provider_pb2.CheckRequest) -> check.Naming:
    """Return the engine's wishes about names."""
    if not request.HasField("autonaming"):
        return check.Naming()
    options = request.autonaming
    return check.Naming(options.proposed_name, options.mode == _Autonaming.Mode.DISABLE)


def _explained(error: Exception, wish: Wish) -> Exception:
    if isinstance(error, ApiError):
        return refusals.by_server(wish.target, error)
    if isinstance(error, NoKindError):
        return refusals.unknown_kind(error)
    if isinstance(error, UnreachableError):
        return FailedError(
            f"{refusals.described(wish.target)}: {error}.",
            fix="Start the cluster (`slipway status` tells how it is) or mend the kubeconfig, and run again.",
        )
    return error
