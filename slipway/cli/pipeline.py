"""`slipway pipeline`: compile, upload, run, list runs, read logs."""

from pathlib import Path
from typing import Annotated

import typer

from slipway.cli import console, render
from slipway.cli.options import Drop, Missing, Seed, Stack, Target, Tenant, TestSplit
from slipway.operations.training_job import Job, pipeline_named, read_options, split_options
from tabular.schema import TARGET

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Training pipelines: compile, upload, run, list, logs.\n\n"
    "Example:  slipway pipeline run training --model churn --data churn.csv",
)

NEWEST = 50
"""Default number of runs to list."""

Name = Annotated[str, typer.Argument(help="Pipeline: training or iris.")]


@app.command("compile")
def compile_command(
    check: Annotated[
        bool,
        typer.Option("--check", help="Write nothing; exit with 1 if they are out of date."),
    ] = False,
) -> None:
    """Compile every pipeline to pipelines/compiled, the form that is reviewed.

    Example:  slipway pipeline compile --check
    """
    from slipway.operations import pipelines

    if check:
        pipelines.check_compiled()
        return
    for path in pipelines.write_compiled():
        console.out.print(str(path), markup=False)


@app.command()
def upload(context: typer.Context, name: Name, tenant: Tenant = "team-a", stack: Stack = "local") -> None:
    """Upload a pipeline; a version that exists is not uploaded again.

    Example:  slipway pipeline upload training --tenant team-a
    """
    from slipway.operations import pipelines, workspace

    uploaded = pipelines.upload(workspace.outputs(stack), tenant, name)
    if context.obj["json"]:
        console.show_model(uploaded)
    else:
        outcome = "uploaded" if uploaded.created else "exists already"
        console.out.print(f"{uploaded.pipeline} version {uploaded.version} {outcome}", markup=False)


@app.command()
def run(
    context: typer.Context,
    name: Name,
    model: Annotated[str, typer.Option("--model", "-m", help="Name to serve the model under.")],
    data: Annotated[
        Path | None, typer.Option(help="CSV or Parquet file; a data set of scikit-learn by default.")
    ] = None,
    target: Target = TARGET,
    drop: Drop = None,
    missing: Missing = None,
    test_split: TestSplit = 0.2,
    seed: Seed = 42,
    threshold: Annotated[float | None, typer.Option(help="Minimum held-out accuracy.")] = None,
    promote: Annotated[
        bool, typer.Option("--promote", help="Promote the model if its gate passes; else exit with 1.")
    ] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace a champion that the model can't be compared with.")
    ] = False,
    tenant: Tenant = "team-a",
    stack: Stack = "local",
) -> None:
    """Run a pipeline on real data and wait for it.

    Example:  slipway pipeline run training --model churn --data churn.csv --target churned --promote
    """
    job = Job(
        tenant=tenant,
        pipeline=pipeline_named(name),
        model=model,
        data=data,
        read=read_options(target, drop or [], missing),
        split=split_options(test_split, seed),
        threshold=threshold,
        replace=replace,
    )
    checked = job.check()
    from slipway.operations import training, workspace

    outputs = workspace.outputs(stack)
    if promote:
        trained = training.train_and_promote(outputs, job, checked, console.phase)
        render.trained(trained, as_json=context.obj["json"])
        if not trained.promoted:
            raise typer.Exit(1)
    else:
        with console.phase(f"Train {model}") as report:
            result = training.train(outputs, job, checked, report)
        render.run(result, as_json=context.obj["json"])


@app.command("list")
def list_command(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, help="Number of runs.")] = NEWEST,
    every: Annotated[bool, typer.Option("--all", help="List all runs.")] = False,
    tenant: Tenant = "team-a",
    stack: Stack = "local",
) -> None:
    """List the tenant's runs, newest first; shows the total if it lists fewer.

    Example:  slipway pipeline list --tenant team-a --limit 200
    """
    from slipway.operations import pipelines, workspace

    listed = pipelines.newest_runs(workspace.outputs(stack), tenant, None if every else limit)
    if context.obj["json"]:
        console.show_model(listed)
        return
    console.show_table(
        ("run", "name", "state", "created"),
        [(row.run, row.name, row.state, row.created) for row in listed.runs],
    )
    if listed.cut:
        console.err.print(
            f"{len(listed.runs):,} of {listed.total:,} runs; see more with --limit N, or all with --all."
        )


@app.command()
def logs(
    run_id: Annotated[str, typer.Argument(help="Run.")],
    task: Annotated[str, typer.Argument(help="Task of the run, for example train.")],
    stack: Stack = "local",
) -> None:
    """Print the log of a task of a run.

    Example:  slipway pipeline logs RUN_ID train
    """
    from slipway.operations import run_logs, workspace

    console.out.print(run_logs.read(workspace.outputs(stack), run_id, task), markup=False)
