"""Evaluate a model on held-out rows, and compare its accuracy with the threshold."""

from typing import NamedTuple

from kfp import dsl

from pipelines.steps.step import step


@step
def evaluate(
    model: dsl.Input[dsl.Model],
    model_digest: str,
    fitted: dsl.Input[dsl.Artifact],
    fitted_sha256: str,
    held_out: dsl.Input[dsl.Dataset],
    metrics: dsl.Output[dsl.Metrics],
    confusion: dsl.Output[dsl.ClassificationMetrics],
    evaluation: dsl.Output[dsl.Artifact],
    threshold: float = 0.85,
) -> NamedTuple("Verdict", [("accuracy", float), ("f1_weighted", float), ("passed", bool)]):  # type: ignore[valid-type]
    """Predict the held-out rows like the model server, and compare the accuracy with the threshold.

    Files are loaded only if they have the digests that `train` returned. The pickle is loaded only here,
    in the run that wrote it, to count the rows for which ONNX predicts another class.

    Args:
        model: The model's folder.
        model_digest: Digest that `train` returned.
        fitted: The scikit-learn pipeline as a pickle.
        fitted_sha256: SHA-256 that `train` returned.
        held_out: Rows that training did not see.
        metrics: Accuracy and weighted F1, and those of always predicting the most frequent class.
        confusion: The confusion matrix.
        evaluation: The complete result as JSON: `storage.registry.candidate.RunEvaluation`.
        threshold: Accuracy that the model must reach.

    Returns:
        The metrics, and whether the model passed.
    """
    import hashlib
    import json
    import pickle
    from pathlib import Path

    import pyarrow.parquet as pq

    from storage.registry.model_files import listed
    from storage.registry.version_files import digest_of
    from tabular.evaluation import evaluate as judged
    from tabular.model import Model

    if not 0 <= threshold <= 1:
        raise ValueError(f"the threshold is {threshold}; it must be between 0 and 1")
    folder, pickled = Path(model.path), Path(fitted.path).read_bytes()
    actual = digest_of(listed(folder))
    if actual != model_digest:
        raise ValueError(f"the model's files have digest {actual}, training wrote {model_digest}")
    if hashlib.sha256(pickled).hexdigest() != fitted_sha256:
        raise ValueError("the pickle is not the one that training wrote")

    served = Model.load(folder)
    scores, differing = judged(served, pickle.loads(pickled), pq.read_table(held_out.path))  # noqa: S301
    accuracy, f1 = scores.metrics["accuracy"], scores.metrics["f1_weighted"]
    passed = accuracy >= threshold
    figures = dict(scores.metrics) | {f"baseline_{name}": value for name, value in scores.baseline.items()}
    for name, value in (figures | {"threshold": threshold, "differing_rows": differing}).items():
        metrics.log_metric(name, value)
    confusion.log_confusion_matrix(list(served.schema.classes), [list(row) for row in scores.confusion])
    record = {
        "baseline": dict(scores.baseline),
        "confusion": scores.confusion,
        "differing_rows": differing,
        "few": dict(scores.few),
        "held_out_rows": scores.rows,
        "majority": scores.majority,
        "metrics": dict(scores.metrics),
        "model_digest": actual,
        "passed": passed,
        "threshold": threshold,
    }
    Path(evaluation.path).write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")
    print(f"accuracy {accuracy:.4f} on {scores.rows} held-out rows, threshold {threshold}: passed={passed}")
    print(f"always predicting {scores.majority!r} reaches {scores.baseline['accuracy']:.4f}")
    for name, count in scores.few.items():
        print(f"warning: {count} held-out rows of class {name!r}; its metrics are not reliable")
    if differing:
        print(f"warning: scikit-learn predicts another class for {differing} of {scores.rows} rows")
    return accuracy, f1, passed
