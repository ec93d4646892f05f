"""Records in a cluster which stack its platform belongs to: a cluster has room for one."""

from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as k8s

from infra.names import OWNER, OWNER_NAMESPACE, PART_OF
from infra.pod_defaults import RESTRICTED, metadata
from storage.keys import stack_identity


@dataclass(frozen=True, kw_only=True)
class PlatformOwnerArgs:
    """The stack that declares the platform."""

    stack: str
    secret: pulumi.Output[str]
    """From which its identity derives."""


class PlatformOwner(pulumi.ComponentResource):
    """The record, which is made before everything else.

    `infra.stack.owner` reads it before an `up`. Two stacks that begin at the same time both try to make the
    namespace, and one of them is refused before it has made anything else.
    """

    def __init__(
        self, name: str, args: PlatformOwnerArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("slipway:components:PlatformOwner", name, None, opts)
        namespace = k8s.core.v1.Namespace(
            f"{name}-namespace",
            metadata=metadata(OWNER_NAMESPACE, {**PART_OF, **RESTRICTED}),
            opts=pulumi.ResourceOptions(parent=self),
        )
        # The identity says nothing about the secret: without this the whole ConfigMap would be one.
        identity = pulumi.Output.unsecret(args.secret.apply(stack_identity))
        self.record = k8s.core.v1.ConfigMap(
            f"{name}-record",
            metadata=metadata(OWNER, PART_OF, namespace=OWNER_NAMESPACE),
            data={"stack": args.stack, "identity": identity},
            opts=pulumi.ResourceOptions(parent=self, depends_on=[namespace]),
        )
        self.register_outputs({})
