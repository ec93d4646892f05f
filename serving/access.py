"""Opens the store as one of a tenant's roles, with the key in the role's Secret in the cluster."""

from typing import TYPE_CHECKING, Literal

from pydantic import SecretStr

from infra.contract import PlatformOutputs
from infra.names import CA_KEY
from serving.cluster import Cluster
from slipway.core.errors import FailedError
from storage import client
from storage.client import StoreAccess
from storage.keys import StoreKey

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

Person = Literal["editor", "promoter", "collector"]


def open_store(outputs: PlatformOutputs, tenant: str, role: Person) -> "S3Client":
    """Open the store as one of the tenant's roles; requires read access to that role's Secret.

    Raises:
        UsageError: The stack has no such tenant.
        FailedError: The Secret can't be read, or holds no key.
    """
    return client.open_store(store_access(outputs, tenant, role))


def store_access(outputs: PlatformOutputs, tenant: str, role: Person) -> StoreAccess:
    """Return address, key and CA certificate of the store for a role; raises as `open_store`."""
    place, store = outputs.tenant(tenant), outputs.store
    secrets = {
        "editor": place.editor_secret,
        "promoter": place.promoter_secret,
        "collector": place.collector_secret,
    }
    name = secrets[role]
    cluster = Cluster.of(outputs) if name or store.ca_config_map else None
    return StoreAccess(
        endpoint=store.endpoint,
        region=store.region,
        key=_key(cluster, place.namespace, name) if cluster and name else None,
        ca=cluster.read_config_map(place.namespace, store.ca_config_map)[CA_KEY]
        if cluster and store.ca_config_map
        else None,
        path_style=store.path_style,
    )


def _key(cluster: Cluster, namespace: str, name: str) -> StoreKey:
    secret = cluster.read_secret(namespace, name)
    try:
        return StoreKey(
            access_key=secret["AWS_ACCESS_KEY_ID"], secret_key=SecretStr(secret["AWS_SECRET_ACCESS_KEY"])
        )
    except KeyError as error:
        raise FailedError(f"Secret {namespace}/{name} holds no store key.", why=f"No {error}.") from error
