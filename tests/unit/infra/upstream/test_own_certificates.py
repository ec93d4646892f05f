"""Certificates without cert-manager: what is left out, what a Job issues instead, and with which rights."""

import copy

import pytest
from support.recorded_parts import KSERVE

from infra.jobs.webhook_certificates import request_from
from infra.upstream.certificate_job import environment, job_objects
from infra.upstream.own_certificates import WebhookCertificate, without_cert_manager
from infra.upstream.pod_security import forbidden

IMAGE = "slipway.local/pipelines:0123456789ab"
CERTIFICATE = WebhookCertificate(
    namespace="kserve",
    service="kserve-webhook-server-service",
    secret="kserve-webhook-server-cert",
    mutating=("inferenceservice.serving.kserve.io",),
    validating=tuple(
        f"{kind}.serving.kserve.io"
        for kind in (
            *("clusterservingruntime", "inferencegraph", "inferenceservice", "servingruntime"),
            "trainedmodel",
        )
    ),
)


def changed(kind: str, change) -> list[dict]:
    """Return the part's objects, with `change` made to the first of a kind."""
    documents = copy.deepcopy(KSERVE)
    change(next(each for each in documents if each["kind"] == kind))
    return documents


def test_nothing_of_cert_manager_is_left():
    kept, certificates = without_cert_manager(KSERVE)
    assert "cert-manager.io" in str(KSERVE), "the control"
    assert "cert-manager.io" not in str(kept)
    assert certificates == [CERTIFICATE]
    gone = [each["kind"] for each in KSERVE if each["apiVersion"] == "cert-manager.io/v1"]
    assert (gone, len(kept)) == (["Certificate", "Issuer"], len(KSERVE) - 2)


def test_everything_else_stays_as_it_is():
    before = copy.deepcopy(KSERVE)
    kept, _ = without_cert_manager(KSERVE)
    assert before == KSERVE, "the argument is not changed"
    webhooks = [each for each in kept if each["kind"].endswith("WebhookConfiguration")]
    assert len(webhooks) == 6
    assert all("annotations" not in each["metadata"] for each in webhooks)
    others = [each for each in kept if each not in webhooks]
    assert others == [each for each in KSERVE if each in others]
    again, none = without_cert_manager(kept)
    assert (again, none) == (kept, [])


def test_other_annotations_are_kept():
    documents = changed(
        "MutatingWebhookConfiguration", lambda each: each["metadata"]["annotations"].update({"a": "b"})
    )
    kept, _ = without_cert_manager(documents)
    assert [each["metadata"]["annotations"] for each in kept if "annotations" in each["metadata"]] == [
        {"a": "b"}
    ]


@pytest.mark.parametrize(
    ("kind", "change", "fault"),
    [
        (
            "Certificate",
            lambda each: each["metadata"].update(name="other"),
            "Certificate kserve/other is not that of one Service of webhooks",
        ),
        (
            "Certificate",
            lambda each: each["spec"].update(dnsNames=["elsewhere.kserve.svc"]),
            "Certificate kserve/serving-cert is not for the Service kserve/kserve-webhook-server-service",
        ),
        (
            "CustomResourceDefinition",
            lambda each: each["metadata"].update(
                annotations={"cert-manager.io/inject-ca-from": "kserve/serving-cert"}
            ),
            "is not that of one Service",
        ),
        (
            "ValidatingWebhookConfiguration",
            lambda each: each["webhooks"][0]["clientConfig"]["service"].update(name="second"),
            "is not that of one Service",
        ),
    ],
)
def test_what_the_job_could_not_issue_is_refused(kind, change, fault):
    with pytest.raises(ValueError, match=fault):
        without_cert_manager(changed(kind, change))


def test_the_job_gets_what_it_reads():
    request = request_from([], environment(CERTIFICATE))
    assert (request.namespace, request.service, request.secret) == (
        CERTIFICATE.namespace,
        CERTIFICATE.service,
        CERTIFICATE.secret,
    )
    assert (request.mutating, request.validating) == (CERTIFICATE.mutating, CERTIFICATE.validating)


def test_the_job_meets_the_restricted_standard():
    made = {each["kind"]: each for each in job_objects(CERTIFICATE, IMAGE)}
    assert [forbidden(made[kind], "restricted") for kind in ("Job", "CronJob")] == [[], []]
    [container] = made["Job"]["spec"]["template"]["spec"]["containers"]
    assert container["image"] == IMAGE
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    del container["securityContext"]
    assert forbidden(made["Job"], "restricted"), "the control"


def test_the_job_may_change_only_its_own_objects():
    rules = [rule for each in job_objects(CERTIFICATE, IMAGE) for rule in each.get("rules", ())]
    assert [(rule["resources"], rule["verbs"], rule.get("resourceNames")) for rule in rules] == [
        (["secrets"], ["create"], None),
        (["secrets"], ["get", "patch", "update"], [CERTIFICATE.secret]),
        (["mutatingwebhookconfigurations"], ["get", "patch"], [*CERTIFICATE.mutating]),
        (["validatingwebhookconfigurations"], ["get", "patch"], [*CERTIFICATE.validating]),
    ]


def test_without_configurations_of_a_kind_there_is_no_right():
    """A rule without names is for all of them."""
    certificate = WebhookCertificate(namespace="n", service="s", secret="c", mutating=(), validating=("v",))
    [role] = [each for each in job_objects(certificate, IMAGE) if each["kind"] == "ClusterRole"]
    assert [rule["resourceNames"] for rule in role["rules"]] == [["v"]]


def test_another_image_is_another_job():
    names = {
        each["metadata"]["name"]
        for image in (IMAGE, IMAGE.replace("0123", "4567"))
        for each in job_objects(CERTIFICATE, image)
        if each["kind"] == "Job"
    }
    assert len(names) == 2
    assert max(map(len, names)) <= 63
