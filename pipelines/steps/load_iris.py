"""The iris data set that scikit-learn ships, as a CSV file with class names in `target`."""

from kfp import dsl

from pipelines.steps.step import step


@step
def load_iris(data: dsl.Output[dsl.Dataset]) -> str:
    """Write iris as CSV.

    Args:
        data: The CSV file; its metadata holds the class names and the digest.

    Returns:
        SHA-256 of the file, which `preprocess` checks.
    """
    import hashlib
    from pathlib import Path

    from sklearn import datasets

    bunch = datasets.load_iris(as_frame=True)
    names = [str(name) for name in bunch.target_names]
    frame = bunch.data.assign(target=[names[index] for index in bunch.target])
    content = frame.to_csv(index=False, lineterminator="\n").encode()
    Path(data.path).write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    data.metadata["sha256"] = digest
    data.metadata["classes"] = ",".join(names)
    return digest
