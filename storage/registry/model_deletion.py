"""Deleting a model: its aliases, and all its versions for good. The log stays as a record.

The rules are those of garbage collection (storage.registry.collection), except that neither age nor log keeps
a version. A served version is never deleted; one that an alias points to only on request. The aliases are
deleted first: a version that a promotion is using is still noticed, by its log entry or its
InferenceService, and stays.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slipway.core.errors import FailedError, UsageError
from slipway.core.report import Report, silent
from storage.client import translated_errors
from storage.layout import alias_key
from storage.registry.collection import CollectionOutcome, CollectionVerdict, Collector
from storage.registry.registry import Registry

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True)
class Contents:
    """What is deleted with a model."""

    model: str
    aliases: Mapping[str, str]
    """Digest by alias."""
    verdicts: tuple[CollectionVerdict, ...]


class ModelDeletion:
    """Deletes models of one tenant with its collector's key."""

    def __init__(self, client: "S3Client", bucket: str, tenant: str, collector: Collector) -> None:
        self._client = client
        self._bucket = bucket
        self._tenant = tenant
        self._collector = collector
        self._registry = Registry(client, bucket, tenant)

    def plan(self, model: str, *, with_aliases: bool) -> Contents:
        """Return what would be deleted; changes nothing.

        Raises:
            UsageError: There is no such model, it is served, or an alias points to it and
                `with_aliases` was not given.
            FailedError: A fact can't be read.
        """
        verdicts = tuple(self._collector.plan_deletion(model))
        aliases = self._aliases(model)
        if not verdicts and not aliases:
            raise UsageError(f"{self._tenant} has no model {model!r}.", fix="See `slipway model list`.")
        # Facts of a model are the same in each of its verdicts.
        served = verdicts[0].facts.served if verdicts else {}
        if served:
            names = ", ".join(sorted(name for name in served if not name.endswith("(annotation)")) or served)
            raise UsageError(
                f"Model {model!r} is served and was not deleted.",
                why=f"InferenceService {names} serves it.",
                fix=f"Stop serving it first: kubectl -n {self._tenant} delete inferenceservice {model}",
            )
        if aliases and not with_aliases:
            pointing = ", ".join(f"{alias} at {digest[:12]}" for alias, digest in sorted(aliases.items()))
            raise UsageError(
                f"Model {model!r} was not deleted.",
                why=f"Aliases point to it: {pointing}.",
                fix="Add --with-aliases to delete them too.",
            )
        return Contents(model, aliases, verdicts)

    def carry_out(self, contents: Contents, report: Report = silent) -> list[CollectionOutcome]:
        """Delete what was planned; each version is checked again before it is deleted.

        Raises:
            FailedError: An alias was moved meanwhile, or a fact can't be read; a rerun converges.
        """
        for alias, digest in sorted(contents.aliases.items()):
            snapshot = self._registry.read_alias(contents.model, alias)
            if snapshot is not None and snapshot.record.digest != digest:
                raise FailedError(
                    f"{contents.model}@{alias} was moved meanwhile; the model was not deleted.",
                    why=f"{snapshot.record}.",
                )
            key = alias_key(self._tenant, contents.model, alias)
            with translated_errors(f"delete {key}"):
                self._client.delete_object(Bucket=self._bucket, Key=key)
            report(f"{contents.model}@{alias} is deleted")
        return self._collector.carry_out(contents.verdicts, report)

    def _aliases(self, model: str) -> dict[str, str]:
        snapshots = {
            alias: self._registry.read_alias(model, alias) for alias in self._registry.list_aliases(model)
        }
        return {alias: each.record.digest for alias, each in snapshots.items() if each is not None}
