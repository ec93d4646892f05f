"""The installed parts of upstream, with what this stack has in place of images and of cert-manager."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import pulumi

from infra.cluster.handle import ClusterHandle, Image, Images
from infra.names import PULL_SECRET
from infra.upstream import installed, preparing
from infra.upstream.bundle import BundledPart
from infra.upstream.certificate_job import job_objects
from infra.upstream.install.bundled import part_objects
from infra.upstream.install.installation import Installation, InstallationArgs, PartObjects
from infra.upstream.own_certificates import without_cert_manager
from infra.upstream.part import Stage
from infra.upstream.parts import kserve
from infra.upstream.pull_secret import with_pull_secret
from oci.rewriting import rewrite

Document = Mapping[str, Any]

_DEFINITION: Final = "CustomResourceDefinition"
_EARLIER: Final[Mapping[str, str]] = {
    "upstream-kserve-definitions-0": "kserve-definitions",
    "upstream-v1-namespace-kserve": "kserve-namespace",
    "upstream-v1-serviceaccount-kserve-kserve-controller-manager": "kserve-controller-account",
    "upstream-v1-configmap-kserve-inferenceservice-config": "kserve-config",
    "upstream-v1-service-kserve-kserve-webhook-server-service": "kserve-webhook-service",
    "upstream-apps-deployment-kserve-kserve-controller-manager": "kserve-controller",
    "upstream-admissionregistration.k8s.io-mutatingwebhookconfiguration-inferenceservice.serving.kserve.io": (
        "kserve-mutating"
    ),
    **{
        f"upstream-admissionregistration.k8s.io-validatingwebhookconfiguration-{kind}.serving.kserve.io": (
            f"kserve-validating-{kind}s"
        )
        for kind in (
            "clusterservingruntime",
            "inferencegraph",
            "inferenceservice",
            "servingruntime",
            "trainedmodel",
        )
    },
}
"""Names that resources had while KServe's objects were written by hand (until 2026-11-30), in the component
`kserve`. Without them an `up` of an earlier stack would find the objects there and refuse them."""


def install(name: str, cluster: ClusterHandle, opts: pulumi.ResourceOptions) -> Installation:
    """Declare every object of the installed parts.

    Args:
        name: Of the resource.
        cluster: Where, and with which images.
        opts: With the provider of the cluster.

    Raises:
        UsageError: A part isn't rendered, and this run builds nothing.
    """
    if cluster.builder is not None and not pulumi.runtime.is_dry_run():
        preparing.prepare(installed.locked(), cluster.builder, pulumi.log.info)
    images = _replaced(cluster.images)
    secret = None if cluster.login.docker_config is None else PULL_SECRET
    jobs = None if cluster.cert_manager else cluster.images.pipelines
    parts = [_with_pull_secret(_part(each, images, jobs), secret) for each in installed.bundled()]
    made = [*images.values(), cluster.images.pipelines]
    return Installation(
        name,
        InstallationArgs(
            parts=parts,
            connection=cluster.connection,
            images={each.reference: each.ready for each in made if each.ready is not None},
            login=cluster.login,
        ),
        pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(transformations=[_with_earlier_name])),
    )


def _replaced(images: Images) -> dict[str, Image]:
    """Return the images that this stack uses, by the names that upstream's manifests have for them."""
    return {
        kserve.CONTROLLER: images.kserve_controller,
        kserve.STORAGE_INITIALIZER: images.model_server,
    }


def _part(bundled: BundledPart, images: Mapping[str, Image], jobs: Image | None) -> PartObjects:
    """Return a part with this stack's images.

    Args:
        bundled: The part.
        images: What this stack uses, by upstream's reference.
        jobs: The image of Slipway's Jobs, one of which issues the certificates of webhooks; None where
            cert-manager does.
    """
    objects = part_objects(bundled)
    references = {name: image.reference for name, image in images.items()}
    if jobs is None:
        return replace(
            objects,
            stages={
                stage: [_with_images(each, references) for each in documents]
                for stage, documents in objects.stages.items()
            },
        )
    kept, certificates = without_cert_manager(
        [document for documents in objects.stages.values() for document in documents]
    )
    trusting = {name for each in certificates for name in (*each.mutating, *each.validating)}
    stages: dict[int, list[Document]] = {}
    for document in kept:
        kind, own_name = document["kind"], document["metadata"]["name"]
        # The Job changes these configurations, so they must be there when the certificates are issued.
        trusts = kind.endswith("WebhookConfiguration") and own_name in trusting
        stage = Stage.ISSUERS if trusts else bundled.part.stage_of(kind)
        stages.setdefault(int(stage), []).append(_with_images(document, references))
    for certificate in certificates:
        stages.setdefault(int(Stage.ISSUERS), []).extend(job_objects(certificate, jobs.reference))
    return PartObjects(
        name=objects.name, stages=stages, samples=objects.samples, samples_stage=objects.samples_stage
    )


def _with_pull_secret(part: PartObjects, secret: str | None) -> PartObjects:
    if secret is None:
        return part
    stages = {
        stage: [with_pull_secret(each, secret) for each in documents]
        for stage, documents in part.stages.items()
    }
    return replace(part, stages=stages)


def _with_images(document: Document, references: Mapping[str, str]) -> Document:
    # A definition has no image, and may have half a megabyte of schema.
    return document if document["kind"] == _DEFINITION else rewrite(document, references)


def _with_earlier_name(args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult | None:
    earlier = _EARLIER.get(args.name)
    if earlier is None:
        return None
    urn = (
        f"urn:pulumi:{pulumi.get_stack()}::{pulumi.get_project()}"
        f"::slipway:components:KServe${args.type_}::{earlier}"
    )
    options = pulumi.ResourceOptions.merge(args.opts, pulumi.ResourceOptions(aliases=[urn]))
    return pulumi.ResourceTransformationResult(props=args.props, opts=options)
