"""How a part of the bundle is handed to the installation."""

from infra.upstream.bundle import BundledPart
from infra.upstream.install.bundled import part_objects
from infra.upstream.lock import LockedPart
from infra.upstream.part import Accepts, Own, Part, Stage


def _bundled(*kinds: str, **more: object) -> BundledPart:
    sample = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "sample"}}
    part = Part(
        name="orchard",
        version="1",
        stage=Stage.ISSUERS,
        steps=(Own(()),),
        probes=(Accepts(sample),),
        **more,
    )
    documents = [{"apiVersion": "v1", "kind": kind, "metadata": {"name": kind.lower()}} for kind in kinds]
    entry = LockedPart(name="orchard", version="1", render=("own",), objects=())
    return BundledPart(part, entry, documents)


def test_a_part_is_tried_after_its_own_stage() -> None:
    part = part_objects(_bundled("Deployment", "Namespace"))
    assert {stage: len(documents) for stage, documents in part.stages.items()} == {0: 1, 2: 1}
    assert part.samples_stage == Stage.ISSUERS
    assert [each["metadata"]["name"] for each in part.samples] == ["sample"]


def test_a_part_is_tried_after_webhooks_that_come_later() -> None:
    later = {"ValidatingWebhookConfiguration": Stage.IDENTITY}
    part = part_objects(_bundled("Deployment", "ValidatingWebhookConfiguration", stages=later))
    assert part.samples_stage == Stage.IDENTITY
