"""Fit a classifier on the training rows, and write it as ONNX, which can't execute code."""

from typing import NamedTuple

from kfp import dsl

from pipelines.steps.step import step


@step
def train(
    data: dsl.Input[dsl.Dataset],
    schema: dsl.Input[dsl.Artifact],
    model: dsl.Output[dsl.Model],
    fitted: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
    algorithm: str = "random-forest",
    n_estimators: int = 100,
    max_depth: int = 10,
    seed: int = 42,
) -> NamedTuple("Trained", [("model_digest", str), ("fitted_sha256", str)]):  # type: ignore[valid-type]
    """Fit `algorithm` on training rows only.

    Args:
        data: The training rows of `preprocess`.
        schema: The data's `TableSchema`.
        model: A folder with `model.onnx` and `schema.json`.
        fitted: The scikit-learn pipeline as a pickle; it is not served.
        metrics: Accuracy and weighted F1 on the training rows, and the parameters.
        algorithm: `random-forest`, `decision-tree` or `logistic-regression`.
        n_estimators: Number of trees of the forest; ignored by other algorithms.
        max_depth: Depth of each tree; ignored by logistic regression.
        seed: Seed of the model.

    Returns:
        The model's digest (SHA-256 of the canonical list of its files, see
        storage.registry.version_files), and the SHA-256 of the pickle.
    """
    import hashlib
    from pathlib import Path

    import pyarrow.parquet as pq

    from storage.registry.model_files import listed
    from storage.registry.version_files import digest_of
    from tabular.metrics import score
    from tabular.model import Model
    from tabular.schema import TableSchema
    from tabular.training import Parameters, fit

    described = TableSchema.model_validate_json(Path(schema.path).read_bytes())
    rows = pq.read_table(data.path)
    made = fit(rows, described, Parameters(algorithm, n_estimators, max_depth, seed))
    folder = Path(model.path)
    made.write(folder)
    pickled = made.pickled()
    Path(fitted.path).write_bytes(pickled)

    sampled = rows.slice(0, 100_000)
    answers = Model.load(folder).predict(sampled)
    target = sampled.column(described.read.target).to_pylist()
    scores = score(target, answers.labels, described.classes)
    for name, value in scores.metrics.items():
        metrics.log_metric(f"train_{name}", value)
    metrics.metadata.update(made.schema.parameters)

    digest = digest_of(listed(folder))
    model.metadata.update(made.schema.frameworks | {"digest": digest, "framework": "onnx"})
    fitted_rows = made.schema.parameters["rows_fitted"]
    print(f"{algorithm} on {fitted_rows} of {rows.num_rows} rows: {dict(scores.metrics)}")
    return digest, hashlib.sha256(pickled).hexdigest()
