"""Checks that staged files are a model that may be served: file names and content."""

from collections.abc import Iterable
from typing import Final

from slipway.core.errors import FailedError
from storage.registry.model_files import Staged
from tabular.files import FILES
from tabular.model import Model

PICKLE: Final = "model.pkl"
"""File of versions that were published before models were ONNX."""


def load(staged: Staged, digest: str) -> Model:
    """Check staged files and load the model in them.

    Raises:
        FailedError: They are not the version with this digest, or may not be loaded.
    """
    if staged.digest != digest:
        raise FailedError(
            "The model is not the one that was evaluated.",
            why=f"Its digest is {staged.digest[:12]}, the record's {digest[:12]}.",
            fix="Run the pipeline again.",
        )
    require_servable(file.path for file in staged.files)
    return Model.load(staged.folder)


def require_servable(paths: Iterable[str]) -> None:
    """Refuse a version with other files than those of a model. An extra file may be code.

    Raises:
        FailedError: It has; for a pickle, the message says what to do.
    """
    names = frozenset(paths)
    if PICKLE in names:
        raise FailedError(
            "The model is a pickle, and pickles are not served.",
            why="A pickle is a program. Models are ONNX, which can't execute.",
            fix="Run the pipeline again, and promote its model.",
        )
    if names != FILES:
        raise FailedError(
            "The model does not consist of the files that it should.",
            why=f"Missing: {sorted(FILES - names)}; unknown: {sorted(names - FILES)}.",
            fix="Run the pipeline again.",
        )
