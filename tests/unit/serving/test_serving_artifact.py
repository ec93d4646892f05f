"""Which files a version may consist of."""

from pathlib import Path

import pytest
from support.candidates import staged_files
from support.models import with_categories

from serving import artifact
from slipway.core.errors import FailedError
from tabular.files import FILES, MODEL, SCHEMA


def test_a_model_of_two_files_is_loaded(tmp_path: Path) -> None:
    data = with_categories(60)
    data.fit("decision-tree").write(tmp_path)
    staged = staged_files(tmp_path, {name: (tmp_path / name).read_bytes() for name in FILES})
    assert artifact.load(staged, staged.digest).predict(data.held_out).labels.shape == (12,)


def test_a_version_published_as_a_pickle_says_what_to_do(tmp_path: Path) -> None:
    staged = staged_files(tmp_path, {"model.pkl": b"\x80\x04N.", SCHEMA: b"{}"})
    with pytest.raises(FailedError, match=r"pickles are not served\..*Run the pipeline again"):
        artifact.load(staged, staged.digest)


@pytest.mark.parametrize(
    "names", [{MODEL}, {MODEL, SCHEMA, "model-settings.json"}, {MODEL, SCHEMA, "own.py"}]
)
def test_other_files_are_refused(names: set[str]) -> None:
    with pytest.raises(FailedError, match="does not consist of the files that it should"):
        artifact.require_servable(names)


def test_another_digest_is_refused(tmp_path: Path) -> None:
    staged = staged_files(tmp_path, {MODEL: b"", SCHEMA: b""})
    with pytest.raises(FailedError, match="not the one that was evaluated"):
        artifact.load(staged, "0" * 64)
