"""Split a file with a target column into disjoint training and held-out sets."""

from kfp import dsl

from pipelines.steps.step import step


@step
def preprocess(
    data: dsl.Input[dsl.Dataset],
    data_sha256: str,
    train: dsl.Output[dsl.Dataset],
    held_out: dsl.Output[dsl.Dataset],
    schema: dsl.Output[dsl.Artifact],
    test_split: float = 0.2,
    seed: int = 42,
    read_options: str = "{}",
) -> None:
    """Read the data with `tabular.reader`, and split it by class.

    Rows with equal features are always in the same set, so that no training row is evaluated. Missing
    values are rejected, not imputed: imputation is the data owner's decision, and an imputer fitted on
    all rows would leak the held-out ones.

    Args:
        data: CSV or Parquet file.
        data_sha256: SHA-256 that the file must have.
        train: Rows to fit on, as Parquet: features, then the target as text.
        held_out: Rows for evaluation only, in the same form.
        schema: `tabular.schema.TableSchema` as JSON.
        test_split: Share of the rows to hold out.
        seed: Seed of the split.
        read_options: `tabular.schema.ReadOptions` as JSON.
    """
    import hashlib
    from pathlib import Path

    from tabular.reader import training_data
    from tabular.schema import ReadOptions, Split
    from tabular.table_error import TableError

    path = Path(data.path)
    with path.open("rb") as file:
        actual = hashlib.file_digest(file, "sha256").hexdigest()
    if actual != data_sha256:
        raise ValueError(f"the data has SHA-256 {actual}, the run was started for {data_sha256!r}")
    options = ReadOptions.model_validate_json(read_options)
    try:
        table = training_data(path, options, Split(test_split=test_split, seed=seed))
    except TableError as error:
        raise ValueError(f"The data can't be used. {error.why} {error.fix}".rstrip()) from None
    table.write(Path(train.path), Path(held_out.path))
    described = table.schema
    Path(schema.path).write_text(described.model_dump_json(indent=1) + "\n")
    train.metadata["rows"] = described.rows.train
    held_out.metadata["rows"] = described.rows.held_out
    for warning in described.warnings:
        print(f"warning: {warning}")
    print(
        f"{table.summary.rows} rows, {len(described.features)} features, {len(described.classes)} classes; "
        f"held out {described.rows.held_out}"
    )
