"""S3 on AWS: three private buckets, the KMS key that encrypts them, and an IAM role per tenant and role.

The only module that imports the AWS provider's SDK; only a stack with a store of kind `s3` imports it.
The policy documents are in infra.stores.aws.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi
from pulumi_aws import Provider
from pulumi_aws.eks import PodIdentityAssociation
from pulumi_aws.iam import Role as IamRole
from pulumi_aws.iam import RolePolicy
from pulumi_aws.kms import Alias, Key
from pulumi_aws.s3 import (
    Bucket,
    BucketLifecycleConfiguration,
    BucketOwnershipControls,
    BucketPolicy,
    BucketPublicAccessBlock,
    BucketServerSideEncryptionConfiguration,
    BucketVersioning,
)

from infra.stores.aws import (
    POD_IDENTITY_AGENT,
    bucket_policy,
    lifecycle,
    people_trust,
    role_name,
    role_policy,
    s3_host,
    workload_trust,
)
from infra.stores.handle import StoreHandle
from storage.keys import StoreKey, StoreRole
from storage.settings import PodIdentity, S3Settings, StoreTenant

_DELETION_WINDOW_DAYS = 30
"""How long the deletion of the key can be cancelled; without the key, all encrypted data is lost."""


@dataclass(frozen=True, kw_only=True)
class S3StoreArgs:
    """Settings and tenants of the store, and the ServiceAccounts of its roles."""

    settings: S3Settings
    tenants: tuple[StoreTenant, ...]
    accounts: Mapping[StoreRole, str]
    """Role -> ServiceAccount in each tenant's namespace, for roles of workloads."""


@dataclass(frozen=True)
class IamRoles:
    """Credentials of tenants by IAM roles, without keys."""

    annotated: Mapping[tuple[str, StoreRole], Mapping[str, pulumi.Input[str]]] = field(default_factory=dict)

    def key(self, tenant: StoreTenant, role: StoreRole) -> pulumi.Output[StoreKey] | None:
        """Return None: workloads use IAM roles, so there is no key to protect or rotate."""
        return None

    def annotations(self, tenant: StoreTenant, role: StoreRole) -> Mapping[str, pulumi.Input[str]]:
        """Return annotations of the role's ServiceAccount; empty with Pod Identity."""
        return self.annotated.get((tenant.name, role), {})


class S3Store(pulumi.ComponentResource):
    """Buckets, their KMS key, and the tenants' IAM roles."""

    handle: StoreHandle

    def __init__(self, name: str, args: S3StoreArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("slipway:storage:S3Store", name, None, opts)
        self._name = name
        self._args = args
        self._settings = args.settings
        self._provider = Provider(
            f"{name}-aws",
            region=args.settings.region,
            default_tags={"tags": {"app.kubernetes.io/part-of": "slipway"}},
            opts=pulumi.ResourceOptions(parent=self),
        )
        self._within = pulumi.ResourceOptions(parent=self, provider=self._provider)
        key_arn = self._key()
        buckets = args.settings.buckets
        for purpose in ("artifacts", "models", "data"):
            self._bucket(purpose, getattr(buckets, purpose), key_arn)
        annotated = self._roles(key_arn)
        endpoint = f"https://{s3_host(args.settings.region)}"
        self.handle = StoreHandle(
            kind="s3",
            buckets=buckets,
            region=args.settings.region,
            endpoint=endpoint,
            internal_endpoint=endpoint,
            path_style=False,
            ca_certificate=None,
            namespace=None,
            identity_agent=POD_IDENTITY_AGENT if isinstance(args.settings.identity, PodIdentity) else None,
            credentials=IamRoles(annotated),
            keyless=True,
            # A dependency on a component includes all of its children.
            ready=self,
        )
        self.register_outputs({"internal_endpoint": endpoint})

    def _protected(self) -> pulumi.ResourceOptions:
        """Return the options of resources that `destroy` must not delete."""
        options = pulumi.ResourceOptions(protect=self._settings.protect_buckets)
        return pulumi.ResourceOptions.merge(self._within, options)

    def _key(self) -> pulumi.Input[str]:
        if self._settings.kms_key_arn is not None:
            return self._settings.kms_key_arn
        key = Key(
            f"{self._name}-key",
            description=f"Encrypts {', '.join(self._settings.buckets.model_dump().values())}.",
            enable_key_rotation=True,
            deletion_window_in_days=_DELETION_WINDOW_DAYS,
            opts=self._protected(),
        )
        Alias(
            f"{self._name}-key-alias",
            name=f"alias/slipway-{self._settings.buckets.models}",
            target_key_id=key.key_id,
            opts=self._within,
        )
        arn: pulumi.Output[str] = key.arn
        return arn

    def _bucket(self, purpose: str, bucket_name: str, key_arn: pulumi.Input[str]) -> None:
        """Declare a bucket with its access restrictions."""
        logical = f"{self._name}-{purpose}"
        bucket = Bucket(
            logical,
            bucket=bucket_name,
            # A bucket that is not empty is never deleted.
            force_destroy=False,
            tags={"slipway.dev/purpose": purpose},
            opts=self._within if purpose == "artifacts" else self._protected(),
        )
        of_bucket = pulumi.ResourceOptions.merge(
            self._within, pulumi.ResourceOptions(depends_on=[bucket], deleted_with=bucket)
        )
        public_access_block = BucketPublicAccessBlock(
            f"{logical}-public-access",
            bucket=bucket_name,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=of_bucket,
        )
        BucketOwnershipControls(
            f"{logical}-ownership",
            bucket=bucket_name,
            rule={"object_ownership": "BucketOwnerEnforced"},
            opts=of_bucket,
        )
        versioned = BucketVersioning(
            f"{logical}-versions",
            bucket=bucket_name,
            versioning_configuration={"status": "Enabled"},
            opts=of_bucket,
        )
        BucketServerSideEncryptionConfiguration(
            f"{logical}-encryption", bucket=bucket_name, rules=[_encryption(key_arn)], opts=of_bucket
        )
        after_block = pulumi.ResourceOptions.merge(
            of_bucket, pulumi.ResourceOptions(depends_on=[public_access_block])
        )
        BucketPolicy(
            f"{logical}-policy",
            bucket=bucket_name,
            policy=pulumi.Output.from_input(key_arn).apply(
                lambda arn: _text(bucket_policy(bucket_name, region=self._settings.region, kms_key_arn=arn))
            ),
            opts=after_block,
        )
        BucketLifecycleConfiguration(
            f"{logical}-lifecycle",
            bucket=bucket_name,
            rules=lifecycle(bucket_name, self._settings.buckets, self._settings.run_retention_days),
            opts=pulumi.ResourceOptions.merge(of_bucket, pulumi.ResourceOptions(depends_on=[versioned])),
        )

    def _roles(
        self, key_arn: pulumi.Input[str]
    ) -> dict[tuple[str, StoreRole], Mapping[str, pulumi.Input[str]]]:
        """Declare each tenant's roles and return the annotations of their ServiceAccounts."""
        annotated: dict[tuple[str, StoreRole], Mapping[str, pulumi.Input[str]]] = {}
        for tenant in self._args.tenants:
            for role in StoreRole:
                account = self._args.accounts.get(role)
                principals = self._principals(tenant.name, role)
                if account is not None:
                    trust = workload_trust(self._settings.identity, tenant.name, account)
                    if principals:
                        trust["Statement"] += people_trust(principals)["Statement"]
                elif principals:
                    trust = people_trust(principals)
                else:
                    continue  # nobody could assume it
                iam_role = self._role(tenant.name, role, trust, key_arn)
                if account is not None:
                    annotated[tenant.name, role] = self._bind(tenant.name, role, account, iam_role)
        return annotated

    def _principals(self, tenant: str, role: StoreRole) -> Sequence[str]:
        return [
            each.principal for each in self._settings.people if (each.tenant, each.role) == (tenant, role)
        ]

    def _role(
        self, tenant: str, role: StoreRole, trust: Mapping[str, object], key_arn: pulumi.Input[str]
    ) -> IamRole:
        logical = f"{self._name}-{tenant}-{role}"
        iam_role = IamRole(
            f"{logical}-role",
            name=role_name(tenant, role, self._settings.buckets),
            description=f"Tenant {tenant} of Slipway, as {role}.",
            assume_role_policy=_text(trust),
            tags={"slipway.dev/tenant": tenant, "slipway.dev/role": role.value},
            opts=self._within,
        )
        RolePolicy(
            f"{logical}-rights",
            name="store",
            role=iam_role.name,
            policy=pulumi.Output.from_input(key_arn).apply(
                lambda arn: _text(
                    role_policy(
                        tenant,
                        role,
                        self._settings.buckets,
                        region=self._settings.region,
                        kms_key_arn=arn,
                    )
                )
            ),
            opts=self._within,
        )
        return iam_role

    def _bind(
        self, tenant: str, role: StoreRole, account: str, iam_role: IamRole
    ) -> Mapping[str, pulumi.Input[str]]:
        """Assign the IAM role to the ServiceAccount; return the annotations that it needs for that."""
        identity = self._settings.identity
        if isinstance(identity, PodIdentity):
            PodIdentityAssociation(
                f"{self._name}-{tenant}-{role}-association",
                cluster_name=identity.cluster_name,
                namespace=tenant,
                service_account=account,
                role_arn=iam_role.arn,
                opts=self._within,
            )
            return {}
        return {"eks.amazonaws.com/role-arn": iam_role.arn}


def _encryption(key_arn: pulumi.Input[str]) -> Mapping[str, object]:
    return {
        "apply_server_side_encryption_by_default": {"sse_algorithm": "aws:kms", "kms_master_key_id": key_arn},
        # Needs one KMS call for many objects.
        "bucket_key_enabled": True,
        "blocked_encryption_types": ["SSE-C"],
    }


def _text(document: Mapping[str, object]) -> str:
    return json.dumps(document, sort_keys=True)
