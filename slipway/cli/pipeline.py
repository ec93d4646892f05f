"""`slipway pipeline`: compile, upload, run, look at runs."""

from pathlib import Path
from typing import Annotated

import typer

from slipway.cli import console, render
from slipway.cli.options import Drop, Missing, Seed, Stack, Target, Tenant, TestSplit
from slipway.core.errors import FailedError, UsageError
from slipway.operations.training_job import Job, read_options, split_options
from tabular.schema import TARGET

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Training pipelines: compile, upload, run, list, logs.\n\n"
    "Example:  slipway pipeline run training --model churn --data churn.csv",
)

PIPELINES = ("iris", "training")
"""Names in `pipelines.compile`, which takes seconds to import."""
NEWEST = 50
"""How many runs are listed unless more are asked for."""

Name = Annotated[str, typer.Argument(help="Pipeline: training or iris.")]


@app.command("compile")
def compile_command(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit 1 if they are stale.")] = False,
) -> None:
    """Compile every pipeline to pipelines/compiled, the form that is reviewed.

    Example:  slipway pipeline compile --check
    """
    from pipelines import compile as golden  # noqa: PLC0415

    if check:
        golden.check()
        return
    for path in golden.write():
        console.out.print(str(path), markup=False)


@app.command()
def upload(context: typer.Context, name: Name, tenant: Tenant = "team-a", stack: Stack = "local") -> None:
    """Upload a pipeline; twice the same changes nothing.

    Example:  slipway pipeline upload training --tenant team-a
    """
    from pipelines import client as kfp_client  # noqa: PLC0415
    from pipelines import upload as uploads  # noqa: PLC0415
    from slipway.operations import workspace  # noqa: PLC0415

    outputs = workspace.outputs(stack)
    done = uploads.upload(kfp_client.open_client(outputs, tenant), outputs, tenant, name)
    if context.obj["json"]:
        console.show_model(done)
    else:
        word = "uploaded" if done.created else "is there already"
        console.out.print(f"{done.pipeline} version {done.version} {word}", markup=False)


@app.command()
def run(
    context: typer.Context,
    name: Name,
    model: Annotated[str, typer.Option("--model", "-m", help="Name to serve the model under.")],
    data: Annotated[
        Path | None, typer.Option(help="CSV or Parquet file; else a data set of scikit-learn's.")
    ] = None,
    target: Target = TARGET,
    drop: Drop = None,
    missing: Missing = None,
    test_split: TestSplit = 0.2,
    seed: Seed = 42,
    threshold: Annotated[float | None, typer.Option(help="Held-out accuracy that the model needs.")] = None,
    promote: Annotated[bool, typer.Option("--promote", help="Promote it if its gate passed.")] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Promote it over a champion that it can't be compared with.")
    ] = False,
    tenant: Tenant = "team-a",
    stack: Stack = "local",
) -> None:
    """Run a pipeline on real data and wait for it.

    Example:  slipway pipeline run training --model churn --data churn.csv --target churned --promote
    """
    if name not in PIPELINES:
        raise UsageError(f"There is no pipeline {name!r}.", fix=f"Choose one of {', '.join(PIPELINES)}.")
    job = Job(
        tenant=tenant,
        pipeline="iris" if name == "iris" else "training",
        model=model,
        data=data,
        read=read_options(target, drop or [], missing),
        split=split_options(test_split, seed),
        threshold=threshold,
        replace=replace,
    )
    checked = job.check()
    from slipway.operations import training, workspace  # noqa: PLC0415

    outputs = workspace.outputs(stack)
    with console.phase(f"Train {model}") as report:
        result = training.train(outputs, job, checked, report)
    if promote:
        with console.phase(f"Promote {model}") as report:
            trained = training.promote(outputs, job, result, report)
        render.trained(trained, as_json=context.obj["json"])
    else:
        render.run(result, as_json=context.obj["json"])


@app.command("list")
def list_command(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, help="How many of the newest.")] = NEWEST,
    every: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    tenant: Tenant = "team-a",
    stack: Stack = "local",
) -> None:
    """List the tenant's runs, newest first; says how many there are where it lists fewer.

    Example:  slipway pipeline list --tenant team-a --limit 200
    """
    from pipelines import client as kfp_client  # noqa: PLC0415
    from pipelines import listing  # noqa: PLC0415
    from slipway.operations import workspace  # noqa: PLC0415

    outputs = workspace.outputs(stack)
    opened = kfp_client.open_client(outputs, tenant)
    listed = listing.newest_runs(opened, outputs.tenant(tenant).namespace, None if every else limit)
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
    task: Annotated[str, typer.Argument(help="Task, as `slipway pipeline list` or the run names it.")],
    stack: Stack = "local",
) -> None:
    """Print what a task of a run wrote.

    Example:  slipway pipeline logs RUN_ID train
    """
    import httpx  # noqa: PLC0415

    from slipway.operations import workspace  # noqa: PLC0415

    outputs = workspace.outputs(stack)
    if outputs.kfp.backend != "embedded":
        raise UsageError(
            "This command reads the logs of the embedded pipelines API only.",
            fix="Use kubectl logs on the run's pods, or the Kubeflow Pipelines UI.",
        )
    url = f"{outputs.kfp.endpoint}/apis/v2beta1/runs/{run_id}/tasks/{task}/log"
    try:
        answer = httpx.get(url, timeout=30)
    except httpx.HTTPError as error:
        raise FailedError("The Pipelines API does not answer.", why=str(error)) from error
    if answer.status_code in (400, 404):  # 400: what was given as the run's id isn't one
        raise UsageError(f"Run {run_id} has no log of a task {task!r}.")
    if answer.status_code != 200:
        raise FailedError(
            "The Pipelines API refused the log.", why=f"{answer.status_code} {answer.text[:200]}"
        )
    console.out.print(answer.text, markup=False)
