"""Fit a classifier on the training rows and save it the way MLServer loads it."""

from kfp import dsl

from pipelines.steps.step import step


@step
def train(
    data: dsl.Input[dsl.Dataset],
    schema: dsl.Input[dsl.Artifact],
    model: dsl.Output[dsl.Model],
    metrics: dsl.Output[dsl.Metrics],
    algorithm: str = "random-forest",
    n_estimators: int = 100,
    max_depth: int = 10,
    seed: int = 42,
) -> str:
    """Fit `algorithm` on training rows only; the scaler never sees a held-out row.

    Args:
        data: The training rows of `preprocess`.
        schema: Its features and classes.
        model: A folder with `model.pkl` (a plain pickle) and `schema.json`.
        metrics: Accuracy and weighted F1 on the training rows, and the parameters.
        algorithm: `random-forest` or `decision-tree`.
        n_estimators: Trees of the forest; a single tree ignores it.
        max_depth: Of each tree.
        seed: Makes the model repeatable.

    Returns:
        The model's digest: SHA-256 over the canonical list of its files, as in storage.registry.
    """
    import hashlib
    import json
    import pickle
    import platform
    from pathlib import Path

    import numpy
    import pandas
    import sklearn
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.metrics import accuracy_score, f1_score
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.tree import DecisionTreeClassifier

    facts = json.loads(Path(schema.path).read_text())
    frame = pandas.read_csv(data.path)
    x = frame[facts["features"]].to_numpy(dtype="float64")
    y = frame["target"].to_numpy(dtype="int64")

    if algorithm == "random-forest":
        classifier = RandomForestClassifier(n_estimators=n_estimators, max_depth=max_depth, random_state=seed)
    elif algorithm == "decision-tree":
        classifier = DecisionTreeClassifier(max_depth=max_depth, random_state=seed)
    else:
        raise ValueError(f"algorithm {algorithm!r} is not 'random-forest' or 'decision-tree'")
    fitted = Pipeline([("scale", StandardScaler()), ("classify", classifier)]).fit(x, y)

    predicted = fitted.predict(x)
    accuracy = float(accuracy_score(y, predicted))
    f1 = float(f1_score(y, predicted, average="weighted"))
    metrics.log_metric("train_accuracy", accuracy)
    metrics.log_metric("train_f1_weighted", f1)
    parameters = {"algorithm": algorithm, "max_depth": max_depth, "n_estimators": n_estimators, "seed": seed}
    metrics.metadata.update(parameters)

    frameworks = {
        "numpy": numpy.__version__,
        "python": platform.python_version(),
        "scikit-learn": sklearn.__version__,
    }
    folder = Path(model.path)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "model.pkl").open("wb") as file:
        pickle.dump(fitted, file, protocol=4)
    described = {
        "classes": facts["classes"],
        "features": facts["features"],
        "frameworks": frameworks,
        "parameters": parameters,
    }
    (folder / "schema.json").write_text(json.dumps(described, indent=1, sort_keys=True) + "\n")

    files = []
    for path in sorted(folder.iterdir()):
        content = path.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        files.append({"path": path.name, "sha256": digest, "size": len(content)})
    canonical = json.dumps(files, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    model.metadata.update(frameworks | {"digest": digest, "framework": "scikit-learn"})
    print(f"{algorithm} on {len(x)} rows: train accuracy {accuracy:.4f}, weighted F1 {f1:.4f}")
    return digest
