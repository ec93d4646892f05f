"""Propose a model that passed its gate for promotion. Nothing is promoted here."""

from kfp import dsl

from pipelines.steps.step import step


@step
def propose(
    model: dsl.Input[dsl.Model],
    evaluation: dsl.Input[dsl.Artifact],
    candidate: dsl.Output[dsl.Artifact],
    model_name: str,
    model_digest: str,
    data_uri: str,
    data_sha256: str,
    run_id: str,
    pipeline_digest: str,
    git_commit: str,
) -> None:
    """Write the candidate record that `serving.rollout` reads: `storage.registry.candidate.Candidate`.

    Promotion evaluates the model itself and compares its metrics with these.

    Args:
        model: The model's folder.
        evaluation: What `evaluate` measured on held-out rows.
        candidate: The record, as JSON.
        model_name: Name to serve the model under.
        model_digest: Digest of the model's files.
        data_uri: URI of the data.
        data_sha256: SHA-256 of the data.
        run_id: Id of this run.
        pipeline_digest: Digest of the compiled pipeline.
        git_commit: Commit from which the pipeline was compiled.
    """
    import json
    from pathlib import Path

    measured = json.loads(Path(evaluation.path).read_text())
    if not measured["passed"] or measured["model_digest"] != model_digest:
        raise ValueError("the evaluation is not a pass of this model")
    record = {
        "data_sha256": data_sha256,
        "data_uri": data_uri,
        "differing_rows": measured["differing_rows"],
        "git_commit": git_commit,
        "held_out_rows": measured["held_out_rows"],
        "metrics": measured["metrics"],
        "model": model_name,
        "model_digest": model_digest,
        "model_uri": model.uri,
        "pipeline_digest": pipeline_digest,
        "run_id": run_id,
        "schema_version": 2,
        "threshold": measured["threshold"],
    }
    Path(candidate.path).write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")
    print(f"{model_name} {model_digest[:12]} is a candidate: {measured['metrics']}")
