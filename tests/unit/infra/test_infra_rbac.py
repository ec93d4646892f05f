"""RBAC rules of each role in a tenant's namespace, and their invariants."""

import itertools

import pytest

from infra import rbac
from infra.names import EDITOR_SECRET, PROMOTER_SECRET, RUNNER_SECRET, SERVER_SECRET
from infra.rbac import MemberRole

ALL_RULES = [(role, rule) for role in MemberRole for rule in rbac.rules(role)]
MAKES_PODS = {
    "": ("pods", "pods/exec", "replicationcontrollers"),
    "apps": ("daemonsets", "deployments", "replicasets", "statefulsets"),
    "batch": ("cronjobs", "jobs"),
    "serving.kserve.io": ("inferencegraphs", "servingruntimes", "trainedmodels"),
}
WRITES = {"create", "update", "patch", "delete", "deletecollection"}


def allowed(role: MemberRole, resource: str, verb: str, name: str = "", *, group: str | None = None) -> bool:
    return any(
        (group is None or group in rule.groups)
        and resource in rule.resources
        and verb in rule.verbs
        and (not rule.names or name in rule.names)
        for rule in rbac.rules(role)
    )


def test_no_rule_has_a_wildcard():
    for role, rule in (*ALL_RULES, *((None, rule) for rule in rbac.KFP_SERVER)):
        assert "*" not in (*rule.groups, *rule.resources, *rule.verbs), role


@pytest.mark.parametrize(
    ("role", "writes"),
    [
        (MemberRole.ADMIN, True),
        (MemberRole.PROMOTER, True),
        (MemberRole.EDITOR, False),
        (MemberRole.VIEWER, False),
    ],
)
@pytest.mark.parametrize("verb", ["create", "update", "patch", "delete"])
def test_only_admins_and_promoters_write_inference_services(role, writes, verb):
    assert allowed(role, "inferenceservices", "get"), "every role reads"
    assert allowed(role, "inferenceservices", verb) is writes


@pytest.mark.parametrize("role", MemberRole)
def test_no_role_can_create_pods_or_list_secrets(role):
    for group, resources in MAKES_PODS.items():
        for resource, verb in itertools.product(resources, WRITES):
            assert not allowed(role, resource, verb, group=group), f"{role} may {verb} {resource}"
    assert not allowed(role, "secrets", "list"), "a list contains their data"
    assert not allowed(role, "configmaps", "update"), "kfp-launcher sets where runs write"
    assert not allowed(role, "serviceaccounts", "update"), "its Secrets are a predictor's credentials"


@pytest.mark.parametrize(
    ("role", "readable"),
    [
        (MemberRole.VIEWER, set()),
        (MemberRole.EDITOR, {EDITOR_SECRET}),
        (MemberRole.PROMOTER, {PROMOTER_SECRET}),
        (MemberRole.ADMIN, {EDITOR_SECRET, PROMOTER_SECRET}),
    ],
)
def test_store_keys_that_each_role_reads(role, readable):
    every = {EDITOR_SECRET, RUNNER_SECRET, PROMOTER_SECRET, SERVER_SECRET, "another"}
    assert {name for name in every if allowed(role, "secrets", "get", name)} == readable


def test_an_admin_has_the_rules_of_every_other_role():
    for role in MemberRole:
        for rule in rbac.rules(role):
            assert rule in rbac.rules(MemberRole.ADMIN)


def test_only_an_admin_manages_members():
    assert [role for role in MemberRole if allowed(role, "rolebindings", "create")] == [MemberRole.ADMIN]
    assert not any(allowed(role, "roles", verb) for role in MemberRole for verb in WRITES), (
        "anyone who writes roles could extend their own permissions"
    )


def test_an_editor_gets_tokens_only_for_the_editor_account():
    assert allowed(MemberRole.EDITOR, "serviceaccounts/token", "create", "default-editor")
    assert not allowed(MemberRole.EDITOR, "serviceaccounts/token", "create", "pipeline-runner")
    assert not allowed(MemberRole.VIEWER, "serviceaccounts/token", "create", "default-editor")


def test_editors_start_runs_and_others_do_not():
    for verb in ("create", "delete", "terminate"):
        assert allowed(MemberRole.EDITOR, "runs", verb)
        assert not allowed(MemberRole.VIEWER, "runs", verb)
        assert not allowed(MemberRole.PROMOTER, "runs", verb)
