"""The iris pipeline: the data set that scikit-learn ships, a decision tree, the same gate.

load -> preprocess -> train -> evaluate on held-out rows -> [passed] -> propose
"""

from kfp import dsl

from pipelines.gate import propose_if_passed, sized
from pipelines.steps.load_iris import load_iris
from pipelines.steps.preprocess import preprocess
from pipelines.steps.train import train

NAME = "iris"


@dsl.pipeline(name=NAME, description="A decision tree on iris, judged on held-out rows.")  # type: ignore[untyped-decorator]
def iris(
    model_name: str = "iris",
    test_split: float = 0.2,
    seed: int = 42,
    max_depth: int = 4,
    deploy_threshold: float = 0.85,
    pipeline_version: str = "unknown",
    git_commit: str = "unknown",
) -> None:
    """A decision tree on iris.

    Args:
        model_name: Name to serve the model under.
        test_split: Share of the rows to hold out for evaluation.
        seed: Makes the split and the model repeatable.
        max_depth: Depth of the tree.
        deploy_threshold: Accuracy on held-out rows that makes the model a candidate.
        pipeline_version: Filled in by `pipelines.run`: digest of this pipeline as compiled.
        git_commit: Filled in by `pipelines.run`: the commit it was compiled from.
    """
    loaded = sized(load_iris())
    split = sized(
        preprocess(
            data=loaded.outputs["data"],
            data_sha256=loaded.outputs["Output"],
            test_split=test_split,
            seed=seed,
        )
    )
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
        data_uri="sklearn.datasets.load_iris",
        data_sha256=loaded.outputs["Output"],
        pipeline_version=pipeline_version,
        git_commit=git_commit,
    )
