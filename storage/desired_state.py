"""The desired state of a store: buckets, users and policies; written by the program, read by the Jobs.

It contains no secret.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from slipway.core.errors import UsageError
from storage.keys import StoreRole
from storage.layout import Buckets, checked_name
from storage.policy import minio_policy, policy_name
from storage.settings import ExternalSettings, MinioSettings, StoreTenant

DESIRED: Final = Path("/etc/slipway/desired.json")
"""Its path in a Job."""

USERS: Final = Path("/etc/slipway-users")
"""Mount path of the users' secret keys in a Job; one file per access key."""

KEYS: Final = Path("/etc/slipway-keys/keys.json")
"""Path of each tenant's keys in the Job that checks an external store."""

CA: Final = Path("/etc/slipway-ca/ca.crt")
"""Path in a Job of the CA certificate of a store that has its own CA."""


class DesiredState(BaseModel):
    """The desired state of the store."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    buckets: tuple[str, str, str]
    """Of artifacts, models and data."""

    tenants: tuple[StoreTenant, ...] = ()
    run_retention_days: int = Field(ge=1)

    def named_buckets(self) -> Buckets:
        """Return the buckets by purpose."""
        artifacts, models, data = self.buckets
        return Buckets(artifacts=artifacts, models=models, data=data)

    def users(self) -> dict[str, str]:
        """Return the policy of each user, by access key."""
        return {
            f"{tenant.name}-{role}-{generation}": policy_name(tenant.name, role)
            for tenant in self.tenants
            for generation in tenant.generations
            for role in StoreRole
        }

    def policies(self) -> dict[str, dict[str, Any]]:
        """Return the document of each policy, by name."""
        buckets = self.named_buckets()
        return {
            policy_name(tenant.name, role): minio_policy(tenant.name, role, buckets)
            for tenant in self.tenants
            for role in StoreRole
        }


def desired_state(settings: MinioSettings | ExternalSettings, tenants: Sequence[StoreTenant]) -> str:
    """Return buckets and tenants as the Jobs read them. The text contains no secret."""
    buckets = settings.buckets
    wanted = DesiredState(
        buckets=(buckets.artifacts, buckets.models, buckets.data),
        tenants=tuple(tenants),
        run_retention_days=settings.run_retention_days,
    )
    return json.dumps(wanted.model_dump(mode="json"), indent=2, sort_keys=True)


def read_desired(path: Path) -> DesiredState:
    """Read and check the desired state.

    Raises:
        UsageError: It is missing or not valid.
    """
    try:
        desired = DesiredState.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise UsageError(f"There is no {path}.", fix="Mount the ConfigMap of the desired state.") from error
    except ValidationError as error:
        raise UsageError(f"{path} is not a desired state.", why=str(error)) from error
    for tenant in desired.tenants:
        checked_name("tenant", tenant.name)
    return desired
