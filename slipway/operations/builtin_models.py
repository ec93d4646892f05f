"""The built-in models, trained on data sets of scikit-learn. They never replace a user's model."""

import tempfile
from pathlib import Path
from typing import Final

from infra.contract import PlatformOutputs
from pipelines.data import Sample, sample
from serving import access
from serving.rollout import CHAMPION
from slipway.operations.training_job import Job
from storage.registry.registry import Registry

SAMPLES: Final[tuple[Sample, ...]] = ("iris", "wisconsin")


def is_taken(outputs: PlatformOutputs, job: Job) -> bool:
    """Whether the champion with the job's name was trained on other data than the built-in job's."""
    served = _data_of_champion(outputs, job)
    return served is not None and served != _digests()[job.sample]


def is_served(outputs: PlatformOutputs, job: Job) -> bool:
    """Whether a built-in model is the champion with the name of a user's job."""
    return _data_of_champion(outputs, job) in _digests().values()


def _data_of_champion(outputs: PlatformOutputs, job: Job) -> str | None:
    """SHA-256 of the data of the champion with a job's name; None without champion, empty if unknown."""
    client = access.open_store(outputs, job.tenant, "editor")
    try:
        registry = Registry(client, outputs.store.models_bucket, job.tenant)
        champion = registry.read_alias(job.model, CHAMPION)
        if champion is None:
            return None
        lineage = registry.show(job.model, champion.record.digest).lineage
        return lineage.data_sha256 if lineage else ""
    finally:
        client.close()


def _digests() -> dict[str, str]:
    """SHA-256 of each built-in data set, by its name."""
    with tempfile.TemporaryDirectory() as folder:
        return {name: sample(name, Path(folder)).summary.sha256 for name in SAMPLES}
