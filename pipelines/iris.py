"""The iris pipeline: a decision tree with the same gate; its default data is iris.

import data -> preprocess -> train -> evaluate on held-out rows -> [passed] -> propose
"""

from kfp import dsl

from pipelines.gate import propose_if_passed, sized, split_data
from pipelines.steps.train import train

NAME = "iris"


@dsl.pipeline(name=NAME, description="A decision tree, evaluated on held-out rows.")  # type: ignore[untyped-decorator]
def iris(
    data_uri: str,
    data_sha256: str,
    model_name: str = "iris",
    test_split: float = 0.2,
    seed: int = 42,
    read_options: str = "{}",
    max_depth: int = 4,
    deploy_threshold: float = 0.85,
    pipeline_digest: str = "unknown",
    git_commit: str = "unknown",
) -> None:
    """Train a decision tree.

    Args:
        data_uri: S3 URI of a CSV or Parquet file.
        data_sha256: SHA-256 of that file.
        model_name: Name to serve the model under.
        test_split: Share of the rows to hold out for evaluation.
        seed: Seed of the split and the model.
        read_options: How to read the file: `tabular.schema.ReadOptions` as JSON.
        max_depth: Depth of the tree.
        deploy_threshold: Accuracy on held-out rows that makes the model a candidate.
        pipeline_digest: Set by `pipelines.run`: digest of the compiled pipeline.
        git_commit: Set by `pipelines.run`: commit from which it was compiled.
    """
    split = split_data(data_uri, data_sha256, test_split=test_split, seed=seed, read_options=read_options)
    trained = sized(
        train(
            data=split.outputs["train"],
            schema=split.outputs["schema"],
            algorithm="decision-tree",
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
