"""The RPC: one method per call of the engine, translated and handed on."""

# ruff: noqa: N802  the protocol names the methods

import threading
from typing import Any, Final

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from embedded.plugins.kubernetes import check, diff, kubeconfig, names, rpc, settings, tokens, values
from embedded.plugins.kubernetes.client import (
    ApiError,
    Client,
    NoKindError,
    Target,
    UnreachableError,
    deadline,
)
from embedded.plugins.kubernetes.lifecycle import FIELD_MANAGER, PATIENCE, Lifecycle, Wish
from embedded.plugins.kubernetes.readiness import table
from embedded.plugins.kubernetes.values import Properties
from infra.versions import PULUMI_KUBERNETES
from slipway.core.errors import SlipwayError, UsageError

_Diff = provider_pb2.PropertyDiff
_OPERATIONS: Final = {
    ("add", False): _Diff.ADD,
    ("add", True): _Diff.ADD_REPLACE,
    ("delete", False): _Diff.DELETE,
    ("delete", True): _Diff.DELETE_REPLACE,
    ("update", False): _Diff.UPDATE,
    ("update", True): _Diff.UPDATE_REPLACE,
}
_REPLACING: Final = frozenset({_Diff.ADD_REPLACE, _Diff.DELETE_REPLACE, _Diff.UPDATE_REPLACE})


class KubernetesProvider(provider_pb2_grpc.ResourceProviderServicer):
    """Serves one provider of one stack."""

    def __init__(self, engine: str) -> None:
        self._engine = rpc.Engine(engine)
        self._cancelled = threading.Event()
        self._settings = settings.Settings()
        self._lock = threading.Lock()
        self._client: Client | None = None
        self._scopes: dict[tuple[str, str], bool] = {}
        self._previous: dict[str, str] = {}

    def Handshake(
        self, request: provider_pb2.ProviderHandshakeRequest, context: grpc.ServicerContext
    ) -> provider_pb2.ProviderHandshakeResponse:
        """Say what we understand."""
        return provider_pb2.ProviderHandshakeResponse(
            accept_secrets=True, supports_autonaming_configuration=True
        )

    def GetPluginInfo(self, request: empty_pb2.Empty, context: grpc.ServicerContext) -> plugin_pb2.PluginInfo:
        """Say which version of the official provider we stand in for."""
        return plugin_pb2.PluginInfo(version=PULUMI_KUBERNETES)

    def GetSchema(
        self, request: provider_pb2.GetSchemaRequest, context: grpc.ServicerContext
    ) -> provider_pb2.GetSchemaResponse:
        """Return the least that is a schema."""
        return provider_pb2.GetSchemaResponse(
            schema=f'{{"name": "kubernetes", "version": "{PULUMI_KUBERNETES}"}}'
        )

    def Attach(self, request: plugin_pb2.PluginAttach, context: grpc.ServicerContext) -> empty_pb2.Empty:
        """Take the address of an engine that has not started us."""
        self._engine = rpc.Engine(request.address)
        return empty_pb2.Empty()

    def Cancel(self, request: empty_pb2.Empty, context: grpc.ServicerContext) -> empty_pb2.Empty:
        """End every wait."""
        self.cancel()
        return empty_pb2.Empty()

    def cancel(self) -> None:
        """End every wait; what is in the cluster is reported as not ready, so that the state knows it."""
        self._cancelled.set()

    def CheckConfig(
        self, request: provider_pb2.CheckRequest, context: grpc.ServicerContext
    ) -> provider_pb2.CheckResponse:
        """Refuse settings that are not supported."""
        found = settings.refusals(values.decode(request.news).value)
        failures = [provider_pb2.CheckFailure(property=name, reason=reason) for name, reason in found]
        return provider_pb2.CheckResponse(inputs=request.news, failures=failures)

    def DiffConfig(
        self, request: provider_pb2.DiffRequest, context: grpc.ServicerContext
    ) -> provider_pb2.DiffResponse:
        """Replace everything when, and only when, it is another cluster."""
        old, new = values.decode(request.old_inputs).value, values.decode(request.news).value
        changed = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
        replaced = changed if _is_another_cluster(old, new) else []
        return provider_pb2.DiffResponse(changes=_changes(bool(changed)), diffs=changed, replaces=replaced)

    def Configure(
        self, request: provider_pb2.ConfigureRequest, context: grpc.ServicerContext
    ) -> provider_pb2.ConfigureResponse:
        """Take the settings; the cluster is not asked yet."""
        told = {key.rpartition(":")[2]: value for key, value in request.variables.items()}
        self._settings = settings.read({**told, **values.decode(request.args).value})
        return provider_pb2.ConfigureResponse(
            acceptSecrets=True, supportsPreview=True, supports_autonaming_configuration=True
        )

    def Invoke(
        self, request: provider_pb2.InvokeRequest, context: grpc.ServicerContext
    ) -> provider_pb2.InvokeResponse:
        """Refuse lookups by name."""
        rpc.refuse(context, tokens.refuse_lookup(request.tok))

    def Call(
        self, request: provider_pb2.CallRequest, context: grpc.ServicerContext
    ) -> provider_pb2.CallResponse:
        """Refuse methods by name."""
        rpc.refuse(context, tokens.refuse_lookup(request.tok))

    def Construct(
        self, request: provider_pb2.ConstructRequest, context: grpc.ServicerContext
    ) -> provider_pb2.ConstructResponse:
        """Refuse components by name."""
        rpc.refuse(context, tokens.refuse_lookup(request.type))

    def Check(
        self, request: provider_pb2.CheckRequest, context: grpc.ServicerContext
    ) -> provider_pb2.CheckResponse:
        """Complete the inputs of an object."""
        try:
            news, olds = values.decode(request.news), values.decode(request.olds)
            kind = tokens.kind_of(rpc.type_of(request), news.value)
            inputs = check.complete(
                kind, news.value, olds.value,
                urn=request.urn,
                previous=self._previous.get(request.urn, ""),
                naming=rpc.naming(request),
                namespaced=lambda: self._namespaced(kind, olds.value),
                default_namespace=self._default_namespace,
            )  # fmt: skip
        except (UsageError, ValueError) as error:
            failure = provider_pb2.CheckFailure(property="", reason=rpc.text(error))
            return provider_pb2.CheckResponse(failures=[failure])
        self._learn_scope(kind, inputs)
        secret = news.secret | (
            {("data",), ("stringData",)} if kind == tokens.Kind("v1", "Secret") else set()
        )
        kept = frozenset(path for path in secret if values.get(inputs, path) is not None)
        return provider_pb2.CheckResponse(inputs=values.encode(Properties(inputs, kept)))

    def Diff(
        self, request: provider_pb2.DiffRequest, context: grpc.ServicerContext
    ) -> provider_pb2.DiffResponse:
        """Compare with the inputs of the last run; the cluster is not asked."""
        news, inputs = values.decode(request.news).value, values.decode(request.old_inputs).value
        outputs = values.decode(request.olds).value
        kind = tokens.kind_of(rpc.type_of(request), news)
        found = diff.compare(
            kind, inputs, news,
            applied=FIELD_MANAGER in outputs,
            mutable_contents=self._settings.mutable_contents(kind.name),
        )  # fmt: skip
        detailed = {
            values.render(change.path): _Diff(
                kind=_OPERATIONS[change.operation, change.replaces], inputDiff=True
            )
            for change in found.changes
        }
        if table.is_spent(kind, outputs) and not found.replaces:
            # Nothing but a new object will get further than one that has given up.
            detailed["status"] = _Diff(kind=_Diff.UPDATE_REPLACE)
            found = diff.Difference(found.changes, not names.is_autonamed(news))
        replaces = sorted(key for key, one in detailed.items() if one.kind in _REPLACING)
        if replaces:
            self._previous[request.urn] = str(values.get(inputs, ("metadata", "name")) or "")
        return provider_pb2.DiffResponse(
            changes=_changes(bool(detailed)),
            replaces=replaces,
            diffs=sorted({path.split(".")[0].split("[")[0] for path in detailed}),
            detailedDiff=detailed,
            hasDetailedDiff=True,
            deleteBeforeReplace=bool(replaces) and found.delete_first,
        )

    def Create(
        self, request: provider_pb2.CreateRequest, context: grpc.ServicerContext
    ) -> provider_pb2.CreateResponse:
        """Create an object."""
        wish = self._wish(request, values.decode(request.properties), preview=request.preview)
        with rpc.answering(context, wish):
            identity, outputs = self._lifecycle().create(wish)
            return provider_pb2.CreateResponse(id=identity, properties=values.encode(outputs))

    def Update(
        self, request: provider_pb2.UpdateRequest, context: grpc.ServicerContext
    ) -> provider_pb2.UpdateResponse:
        """Change an object."""
        news, ignored = values.decode(request.news), tuple(request.ignoreChanges)
        wish = self._wish(request, news, preview=request.preview, ignored=ignored)
        olds, old_inputs = values.decode(request.olds), values.decode(request.old_inputs)
        with rpc.answering(context, wish):
            outputs = self._lifecycle().update(wish, olds, old_inputs.value)
            return provider_pb2.UpdateResponse(properties=values.encode(outputs))

    def Read(
        self, request: provider_pb2.ReadRequest, context: grpc.ServicerContext
    ) -> provider_pb2.ReadResponse:
        """Look at an object: for a refresh, an import or a lookup."""
        wish = self._wish(request, values.decode(request.inputs))
        olds = values.decode(request.properties)
        with rpc.answering(context, wish):
            found = self._lifecycle().read(wish, self._target(request, olds), olds)
            if found is None:
                return provider_pb2.ReadResponse()
            inputs, outputs = found
            metadata = outputs.value["metadata"]
            return provider_pb2.ReadResponse(
                id=names.identity(metadata.get("namespace"), metadata["name"]),
                inputs=values.encode(inputs),
                properties=values.encode(outputs),
            )

    def Delete(self, request: provider_pb2.DeleteRequest, context: grpc.ServicerContext) -> empty_pb2.Empty:
        """Delete an object."""
        olds = values.decode(request.properties)
        wish = self._wish(request, olds)
        with rpc.answering(context, wish):
            self._lifecycle().delete(wish, self._target(request, olds), olds)
            return empty_pb2.Empty()

    def _wish(
        self,
        request: rpc.Request,
        inputs: Properties,
        *,
        preview: bool = False,
        ignored: tuple[str, ...] = (),
    ) -> Wish:
        return Wish(
            urn=request.urn,
            kind=tokens.kind_of(rpc.type_of(request), inputs.value),
            inputs=inputs,
            identity=getattr(request, "id", ""),
            until=deadline(request.timeout or PATIENCE),
            preview=preview,
            say=self._engine.reporter(request.urn),
            warn=self._engine.reporter(request.urn, lasting=True),
            ignored=ignored,
        )

    def _target(self, request: rpc.Request, olds: Properties) -> Target:
        """Return the object that an id means; one without a namespace is in the default one."""
        kind = tokens.kind_of(rpc.type_of(request), olds.value)
        namespace, name = names.parse_identity(request.id)
        if not namespace and self._namespaced(kind, olds.value):
            namespace = self._default_namespace()
        return Target(kind, namespace, name)

    def _lifecycle(self) -> Lifecycle:
        return Lifecycle(self._connect, self._settings, self._cancelled)

    def _connect(self) -> Client:
        with self._lock:
            if self._client is None:
                self._client = Client(kubeconfig.connect(self._settings.choice), self._cancelled)
            return self._client

    def _default_namespace(self) -> str:
        if self._settings.namespace:
            return self._settings.namespace
        try:
            return self._connect().namespace
        except SlipwayError:
            return "default"

    def _namespaced(self, kind: tokens.Kind, olds: dict[str, Any]) -> bool | None:
        """Tell from what is known, from the program's own CRDs, from the cluster, or from last time."""
        known = check.namespaced_by_nature(kind)
        if known is None:
            known = self._scopes.get((kind.group, kind.name))
        if known is None:
            try:
                known = self._connect().find(kind).namespaced
            except (NoKindError, ApiError, UnreachableError, SlipwayError):
                known = bool(values.get(olds, ("metadata", "namespace"))) or None
        return known

    def _learn_scope(self, kind: tokens.Kind, inputs: dict[str, Any]) -> None:
        """Remember the scope of a kind that the program defines: a preview can't ask for it."""
        if kind.name == "CustomResourceDefinition":
            group, name = values.get(inputs, ("spec", "group")), values.get(inputs, ("spec", "names", "kind"))
            if isinstance(group, str) and isinstance(name, str):
                self._scopes[group, name] = values.get(inputs, ("spec", "scope")) == "Namespaced"


def _is_another_cluster(old: dict[str, Any], new: dict[str, Any]) -> bool:
    before, after = settings.read(old), settings.read(new)
    if before.cluster_identifier or after.cluster_identifier:
        return before.cluster_identifier != after.cluster_identifier
    if before.choice == after.choice or values.has_unknown(new):
        return False
    here, there = kubeconfig.server_of(before.choice), kubeconfig.server_of(after.choice)
    return here is not None and there is not None and here != there


def _changes(any_: bool) -> provider_pb2.DiffResponse.DiffChanges.ValueType:
    return provider_pb2.DiffResponse.DIFF_SOME if any_ else provider_pb2.DiffResponse.DIFF_NONE
