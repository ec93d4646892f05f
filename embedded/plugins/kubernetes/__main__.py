"""`python -m embedded.plugins.kubernetes ENGINE`: what the launcher `pulumi-resource-kubernetes` runs."""

import sys

from pulumi.runtime.proto import provider_pb2_grpc

from embedded.plugins.kubernetes.provider import KubernetesProvider
from embedded.plugins.serving import engine_address, serve

if __name__ == "__main__":
    provider = KubernetesProvider(engine_address(sys.argv[1:]))
    serve(
        lambda server: provider_pb2_grpc.add_ResourceProviderServicer_to_server(provider, server),
        on_exit=provider.cancel,
    )
