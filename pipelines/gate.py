"""Shared parts of gated pipelines: resources of steps, the data and its split, the gate before `propose`."""

from kfp import dsl
from kfp.dsl import PipelineTask

from pipelines.steps.evaluate import evaluate
from pipelines.steps.preprocess import preprocess
from pipelines.steps.propose import propose


def sized(task: PipelineTask) -> PipelineTask:
    """Set a step's resource requests and limits, which a tenant's quota may require.

    With 20 million rows of 10 numbers training takes 3.3 GiB, with a million 0.5 GiB (2026-11-28).
    """
    task.set_cpu_request("100m").set_cpu_limit("1")
    return task.set_memory_request("256Mi").set_memory_limit("4Gi")


def split_data(
    data_uri: str, data_sha256: str, *, test_split: float, seed: int, read_options: str
) -> PipelineTask:
    """Import the data from the store, read it and split it."""
    imported = dsl.importer(
        artifact_uri=data_uri,
        artifact_class=dsl.Dataset,
        reimport=True,
        metadata={"sha256": data_sha256},
    )
    return sized(
        preprocess(
            data=imported.output,
            data_sha256=data_sha256,
            test_split=test_split,
            seed=seed,
            read_options=read_options,
        )
    )


def propose_if_passed(
    split: PipelineTask,
    trained: PipelineTask,
    *,
    threshold: float,
    model_name: str,
    data_uri: str,
    data_sha256: str,
    pipeline_digest: str,
    git_commit: str,
) -> None:
    """Add the gate: `propose` runs only if evaluation on the held-out rows passed."""
    judged = sized(
        evaluate(
            model=trained.outputs["model"],
            model_digest=trained.outputs["model_digest"],
            fitted=trained.outputs["fitted"],
            fitted_sha256=trained.outputs["fitted_sha256"],
            held_out=split.outputs["held_out"],
            threshold=threshold,
        )
    )
    # A cached evaluation or candidate would be under another run's prefix, with that run's id.
    judged.set_caching_options(False)
    with dsl.If(judged.outputs["passed"] == True, name="gate-passed"):  # noqa: E712 - a condition to compile
        proposed = sized(
            propose(
                model=trained.outputs["model"],
                evaluation=judged.outputs["evaluation"],
                model_name=model_name,
                model_digest=trained.outputs["model_digest"],
                data_uri=data_uri,
                data_sha256=data_sha256,
                run_id=dsl.PIPELINE_JOB_ID_PLACEHOLDER,
                pipeline_digest=pipeline_digest,
                git_commit=git_commit,
            )
        )
        proposed.set_caching_options(False)
