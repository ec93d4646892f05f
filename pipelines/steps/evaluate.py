"""Judge a model on rows that it has never seen, and hold it against the threshold."""

from typing import NamedTuple

from kfp import dsl

from pipelines.steps.step import step


@step
def evaluate(
    model: dsl.Input[dsl.Model],
    model_digest: str,
    held_out: dsl.Input[dsl.Dataset],
    metrics: dsl.Output[dsl.Metrics],
    confusion: dsl.Output[dsl.ClassificationMetrics],
    evaluation: dsl.Output[dsl.Artifact],
    threshold: float = 0.85,
    samples: int = 64,
) -> NamedTuple("Verdict", [("accuracy", float), ("f1_weighted", float), ("passed", bool)]):  # type: ignore[valid-type]
    """Predict the held-out rows and compare the accuracy with the threshold.

    The model is loaded only if its files have the digest that `train` returned, and by an unpickler
    that resolves the names below and no other.

    Args:
        model: The model's folder.
        model_digest: What `train` returned for it.
        held_out: Rows that training did not see.
        metrics: Accuracy and weighted F1.
        confusion: The confusion matrix.
        evaluation: All of it as JSON, with some rows and their predictions for the smoke check.
        threshold: Accuracy that the model must reach.
        samples: How many rows to keep for the smoke check, at most.

    Returns:
        The figures, and whether the model passed.
    """
    import hashlib
    import json
    import math
    import pickle
    from pathlib import Path

    import numpy as np
    import pandas as pd
    from sklearn.metrics import accuracy_score, confusion_matrix, f1_score

    trusted = {
        "numpy dtype",
        "numpy ndarray",
        "numpy._core.multiarray _reconstruct",
        "numpy._core.multiarray scalar",
        "sklearn.ensemble._forest RandomForestClassifier",
        "sklearn.pipeline Pipeline",
        "sklearn.preprocessing._data StandardScaler",
        "sklearn.tree._classes DecisionTreeClassifier",
        "sklearn.tree._tree Tree",
    }

    class Reader(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> object:
            if f"{module} {name}" not in trusted:
                raise ValueError(f"the model names {module}.{name}, which is not on the allow-list")
            return super().find_class(module, name)

    if not 0 <= threshold <= 1:
        raise ValueError(f"the threshold is {threshold}; it must lie between 0 and 1")
    folder = Path(model.path)
    files = []
    for path in sorted(folder.iterdir()):
        content = path.read_bytes()
        files.append({"path": path.name, "sha256": hashlib.sha256(content).hexdigest(), "size": len(content)})
    canonical = json.dumps(files, sort_keys=True, separators=(",", ":"))
    actual = hashlib.sha256(canonical.encode()).hexdigest()
    if actual != model_digest:
        raise ValueError(f"the model's files have digest {actual}, training wrote {model_digest}")

    schema = json.loads((folder / "schema.json").read_text())
    with (folder / "model.pkl").open("rb") as file:
        fitted = Reader(file).load()
    frame = pd.read_csv(held_out.path)
    x = frame[schema["features"]].to_numpy(dtype="float64")
    y = frame["target"].to_numpy(dtype="int64")
    predicted = fitted.predict(x)

    accuracy = float(accuracy_score(y, predicted))
    f1 = float(f1_score(y, predicted, average="weighted"))
    passed = math.isfinite(accuracy) and accuracy >= threshold
    matrix = confusion_matrix(y, predicted, labels=list(range(len(schema["classes"])))).tolist()
    metrics.log_metric("accuracy", accuracy)
    metrics.log_metric("f1_weighted", f1)
    metrics.log_metric("threshold", threshold)
    confusion.log_confusion_matrix(schema["classes"], matrix)

    # Readers refuse a record beyond 1 MiB; as text a number takes at most 30 bytes, a row 90 more.
    fitting = max(1, (1 << 19) // (30 * x.shape[1] + 90))
    left, rest = min(samples, len(x), fitting), len(x)
    kept = []
    # Each class gives its share of rows, the rare ones first and at least one, from all over its rows.
    for own in sorted((np.flatnonzero(y == label) for label in np.unique(y)), key=len):
        share = min(left, max(1, round(left * len(own) / rest)))
        kept += [int(own[(2 * i + 1) * len(own) // (2 * share)]) for i in range(share)]
        left, rest = left - share, rest - len(own)
    found = {
        "confusion": matrix,
        "held_out_rows": len(x),
        "metrics": {"accuracy": accuracy, "f1_weighted": f1},
        "model_digest": actual,
        "passed": passed,
        "samples": [
            {"features": x[i].tolist(), "label": int(y[i]), "prediction": int(predicted[i])}
            for i in sorted(kept)
        ],
        "threshold": threshold,
    }
    Path(evaluation.path).write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
    print(f"accuracy {accuracy:.4f} on {len(x)} held-out rows, threshold {threshold}: passed={passed}")
    return accuracy, f1, passed
