"""Opening the store as one of a tenant's roles: the key comes from the role's Secret in the cluster."""

from typing import TYPE_CHECKING, Literal

from pydantic import SecretStr

from infra.contract import PlatformOutputs
from serving.cluster import Cluster
from storage import client
from storage.errors import FailedError
from storage.keys import StoreKey

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

Person = Literal["editor", "promoter"]


def open_store(outputs: PlatformOutputs, tenant: str, role: Person) -> "S3Client":
    """Open the store as the tenant's editor or promoter, whoever may read that role's Secret.

    Raises:
        UsageError: the stack has no such tenant.
        FailedError: the Secret can't be read, or holds no key.
    """
    place = outputs.tenant(tenant)
    name = place.editor_secret if role == "editor" else place.promoter_secret
    secret = Cluster.of(outputs).read_secret(place.namespace, name)
    try:
        key = StoreKey(
            access_key=secret["AWS_ACCESS_KEY_ID"], secret_key=SecretStr(secret["AWS_SECRET_ACCESS_KEY"])
        )
    except KeyError as error:
        raise FailedError(
            f"Secret {place.namespace}/{name} holds no store key.", why=f"No {error}."
        ) from error
    return client.open_store(outputs.store.endpoint, key, outputs.store.region)
