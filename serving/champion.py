"""The champion in a comparison: its own model, evaluated on the candidate's held-out rows.

Rows that the champion was trained on would favour it. If its data or split differs, both models are
compared on the held-out rows that it was not trained on; if those are too few, on all of them, and the
decision says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from serving import artifact, held_out
from serving.held_out import HeldOut
from slipway.core.errors import FailedError, SlipwayError, UsageError
from storage.registry.model_files import stage
from storage.registry.promotion_record import ChampionFigures
from storage.registry.records import AliasSnapshot
from storage.registry.registry import Registry
from tabular import metrics
from tabular.model import Model
from tabular.predictions import Predictions
from tabular.schema import ModelSchema, TableSchema

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

NAMED: Final = 5
"""Most features or classes that a message names."""


@dataclass(frozen=True)
class Comparison:
    """The champion's metrics, or why it was not compared."""

    figures: ChampionFigures | None
    not_compared: str = ""


@dataclass(frozen=True)
class Champion:
    """The version that is served now, and access to evaluate it."""

    client: "S3Client"
    registry: Registry
    held: AliasSnapshot

    @property
    def digest(self) -> str:
        """Digest of the version that the alias points to."""
        return self.held.record.digest

    @cached_property
    def model(self) -> Model:
        """Its model, checked like a candidate's; raises FailedError if it can't be read."""
        version = self.registry.show(self.held.record.model, self.digest)
        with stage(self.client, version.storage_uri) as staged:
            return artifact.load(staged, self.digest)

    def require_replaceable(self, schema: ModelSchema, run_id: str, *, replace: bool) -> str:
        """Refuse a model with other features or classes than the champion, unless the user accepts it.

        Args:
            schema: Schema of the model.
            run_id: The run that made it; for the message.
            replace: Whether the user accepts it.

        Returns:
            What was accepted; empty if both have the same features and classes.

        Raises:
            OtherQuestionsError: They differ, or the champion can't be read, and `replace` was not given.
        """
        try:
            differing = difference(self.model.schema, schema)
        except FailedError as error:
            differing = f"The champion can't be evaluated: {error.what} {error.why}".rstrip()
        if differing and not replace:
            record = self.held.record
            raise OtherQuestionsError(
                f"{record.model} serves a model that this one can't simply replace.",
                why=differing,
                fix=f"Run `slipway model promote --tenant {record.tenant} --run {run_id} --replace`, "
                "or train under another model name.",
            )
        return differing

    def compare(self, rows: HeldOut, answers: Predictions, least_rows: int) -> ChampionFigures:
        """Evaluate the champion on held-out rows beside the candidate's answers.

        Raises:
            FailedError: It can't be read.
        """
        unseen = self._unseen(rows, self.model.schema)
        enough = unseen is not None and int(unseen.sum()) >= least_rows
        chosen = unseen if unseen is not None and enough else np.ones(rows.table.num_rows, dtype=bool)
        table = rows.table.filter(pa.array(chosen))
        theirs = self.model.predict(table).labels
        true, classes = rows.labels[chosen], rows.schema.classes
        return ChampionFigures(
            digest=self.digest,
            rows=table.num_rows,
            unseen=enough,
            metrics=dict(metrics.score(true, theirs, classes).metrics),
            candidate=dict(metrics.score(true, answers.labels[chosen], classes).metrics),
        )

    def _unseen(self, rows: HeldOut, schema: ModelSchema) -> NDArray[np.bool_] | None:
        """Return for each row whether the champion was not trained on it; None if that is unknown."""
        own = rows.schema
        if (schema.data_sha256, schema.read, schema.split) == (own.data_sha256, own.read, own.split):
            return np.ones(rows.table.num_rows, dtype=bool)
        lineage = self.registry.show(self.held.record.model, self.digest).lineage
        if lineage is None:
            return None
        try:
            with held_out.fetched(self.client, lineage.data_uri, schema.data_sha256) as path:
                return held_out.not_trained_on(rows, path, schema)
        except SlipwayError:
            return None


class OtherQuestionsError(UsageError):
    """The model's features or classes differ from the champion's, or the champion can't be read."""


def difference(champion: TableSchema, schema: TableSchema) -> str:
    """Describe how a model's interface differs from the champion's; empty if it doesn't.

    The order matters: a client may send values by position.
    """
    theirs = [(each.name, each.kind) for each in champion.features]
    mine = [(each.name, each.kind) for each in schema.features]
    if theirs != mine:
        return f"Its features are {_some(mine)}; the champion's are {_some(theirs)}."
    if champion.classes != schema.classes:
        return f"Its classes are {_names(schema.classes)}; the champion's are {_names(champion.classes)}."
    return ""


def _some(features: Sequence[tuple[str, str]]) -> str:
    return _names(tuple(f"{name} ({kind})" for name, kind in features))


def _names(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
