"""The gated training pipeline: tabular classification, proposed for promotion if it passes the gate.

import data -> preprocess -> train -> evaluate on held-out rows -> [passed] -> propose
"""

from kfp import dsl

from pipelines.gate import propose_if_passed, sized, split_data
from pipelines.steps.train import train

NAME = "training"


@dsl.pipeline(name=NAME, description="Train, evaluate on held-out rows, propose if the gate passed.")  # type: ignore[untyped-decorator]
def training(
    data_uri: str,
    data_sha256: str,
    model_name: str,
    test_split: float = 0.2,
    seed: int = 42,
    read_options: str = "{}",
    algorithm: str = "random-forest",
    n_estimators: int = 100,
    max_depth: int = 10,
    deploy_threshold: float = 0.85,
    pipeline_digest: str = "unknown",
    git_commit: str = "unknown",
) -> None:
    """Train a classifier for tabular data.

    Args:
        data_uri: S3 URI of a CSV or Parquet file.
        data_sha256: SHA-256 of that file.
        model_name: Name to serve the model under.
        test_split: Share of the rows to hold out for evaluation.
        seed: Seed of the split and the model.
        read_options: How to read the file: `tabular.schema.ReadOptions` as JSON.
        algorithm: `random-forest`, `decision-tree` or `logistic-regression`.
        n_estimators: Trees of the forest.
        max_depth: Depth of each tree.
        deploy_threshold: Accuracy on held-out rows that makes the model a candidate.
        pipeline_digest: Set by `pipelines.run`: digest of the compiled pipeline.
        git_commit: Set by `pipelines.run`: commit from which it was compiled.
    """
    split = split_data(data_uri, data_sha256, test_split=test_split, seed=seed, read_options=read_options)
    trained = sized(
        train(
            data=split.outputs["train"],
            schema=split.outputs["schema"],
            algorithm=algorithm,
            n_estimators=n_estimators,
            max_depth=max_depth,
            seed=seed,
        )
    )
    propose_if_passed(
        split,
        trained,
        threshold=deploy_threshold,
        model_name=model_name,
        data_uri=data_uri,
        data_sha256=data_sha256,
        pipeline_digest=pipeline_digest,
        git_commit=git_commit,
    )
