"""From a CSV file with a `target` column to a train and a held-out set that share no row."""

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
) -> None:
    """Check the data and split it, stratified by class.

    Rows with equal features always land in the same set, so a duplicate can't carry a training row
    into evaluation. Missing and infinite values are refused, not filled: what to fill them with is
    the data owner's decision, and a filler fitted on all rows would leak the held-out ones.
    The target is written as an index into the sorted class names; `schema` holds the names.

    Args:
        data: CSV file with a `target` column and numeric features.
        data_sha256: SHA-256 that the file must have.
        train: Rows to fit on.
        held_out: Rows that only evaluation may see.
        schema: JSON with features, classes and row counts.
        test_split: Share of the rows to hold out.
        seed: Makes the split repeatable.
    """
    import hashlib
    import json
    from pathlib import Path

    import numpy as np
    import pandas as pd
    from sklearn.model_selection import train_test_split

    def require(held: bool, message: str) -> None:
        if not held:
            raise ValueError(message)

    content = Path(data.path).read_bytes()
    actual = hashlib.sha256(content).hexdigest()
    require(actual == data_sha256, f"the data has SHA-256 {actual}, the run was started for {data_sha256!r}")
    require(0 < test_split < 1, f"test_split is {test_split}; it must lie between 0 and 1")

    try:
        frame = pd.read_csv(data.path)
    except (pd.errors.EmptyDataError, pd.errors.ParserError, UnicodeDecodeError) as error:
        raise ValueError(f"the data is not a CSV file: {error}") from error
    require("target" in frame.columns, f"no column is named 'target'; there are {list(frame.columns)}")
    require(len(frame) > 0, "the data has a header and no rows")
    features = [name for name in frame.columns if name != "target"]
    require(bool(features), "there is no feature column besides 'target'")
    text = [name for name in features if not pd.api.types.is_numeric_dtype(frame[name])]
    require(not text, f"these feature columns are not numeric: {text}; encode or drop them")

    x = frame[features].to_numpy(dtype="float64") + 0.0  # -0.0 and 0.0 are one value
    bad = [name for name, column in zip(features, x.T, strict=True) if not np.isfinite(column).all()]
    require(not bad, f"missing or infinite values in {bad}; fill them or drop the rows")
    missing = int(frame["target"].isna().sum())
    require(missing == 0, f"{missing} rows have no target; drop them")

    values = sorted(frame["target"].unique().tolist())
    require(len(values) > 1, f"the target has one class only: {values}")
    index_of = {value: index for index, value in enumerate(values)}
    y = frame["target"].map(index_of).to_numpy(dtype="int64")

    # One group per distinct row of features: groups are split, never the rows of one group.
    _, first, group = np.unique(x, axis=0, return_index=True, return_inverse=True)
    group = group.reshape(-1)
    labels = y[first]
    rare = [str(values[index]) for index in range(len(values)) if (labels == index).sum() < 2]
    require(not rare, f"too few distinct rows to hold one out (it takes 2) in the classes {rare[:10]}")
    fewest = len(values) / len(labels)
    require(
        fewest <= test_split <= 1 - fewest,
        f"test_split {test_split} of {len(labels)} distinct rows leaves a set without room for "
        f"{len(values)} classes",
    )
    _, out = train_test_split(
        np.arange(len(labels)), test_size=test_split, stratify=labels, random_state=seed
    )
    is_out = np.isin(group, out)
    for name, chosen in (("train", ~is_out), ("held-out", is_out)):
        require(
            len(np.unique(y[chosen])) == len(values),
            f"the {name} set would miss a class: too few distinct rows per class",
        )

    clean = pd.DataFrame(x, columns=features).assign(target=y)
    clean[~is_out].to_csv(train.path, index=False)
    clean[is_out].to_csv(held_out.path, index=False)
    rows = {"held_out": int(is_out.sum()), "train": int((~is_out).sum())}
    facts = {
        "classes": [str(value) for value in values],
        "data_sha256": actual,
        "features": features,
        "rows": rows,
        "seed": seed,
        "test_split": test_split,
    }
    Path(schema.path).write_text(json.dumps(facts, indent=1, sort_keys=True) + "\n")
    train.metadata["rows"] = rows["train"]
    held_out.metadata["rows"] = rows["held_out"]
    print(f"{len(frame)} rows, {len(features)} features, {len(values)} classes; held out {is_out.sum()}")
