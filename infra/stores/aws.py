"""Policy documents for S3 on AWS: trust and permissions of roles, bucket policies, lifecycle rules. Pure.

The permissions of a tenant's roles are those of storage.policy, converted to IAM.
"""

import hashlib
from collections.abc import Sequence
from typing import Any, Final

from storage import denials
from storage.keys import StoreRole
from storage.layout import Buckets, checked_name
from storage.policy import policy
from storage.retention import NONCURRENT_DAYS, Rule, rules_of
from storage.settings import Irsa, PodIdentity

Document = dict[str, Any]

POD_IDENTITY_AGENT: Final = "169.254.170.23/32"
"""Address of the EKS Pod Identity Agent on every node; its port is 80."""

INCOMPLETE_UPLOAD_DAYS: Final = 7
"""Days after which the parts of an incomplete multipart upload are removed."""

_VERSION: Final = "2012-10-17"
_AUDIENCE: Final = "sts.amazonaws.com"
_NOT_IAM: Final = frozenset({"s3:HeadBucket"})
"""An action that only MinIO knows. On AWS, HeadBucket requires permission to list without a prefix, which no
tenant's role has: such a listing reveals every tenant's name. Our storage initializer does not need it."""


def partition(region: str) -> str:
    """Return the AWS partition of a region: China and GovCloud have their own."""
    for start, name in {"cn-": "aws-cn", "us-gov-": "aws-us-gov"}.items():
        if region.startswith(start):
            return name
    return "aws"


def s3_host(region: str) -> str:
    """Return the host name of a region's S3 API."""
    return f"s3.{region}.amazonaws.com{'.cn' if partition(region) == 'aws-cn' else ''}"


def bucket_arn(bucket: str, region: str) -> str:
    """Return the ARN of a bucket."""
    return f"arn:{partition(region)}:s3:::{bucket}"


def role_name(tenant: str, role: StoreRole, buckets: Buckets) -> str:
    """Return a role name of at most 64 characters; unique per stack, because bucket names are."""
    stack = hashlib.sha256(buckets.models.encode()).hexdigest()[:5]
    return f"slipway-{checked_name('tenant', tenant)}-{role}-{stack}"


def role_policy(tenant: str, role: StoreRole, buckets: Buckets, *, region: str, kms_key_arn: str) -> Document:
    """Return the permissions of a tenant's role: those of storage.policy, and use of the KMS key.

    IAM and STS are denied, so that the role can't create keys or assume another role.

    Args:
        tenant: Name of the tenant.
        role: Role of the tenant.
        buckets: The stack's buckets.
        region: Region of the buckets.
        kms_key_arn: ARN of the key that encrypts the buckets.
    """
    granted = [_in_iam(statement, region) for statement in policy(tenant, role, buckets)["Statement"]]
    for key_action, action in {"kms:Decrypt": "s3:GetObject", "kms:GenerateDataKey": "s3:PutObject"}.items():
        bucket_arns = _buckets_of(action, granted)
        if bucket_arns:
            granted.append(_key_use(key_action, bucket_arns, region, kms_key_arn))
    return {"Version": _VERSION, "Statement": [*granted, *denials.in_iam()]}


def _in_iam(statement: Document, region: str) -> Document:
    return statement | {
        "Action": [action for action in statement["Action"] if action not in _NOT_IAM],
        "Resource": [arn.replace("arn:aws:", f"arn:{partition(region)}:") for arn in statement["Resource"]],
    }


def _buckets_of(action: str, statements: Sequence[Document]) -> list[str]:
    """Return the ARNs of the buckets in which an action on objects is allowed."""
    resources = [arn for each in statements if action in each["Action"] for arn in each["Resource"]]
    return sorted({arn.partition("/")[0] for arn in resources})


def _key_use(action: str, buckets: Sequence[str], region: str, kms_key_arn: str) -> Document:
    """Allow use of the key only through S3 and only for objects of these buckets."""
    return {
        "Effect": "Allow",
        "Action": [action],
        "Resource": [kms_key_arn],
        "Condition": {
            "StringEquals": {"kms:ViaService": s3_host(region)},
            # The context is the bucket's ARN with a bucket key, the object's ARN otherwise.
            "StringLike": {
                "kms:EncryptionContext:aws:s3:arn": [arn + tail for arn in buckets for tail in ("", "/*")]
            },
        },
    }


def workload_trust(identity: Irsa | PodIdentity, namespace: str, service_account: str) -> Document:
    """Return a trust policy that lets only one ServiceAccount assume the role."""
    if isinstance(identity, Irsa):
        issuer = identity.provider_arn.partition(":oidc-provider/")[2]
        return _trust(
            {"Federated": identity.provider_arn},
            ["sts:AssumeRoleWithWebIdentity"],
            {
                f"{issuer}:aud": _AUDIENCE,
                f"{issuer}:sub": f"system:serviceaccount:{namespace}:{service_account}",
            },
        )
    return _trust(
        {"Service": "pods.eks.amazonaws.com"},
        ["sts:AssumeRole", "sts:TagSession"],
        {
            "aws:RequestTag/eks-cluster-name": identity.cluster_name,
            "aws:RequestTag/kubernetes-namespace": namespace,
            "aws:RequestTag/kubernetes-service-account": service_account,
        },
    )


def people_trust(principals: Sequence[str]) -> Document:
    """Return a trust policy that lets IAM principals assume the role: people, or a CI system."""
    return _trust({"AWS": sorted(principals)}, ["sts:AssumeRole"], {})


def _trust(principal: Document, actions: Sequence[str], equals: dict[str, str]) -> Document:
    condition = {"Condition": {"StringEquals": equals}} if equals else {}
    statement = {"Effect": "Allow", "Principal": principal, "Action": [*actions]} | condition
    return {"Version": _VERSION, "Statement": [statement]}


def bucket_policy(bucket: str, *, region: str, kms_key_arn: str) -> Document:
    """Return the policy of a bucket: it only denies, and grants nothing."""
    arn = bucket_arn(bucket, region)
    everything, objects = [arn, f"{arn}/*"], [f"{arn}/*"]
    key = "s3:x-amz-server-side-encryption-aws-kms-key-id"
    encryption = "s3:x-amz-server-side-encryption"
    return {
        "Version": _VERSION,
        "Statement": [
            _deny("NoPlainHttp", ["s3:*"], everything, {"Bool": {"aws:SecureTransport": "false"}}),
            _deny("NoOldTls", ["s3:*"], everything, {"NumericLessThan": {"s3:TlsVersion": "1.2"}}),
            # A request without a key uses the bucket's default key; one with another key is denied.
            _deny("NoOtherEncryption", ["s3:PutObject"], objects, _set_to_other_than(encryption, "aws:kms")),
            _deny("NoOtherKey", ["s3:PutObject"], objects, _set_to_other_than(key, kms_key_arn)),
        ],
    }


def _set_to_other_than(header: str, value: str) -> Document:
    return {"Null": {header: "false"}, "StringNotEquals": {header: value}}


def _deny(name: str, actions: list[str], resources: list[str], condition: Document) -> Document:
    return {
        "Sid": name,
        "Effect": "Deny",
        "Principal": "*",
        "Action": actions,
        "Resource": resources,
        "Condition": condition,
    }


def lifecycle(bucket: str, buckets: Buckets, run_retention_days: int) -> list[Document]:
    """Return a bucket's lifecycle rules for pulumi_aws: those of every store, and further ones for AWS.

    On AWS the artifacts bucket is versioned too, so that deletions can be undone for some days.
    """
    rules = [_in_pulumi(rule) for rule in rules_of(buckets, run_retention_days)[bucket]]
    if bucket == buckets.artifacts:
        rules.append(_in_pulumi(Rule(name="slipway-deleted-runs", noncurrent_days=NONCURRENT_DAYS)))
        rules.append(_rule("slipway-markers", {"expiration": {"expired_object_delete_marker": True}}))
    abort = {"abort_incomplete_multipart_upload": {"days_after_initiation": INCOMPLETE_UPLOAD_DAYS}}
    return [*rules, _rule("slipway-abandoned-uploads", abort)]


def _in_pulumi(rule: Rule) -> Document:
    action: Document = {}
    if rule.days is not None:
        action["expiration"] = {"days": rule.days}
    if rule.noncurrent_days is not None:
        action["noncurrent_version_expiration"] = {"noncurrent_days": rule.noncurrent_days}
    return _rule(rule.name, action)


def _rule(name: str, action: Document) -> Document:
    return {"id": name, "status": "Enabled", "filter": {"prefix": ""}} | action
