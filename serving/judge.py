"""Promotion's own evaluation of a candidate, and the decision.

Nothing is published or applied here. The model's files were checked before; its data is read by digest
from the tenant's data bucket, which runs can't write to.
"""

import platform
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

from serving import held_out, promotion
from serving.champion import Champion, Comparison
from serving.held_out import HeldOut
from serving.promotion import Decision
from serving.smoke import Sample
from slipway.core.errors import FailedError
from slipway.core.report import Report
from storage.registry.author import author
from storage.registry.candidate import Candidate
from storage.registry.gates import Gates
from storage.registry.promotion_record import Evaluation, HeldOutRows
from tabular import metrics
from tabular.metrics import Scores
from tabular.model import Model
from tabular.predictions import Predictions

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True)
class Judgement:
    """What promotion measured and decided, and the rows for the smoke check."""

    evaluation: Evaluation
    decision: Decision
    sample: Sample


@dataclass(frozen=True)
class Judge:
    """Evaluates candidates of one tenant with its gates."""

    client: "S3Client"
    gates: Gates
    report: Report

    def judge(
        self, candidate: Candidate, model: Model, champion: Champion | None, *, replace: bool
    ) -> Judgement:
        """Evaluate a candidate on its held-out rows, and decide.

        Args:
            candidate: The candidate that the run wrote.
            model: Its model, loaded from files with the candidate's digest.
            champion: The current champion, if any.
            replace: Whether the user accepts what can't be compared with the champion.

        Raises:
            UsageError: Its features or classes differ from the champion's, and `replace` was not given.
            FailedError: It can't be evaluated, or its run reports other metrics.
        """
        rows = self._rows(candidate, model)
        again = champion is not None and champion.digest == candidate.model_digest
        accepted = ""
        if champion is not None and not again:
            accepted = champion.require_replaceable(model.schema, candidate.run_id, replace=replace)
        answers = model.predict(rows.table)
        scores = _scored(rows, answers)
        promotion.require_same_figures(candidate, scores)
        if champion is None:
            compared = Comparison(None, "nothing is served yet")
        elif again:
            compared = Comparison(None, "it is the champion already")
        else:
            compared = self._compared(champion, rows, answers, accepted)
        decision = promotion.decide(
            candidate,
            scores,
            self.gates,
            compared.figures,
            not_compared=compared.not_compared,
            replace=replace,
        )
        if accepted:
            decision = Decision(decision.promote, decision.reason, accepted)
        return Judgement(
            self._evaluation(candidate, rows, scores, compared), decision, Sample.of(rows, answers)
        )

    def _rows(self, candidate: Candidate, model: Model) -> HeldOut:
        schema = model.schema
        self.report(f"reading {candidate.data_uri}")
        with held_out.fetched(self.client, candidate.data_uri, candidate.data_sha256) as path:
            rows = held_out.read(path, candidate.data_uri, schema.read, schema.split)
        held_out.require_described(rows.schema, schema)
        self.report(f"evaluating on {rows.table.num_rows} held-out rows")
        return rows

    def _compared(self, champion: Champion, rows: HeldOut, answers: Predictions, accepted: str) -> Comparison:
        if accepted:
            return Comparison(None, f"--replace accepts: {accepted}")
        if self.gates.compare == "never":
            return Comparison(None, "the gates of the tenant compare with no champion")
        self.report(f"evaluating the champion {champion.digest[:12]} on the same rows")
        return Comparison(champion.compare(rows, answers, self.gates.min_held_out_rows))

    def _evaluation(
        self, candidate: Candidate, rows: HeldOut, scores: Scores, compared: Comparison
    ) -> Evaluation:
        return Evaluation(
            by=author(),
            software={
                "onnxruntime": version("onnxruntime"),
                "python": platform.python_version(),
                "slipway": version("slipway"),
            },
            held_out=HeldOutRows(
                data_uri=candidate.data_uri,
                data_sha256=candidate.data_sha256,
                read=rows.schema.read,
                split=rows.schema.split,
                rows=scores.rows,
                rows_sha256=rows.rows_sha256,
                few=dict(scores.few),
                warnings=rows.schema.warnings,
            ),
            metrics=dict(scores.metrics),
            reported=candidate.metrics,
            baseline=dict(scores.baseline),
            most_frequent=scores.majority,
            champion=compared.figures,
            not_compared=compared.not_compared,
            warnings=tuple(promotion.warnings(candidate, scores, self.gates)),
        )


def _scored(rows: HeldOut, answers: Predictions) -> Scores:
    try:
        return metrics.score(rows.labels, answers.labels, rows.schema.classes)
    except ValueError as error:
        raise FailedError("The model's answers can't be evaluated.", why=f"{error}.") from error
