"""The ResourceProvider service of `slipway`: protocol in, `kinds.Kind`, protocol out."""

# ruff: noqa: N802  the protocol names the methods

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

import grpc
from google.protobuf import empty_pb2, struct_pb2
from pulumi.runtime.proto import (
    engine_pb2,
    engine_pb2_grpc,
    plugin_pb2,
    provider_pb2,
    provider_pb2_grpc,
    status_pb2,
)

from slipway.core.errors import SlipwayError, UsageError
from slipway.core.report import Report
from slipway.provider import serving
from slipway.provider.kinds import Change, Kind, Made, Properties
from slipway.provider.wire import plain, wire

VERSION: Final = "0.1.0"


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    """One per CLI."""

    def __init__(self, kinds: Mapping[str, Kind], stop: Callable[[], None], engine: str) -> None:
        """Serve resources.

        Args:
            kinds: By the type's token, such as `slipway:embedded:Image`.
            stop: Stops running work; returns when it has ended.
            engine: Address of the engine, which is told the progress.
        """
        self._kinds = kinds
        self._stop = stop
        self._log = _EngineLog(engine)

    def GetPluginInfo(self, request: empty_pb2.Empty, context: grpc.ServicerContext) -> plugin_pb2.PluginInfo:
        """Return the version."""
        return plugin_pb2.PluginInfo(version=VERSION)

    def CheckConfig(
        self, request: provider_pb2.CheckRequest, context: grpc.ServicerContext
    ) -> provider_pb2.CheckResponse:
        """Accept any configuration: there is none."""
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(
        self, request: provider_pb2.DiffRequest, context: grpc.ServicerContext
    ) -> provider_pb2.DiffResponse:
        """Find no difference: there is no configuration."""
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    def Configure(
        self, request: provider_pb2.ConfigureRequest, context: grpc.ServicerContext
    ) -> provider_pb2.ConfigureResponse:
        """Return what the provider supports."""
        return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=True)

    def Check(
        self, request: provider_pb2.CheckRequest, context: grpc.ServicerContext
    ) -> provider_pb2.CheckResponse:
        """Refuse invalid inputs, property by property."""
        faults = self._kind(request.urn, context).faults(plain(request.news))
        return provider_pb2.CheckResponse(
            inputs=request.news,
            failures=[provider_pb2.CheckFailure(property=path, reason=why) for path, why in faults],
        )

    def Diff(
        self, request: provider_pb2.DiffRequest, context: grpc.ServicerContext
    ) -> provider_pb2.DiffResponse:
        """Compare inputs with inputs, and what is outside with its desired state."""
        kind = self._kind(request.urn, context)
        old = plain(request.old_inputs) or plain(request.olds)
        with _translated_errors(context):
            changes = kind.changes(old, plain(request.news))
        for change in changes:
            if change.why:
                self._log.info(request.urn, change.why)
        return _difference(changes)

    def Create(
        self, request: provider_pb2.CreateRequest, context: grpc.ServicerContext
    ) -> provider_pb2.CreateResponse:
        """Create it, or adopt what an earlier run left."""
        kind = self._kind(request.urn, context)
        inputs = plain(request.properties)
        if request.preview:
            return provider_pb2.CreateResponse(properties=wire(kind.planned(inputs)))
        made = self._make(kind, inputs, None, request.urn, context)
        return provider_pb2.CreateResponse(id=made.id, properties=wire(made.outputs, made.secrets))

    def Read(
        self, request: provider_pb2.ReadRequest, context: grpc.ServicerContext
    ) -> provider_pb2.ReadResponse:
        """Return its current state; an empty answer if it no longer exists."""
        kind = self._kind(request.urn, context)
        with _translated_errors(context):
            resource = kind.find(request.id, plain(request.inputs))
        if resource is None:
            return provider_pb2.ReadResponse()
        inputs = request.inputs if resource.inputs is None else wire(resource.inputs, resource.secrets)
        return provider_pb2.ReadResponse(
            id=resource.id, properties=wire(resource.outputs, resource.secrets), inputs=inputs
        )

    def Update(
        self, request: provider_pb2.UpdateRequest, context: grpc.ServicerContext
    ) -> provider_pb2.UpdateResponse:
        """Make it what the inputs say; the same as creating it."""
        kind = self._kind(request.urn, context)
        inputs = plain(request.news)
        if request.preview:
            # Keep the known old outputs: the provider that depends on the cluster must not show a
            # difference because the cluster will be started.
            properties = struct_pb2.Struct()
            properties.CopyFrom(request.olds)
            for name, value in wire(kind.planned(inputs)).fields.items():
                properties.fields[name].CopyFrom(value)
            return provider_pb2.UpdateResponse(properties=properties)
        made = self._make(kind, inputs, plain(request.olds), request.urn, context)
        return provider_pb2.UpdateResponse(properties=wire(made.outputs, made.secrets))

    def Delete(self, request: provider_pb2.DeleteRequest, context: grpc.ServicerContext) -> empty_pb2.Empty:
        """Delete it."""
        kind = self._kind(request.urn, context)
        with _translated_errors(context):
            kind.remove(plain(request.properties), self._log.reporter(request.urn))
        return empty_pb2.Empty()

    def Cancel(self, request: empty_pb2.Empty, context: grpc.ServicerContext) -> empty_pb2.Empty:
        """Stop running work, so that the calls that wait for it return."""
        self._stop()
        return empty_pb2.Empty()

    def _kind(self, urn: str, context: grpc.ServicerContext) -> Kind:
        token = urn.split("::")[2].rpartition("$")[2]
        if token not in self._kinds:
            context.abort(grpc.StatusCode.NOT_FOUND, f"The provider slipway has no resource {token}.")
        return self._kinds[token]

    def _make(
        self,
        kind: Kind,
        inputs: Properties,
        before: Properties | None,
        urn: str,
        context: grpc.ServicerContext,
    ) -> Made:
        try:
            return kind.make(inputs, before, self._log.reporter(urn))
        except UsageError as error:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
        except SlipwayError as error:
            remnant = kind.remnant(inputs)
            if remnant is not None:
                # What was partly created must be in the state, or nothing would delete it.
                context.abort_with_status(_half_made(remnant, str(error)))
            context.abort(grpc.StatusCode.UNKNOWN, str(error))
        raise AssertionError("abort raises")


class _translated_errors:  # noqa: N801  used like a function in a `with`
    """Turns an error of Slipway into the one message that the CLI shows."""

    def __init__(self, context: grpc.ServicerContext) -> None:
        self._context = context

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, SlipwayError):
            self._context.abort(grpc.StatusCode.UNKNOWN, str(error))


class _EngineLog:
    """Shows progress to the user during an update."""

    def __init__(self, address: str) -> None:
        self._engine = engine_pb2_grpc.EngineStub(grpc.insecure_channel(address)) if address else None
        self._lock = threading.Lock()

    def reporter(self, urn: str) -> Report:
        return lambda line: self.info(urn, line)

    def info(self, urn: str, line: str) -> None:
        if self._engine is None:
            return
        request = engine_pb2.LogRequest(severity=engine_pb2.INFO, message=line, urn=urn, ephemeral=True)
        try:
            with self._lock:
                self._engine.Log(request)
        except grpc.RpcError:
            # The engine is ending; lost progress is no reason to fail.
            return


def _difference(changes: Sequence[Change]) -> provider_pb2.DiffResponse:
    kinds = provider_pb2.PropertyDiff
    return provider_pb2.DiffResponse(
        changes=provider_pb2.DiffResponse.DIFF_SOME if changes else provider_pb2.DiffResponse.DIFF_NONE,
        diffs=[change.path for change in changes],
        replaces=[change.path for change in changes if change.replaces],
        deleteBeforeReplace=any(change.replaces for change in changes),
        hasDetailedDiff=True,
        detailedDiff={
            change.path: kinds(
                kind=kinds.UPDATE_REPLACE if change.replaces else kinds.UPDATE, inputDiff=change.of_input
            )
            for change in changes
        },
    )


def _half_made(remnant: Made, reason: str) -> "_Status":
    detail = provider_pb2.ErrorResourceInitFailed(
        id=remnant.id, properties=wire(remnant.outputs, remnant.secrets), reasons=[reason]
    )
    packed = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=reason)
    packed.details.add().Pack(detail)
    return _Status(
        grpc.StatusCode.UNKNOWN, reason, (("grpc-status-details-bin", packed.SerializeToString()),)
    )


class _Status(NamedTuple):
    """What `abort_with_status` takes; grpc only names the fields."""

    code: grpc.StatusCode
    details: str
    trailing_metadata: tuple[tuple[str, bytes], ...]


def run(argv: Sequence[str], kinds: Mapping[str, Kind], stop: Callable[[], None]) -> None:
    """Serve resources until the CLI ends; `argv` is what the CLI passes, the rest as in `Provider`."""
    provider = Provider(kinds, stop, serving.engine_address(argv))
    serving.serve(
        lambda server: provider_pb2_grpc.add_ResourceProviderServicer_to_server(provider, server),
        stop,
    )
