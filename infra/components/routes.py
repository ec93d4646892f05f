"""A Gateway of the Gateway API, with routes to the platform's Services."""

import pulumi
import pulumi_kubernetes as k8s

from infra import gateway_routes
from infra.cluster.handle import Routes


class GatewayRoutes(pulumi.ComponentResource):
    """The Gateway, its certificate and its routes. What serves them is the cluster's own."""

    def __init__(self, name: str, args: Routes, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("slipway:components:GatewayRoutes", name, None, opts)
        for document in gateway_routes.documents(args.gateway_class, args.issuer, args.hosts):
            metadata = document["metadata"]
            k8s.apiextensions.CustomResource(
                f"{name}-{document['kind'].lower()}-{metadata['name']}",
                api_version=document["apiVersion"],
                kind=document["kind"],
                metadata=metadata,
                spec=document["spec"],
                opts=pulumi.ResourceOptions(parent=self),
            )
        self.register_outputs({})
