"""The bundle's parts as the installation takes them."""

from infra.upstream.bundle import BundledPart
from infra.upstream.install.installation import PartObjects
from infra.upstream.install.ready import Document


def part_objects(bundled: BundledPart) -> PartObjects:
    """Return a part of the bundle with its objects by stage."""
    stages: dict[int, list[Document]] = {}
    for document in bundled.documents:
        stages.setdefault(int(bundled.part.stage_of(document["kind"])), []).append(document)
    return PartObjects(
        name=bundled.part.name,
        stages=stages,
        samples=bundled.samples,
        refused=bundled.refused,
        # Every webhook must be there when it is tried.
        samples_stage=max(
            [
                int(bundled.part.stage),
                *(stage for stage, every in stages.items() if any(map(_is_webhook, every))),
            ]
        ),
    )


def _is_webhook(document: Document) -> bool:
    return str(document["kind"]).endswith("WebhookConfiguration")
