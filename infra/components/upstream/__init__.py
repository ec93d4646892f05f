"""Installed parts of upstream, with what this stack has in place of images, cert-manager and passwords."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import pulumi

from infra.cluster.handle import ClusterHandle, Image, Images
from infra.components.upstream.earlier_names import EARLIER
from infra.names import PART_OF, PULL_SECRET
from infra.pod_defaults import secret_data
from infra.upstream import installed, preparing
from infra.upstream.bundle import BundledPart
from infra.upstream.certificate_job import job_objects
from infra.upstream.install.bundled import part_objects
from infra.upstream.install.installation import Installation, InstallationArgs, PartObjects
from infra.upstream.own_certificates import without_cert_manager
from infra.upstream.part import MadeSecret, Part, Stage
from infra.upstream.parts import katib, kserve
from infra.upstream.pull_secret import with_pull_secret
from oci.rewriting import rewrite
from storage import keys

Document = Mapping[str, Any]

_DEFINITION: Final = "CustomResourceDefinition"


@dataclass(frozen=True, kw_only=True)
class UpstreamArgs:
    """Which parts, where, and with what of the stack's own."""

    names: Sequence[str]
    cluster: ClusterHandle
    secret: pulumi.Output[str]
    """The stack's, from which the parts' passwords derive."""


def install(name: str, args: UpstreamArgs, opts: pulumi.ResourceOptions) -> Installation:
    """Declare every object of some parts.

    Args:
        name: Of the resource.
        args: See there.
        opts: With the provider of the cluster.

    Raises:
        UsageError: A part isn't rendered, and this run builds nothing.
    """
    cluster = args.cluster
    if cluster.builder is not None and not pulumi.runtime.is_dry_run():
        preparing.prepare(installed.locked(args.names), cluster.builder, pulumi.log.info)
    images = replaced_images(cluster.images)
    jobs = None if cluster.cert_manager else cluster.images.pipelines
    pull_secret = None if cluster.login.docker_config is None else PULL_SECRET
    parts = [
        _with_pull_secret(adapted(each, images, jobs, args.secret), pull_secret)
        for each in installed.bundled(args.names)
    ]
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


def replaced_images(images: Images) -> dict[str, Image]:
    """Return the images that this stack uses, by the names that upstream's manifests have for them."""
    known = {
        kserve.CONTROLLER: images.kserve_controller,
        kserve.STORAGE_INITIALIZER: images.model_server,
        katib.CONTROLLER: images.katib_controller,
        katib.DB_MANAGER: images.katib_db_manager,
        katib.MYSQL: images.mariadb,
    }
    return {name: image for name, image in known.items() if image is not None}


def adapted(
    bundled: BundledPart, images: Mapping[str, Image], jobs: Image | None, secret: pulumi.Output[str]
) -> PartObjects:
    """Return a part as this stack has it.

    Args:
        bundled: The part with upstream's objects.
        images: What this stack uses, by upstream's reference.
        jobs: The image of Slipway's Jobs, one of which issues the certificates of webhooks; None where
            cert-manager does.
        secret: The stack's, from which passwords derive.
    """
    objects = part_objects(bundled)
    references = {name: image.reference for name, image in images.items()}
    stages: Mapping[int, Sequence[Document]] = {
        stage: [_changed(each, references) for each in documents]
        for stage, documents in objects.stages.items()
    }
    return replace(
        objects,
        stages=stages if jobs is None else _with_own_certificates(bundled.part, stages, jobs),
        secrets=[_secret(each, secret) for each in bundled.part.secrets],
        secrets_stage=int(bundled.part.stage),
    )


def _with_own_certificates(
    part: Part, objects: Mapping[int, Sequence[Document]], jobs: Image
) -> dict[int, list[Document]]:
    kept, certificates = without_cert_manager(
        [document for documents in objects.values() for document in documents]
    )
    trusting = {name for each in certificates for name in (*each.mutating, *each.validating)}
    stages: dict[int, list[Document]] = {}
    for document in kept:
        kind, own_name = document["kind"], document["metadata"]["name"]
        # The Job changes these configurations, so they must be there when the certificates are issued.
        trusts = kind.endswith("WebhookConfiguration") and own_name in trusting
        stage = Stage.ISSUERS if trusts else part.stage_of(kind)
        stages.setdefault(int(stage), []).append(document)
    for certificate in certificates:
        stages.setdefault(int(Stage.ISSUERS), []).extend(job_objects(certificate, jobs.reference))
    return stages


def _with_pull_secret(part: PartObjects, secret: str | None) -> PartObjects:
    if secret is None:
        return part
    stages = {
        stage: [with_pull_secret(each, secret) for each in documents]
        for stage, documents in part.stages.items()
    }
    return replace(part, stages=stages)


def _changed(document: Document, references: Mapping[str, str]) -> Document:
    if document["kind"] == _DEFINITION:
        # It has no image, and may have half a megabyte of schema.
        return document
    if document["kind"] == "Namespace":
        # Slipway's network policies choose its namespaces by this label.
        labels = {**(document["metadata"].get("labels") or {}), **PART_OF}
        return {**document, "metadata": {**document["metadata"], "labels": labels}}
    changed: Document = rewrite(document, references)
    return changed


def _secret(made: MadeSecret, secret: pulumi.Output[str]) -> Document:
    def derive(text: str) -> dict[str, str]:
        values = {key: keys.part_password(text, made.namespace, made.name, key) for key in made.keys}
        return secret_data({key: value.get_secret_value() for key, value in values.items()})

    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": made.name, "namespace": made.namespace, "labels": dict(PART_OF)},
        "data": secret.apply(derive),
    }


def _with_earlier_name(args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult | None:
    earlier = EARLIER.get(args.name)
    if earlier is None:
        return None
    urn = (
        f"urn:pulumi:{pulumi.get_stack()}::{pulumi.get_project()}"
        f"::slipway:components:{earlier.component}${args.type_}::{earlier.name}"
    )
    options = pulumi.ResourceOptions.merge(args.opts, pulumi.ResourceOptions(aliases=[urn]))
    return pulumi.ResourceTransformationResult(props=args.props, opts=options)
