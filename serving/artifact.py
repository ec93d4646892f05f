"""Whether staged files are a model that may be served: which files, and what is in them."""

from storage.errors import FailedError
from storage.model_files import Staged
from tabular.model import FILES, Model


def load(staged: Staged, digest: str) -> Model:
    """Check staged files and load the model in them.

    Raises:
        FailedError: They are not the version that was named, or may not be loaded.
    """
    if staged.digest != digest:
        raise FailedError(
            "The model is not the one that was evaluated.",
            why=f"Its digest is {staged.digest[:12]}, the record's {digest[:12]}.",
            fix="Run the pipeline again.",
        )
    # Exactly these. A model server may import what another file names, so an extra file is code.
    found = {file.path for file in staged.files}
    if found != FILES:
        raise FailedError(
            "The model does not consist of the files that it should.",
            why=f"Missing: {sorted(FILES - found)}; foreign: {sorted(found - FILES)}.",
            fix="Run the pipeline again.",
        )
    return Model.load(staged.folder)
