"""Whether staged files are a model that may be served: which files, what is in them."""

import json
from typing import Final

from serving import pickles
from storage.candidate import Candidate
from storage.errors import FailedError
from storage.model_files import Staged

MODEL: Final = "model.pkl"
SCHEMA: Final = "schema.json"
FILES: Final = frozenset({MODEL, SCHEMA})
"""Exactly these. MLServer imports what a `model-settings.json` names, so an extra file is code."""
MAX_SCHEMA_BYTES: Final = 1 << 20


def check(staged: Staged, candidate: Candidate) -> None:
    """Check a model before anything loads it or copies it.

    Raises:
        FailedError: It is not what the candidate promised, or may not be loaded.
    """
    if staged.digest != candidate.model_digest:
        raise FailedError(
            "The model is not the one that was evaluated.",
            why=f"Its digest is {staged.digest[:12]}, the candidate's {candidate.model_digest[:12]}.",
            fix="Run the pipeline again.",
        )
    found = {file.path for file in staged.files}
    if found != FILES:
        raise FailedError(
            "The model does not consist of the files that it should.",
            why=f"Missing: {sorted(FILES - found)}; foreign: {sorted(found - FILES)}.",
        )
    pickles.check(staged.folder / MODEL)
    path = staged.folder / SCHEMA
    if path.stat().st_size > MAX_SCHEMA_BYTES:
        raise FailedError(f"{SCHEMA} is too large.")
    try:
        schema = json.loads(path.read_bytes())
        same = (tuple(schema["features"]), tuple(schema["classes"])) == (
            candidate.features,
            candidate.classes,
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise FailedError(f"{SCHEMA} can't be read.", why=type(error).__name__) from error
    if not same:
        raise FailedError(f"{SCHEMA} names other features or classes than the candidate.")
