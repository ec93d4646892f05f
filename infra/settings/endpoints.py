"""How the platform's Services are reached from outside the cluster. Pure.

One of five kinds, or the ports of a cluster that the stack itself makes. The pipelines API asks for no login,
so no kind publishes it: `slipway open` makes it available on this machine. Only with `urls`, where Slipway
publishes nothing, does it have an address of the operator's choice.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from infra.names import GATEWAY_PORT, STORE_CONSOLE_PORT, STORE_PORT
from storage.settings import Strict

_Url = Annotated[
    str,
    Field(
        pattern=r"^https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?$",
        json_schema_extra={"format": "URL of scheme, host and port"},
    ),
]
_Host = Annotated[
    str,
    Field(
        pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$",
        json_schema_extra={"format": "host name"},
    ),
]
_LocalPort = Annotated[int, Field(ge=1024, le=65535)]
_NodePort = Annotated[int, Field(ge=30000, le=32767)]
_CONSOLE = "MinIO's web console; required if `store.console` is on."
_STORE = "The S3 API of a store in the cluster."
_GATEWAY = "Gateway for predictions."
_KFP_PORT = "Port on this machine at which `slipway open` makes the pipelines API available."


class Urls(Strict):
    """URLs of the platform from outside the cluster."""

    gateway: _Url = Field(description=_GATEWAY)
    store: _Url | None = Field(default=None, description=_STORE)
    console: _Url | None = Field(default=None, description=_CONSOLE)
    kfp: _Url = Field(description="The pipelines API.")


class PortForwardEndpoints(Strict):
    """Ports on 127.0.0.1 of the machine that runs `slipway open`; nothing is published."""

    kind: Literal["port-forward"] = Field(description="Ports on 127.0.0.1, while `slipway open` runs.")
    gateway: _LocalPort = Field(description=_GATEWAY)
    store: _LocalPort | None = Field(default=None, description=_STORE)
    console: _LocalPort | None = Field(default=None, description=_CONSOLE)
    kfp: _LocalPort = Field(description="The pipelines API.")

    @property
    def urls(self) -> Urls:
        """The URLs while the ports are open."""
        return Urls(
            gateway=f"http://127.0.0.1:{self.gateway}",
            store=_local("https", self.store),
            console=_local("https", self.console),
            kfp=f"http://127.0.0.1:{self.kfp}",
        )

    @property
    def forwarded(self) -> "Forwarded":
        """The ports that `slipway open` opens."""
        return Forwarded(gateway=self.gateway, store=self.store, console=self.console, kfp=self.kfp)


class OwnPorts(Strict):
    """Ports on 127.0.0.1 of the machine on which the stack's own cluster runs, open as long as it runs."""

    gateway: _LocalPort = Field(default=18080, description=_GATEWAY)
    store: _LocalPort = Field(default=18081, description=_STORE)
    console: _LocalPort = Field(default=18082, description="MinIO's web console, if `store.console` is on.")
    kfp: _LocalPort = Field(default=18083, description="The pipelines API.")

    @model_validator(mode="after")
    def _differ(self) -> Self:
        if len({self.gateway, self.store, self.console, self.kfp}) < 4:
            raise ValueError("gateway, store, console and kfp need four different ports")
        return self


class _Published(Strict):
    kfp_port: _LocalPort = Field(description=_KFP_PORT)

    @property
    def forwarded(self) -> "Forwarded":
        """The port that `slipway open` opens."""
        return Forwarded(gateway=None, store=None, console=None, kfp=self.kfp_port)

    @property
    def _kfp(self) -> str:
        return f"http://127.0.0.1:{self.kfp_port}"


class NodePortEndpoints(_Published):
    """A port of every node."""

    kind: Literal["node-port"] = Field(description="A port of every node.")
    host: _Host = Field(description="Address or name of a node, or of what forwards to the nodes.")
    gateway: _NodePort = Field(description=_GATEWAY)
    store: _NodePort | None = Field(default=None, description=_STORE)
    console: _NodePort | None = Field(default=None, description=_CONSOLE)

    @property
    def urls(self) -> Urls:
        """The URLs of the ports."""
        return Urls(
            gateway=f"http://{self.host}:{self.gateway}",
            store=_at("https", self.host, self.store),
            console=_at("https", self.host, self.console),
            kfp=self._kfp,
        )


class _Named(_Published):
    gateway: _Host = Field(description=_GATEWAY)
    store: _Host | None = Field(default=None, description=_STORE)
    console: _Host | None = Field(default=None, description=_CONSOLE)

    @property
    def hosts(self) -> dict[str, str]:
        """Host names by endpoint."""
        named = {"gateway": self.gateway, "store": self.store, "console": self.console}
        return {name: host for name, host in named.items() if host is not None}


class LoadBalancerEndpoints(_Named):
    """A load balancer of the cloud for the gateway and for the store, under names of the operator's."""

    kind: Literal["load-balancer"] = Field(description="A load balancer of the cluster's cloud.")
    annotations: dict[str, str] = Field(
        default_factory=dict,
        json_schema_extra={"format": "annotations by name"},
        description="Annotations of the Services, for the cloud or for what makes DNS names.",
    )

    @property
    def urls(self) -> Urls:
        """The URLs of the names, at the ports of the Services."""
        return Urls(
            gateway=f"http://{self.gateway}:{GATEWAY_PORT}",
            store=None if self.store is None else f"https://{self.store}:{STORE_PORT}",
            console=None if self.console is None else f"https://{self.console}:{STORE_CONSOLE_PORT}",
            kfp=self._kfp,
        )


class GatewayApiEndpoints(_Named):
    """A Gateway of the Gateway API, of any implementation that supports HTTPRoute and TLSRoute."""

    kind: Literal["gateway-api"] = Field(description="A Gateway of the cluster's own implementation.")
    gateway_class: str = Field(min_length=1, description="Name of the GatewayClass.")
    issuer: str = Field(
        min_length=1,
        description="ClusterIssuer of cert-manager that issues the gateway's certificate.",
    )

    @property
    def urls(self) -> Urls:
        """The URLs of the names."""
        return Urls(
            gateway=f"https://{self.gateway}",
            store=None if self.store is None else f"https://{self.store}",
            console=None if self.console is None else f"https://{self.console}",
            kfp=self._kfp,
        )


class UrlEndpoints(Urls):
    """URLs at which the operator publishes the Services; Slipway publishes nothing."""

    kind: Literal["urls"] = Field(description="URLs at which you publish the Services yourself.")

    @property
    def urls(self) -> Urls:
        """The URLs themselves."""
        return Urls.model_validate(self.model_dump(exclude={"kind"}))

    @property
    def forwarded(self) -> None:
        """Nothing: `slipway open` has no ports to open."""
        return


class Forwarded(Strict):
    """Ports on 127.0.0.1 that `slipway open` opens; None where there is no need for one."""

    gateway: int | None
    store: int | None
    console: int | None
    kfp: int


Endpoints = Annotated[
    PortForwardEndpoints | NodePortEndpoints | LoadBalancerEndpoints | GatewayApiEndpoints | UrlEndpoints,
    Field(discriminator="kind"),
]


def _local(scheme: str, port: int | None) -> str | None:
    return _at(scheme, "127.0.0.1", port)


def _at(scheme: str, host: str, port: int | None) -> str | None:
    return None if port is None else f"{scheme}://{host}:{port}"
