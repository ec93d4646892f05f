"""The allow-list: real models pass, a corpus of hostile files does not, and nothing is ever loaded."""

import contextlib
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier
from support.pickle_corpus import CORPUS

from serving import pickles
from serving.pickles import ALLOWED, PickleRefusedError, check

X = np.random.default_rng(0).normal(size=(60, 4))
Y = (X.sum(axis=1) > 0).astype("int64")


def saved(folder: Path, content: bytes) -> Path:
    path = folder / "model.pkl"
    path.write_bytes(content)
    return path


def model(classifier: object) -> Pipeline:
    return Pipeline([("scale", StandardScaler()), ("classify", classifier)]).fit(X, Y)


@pytest.mark.parametrize(
    "classifier", [RandomForestClassifier(30, random_state=1), DecisionTreeClassifier(random_state=1)]
)
def test_the_models_of_both_pipelines_pass(tmp_path, classifier):
    named = check(saved(tmp_path, pickle.dumps(model(classifier), 4)))
    assert named <= ALLOWED
    assert ("sklearn.pipeline", "Pipeline") in named


def test_together_the_two_models_need_the_whole_list():
    """An entry that no model needs is only a risk."""
    assert len(ALLOWED) == 9


@pytest.mark.parametrize("name", sorted(CORPUS))
def test_hostile_files_are_refused(tmp_path, name):
    with pytest.raises(PickleRefusedError, match="was not loaded"):
        check(saved(tmp_path, CORPUS[name]))


def test_a_refusal_names_what_is_not_allowed(tmp_path):
    with pytest.raises(PickleRefusedError, match=r"os\.system"):
        check(saved(tmp_path, CORPUS["os_system"]))
    with pytest.raises(PickleRefusedError, match="computes the name"):
        check(saved(tmp_path, CORPUS["computed_name"]))


def test_another_estimator_is_refused_by_name(tmp_path):
    with pytest.raises(PickleRefusedError, match="LogisticRegression"):
        check(saved(tmp_path, pickle.dumps(model(LogisticRegression()), 4)))


def test_a_payload_inside_a_real_model_is_found(tmp_path):
    content = pickle.dumps(model(DecisionTreeClassifier()), 4)
    check(saved(tmp_path, content))
    bad = content[:-1] + b"\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R0."
    with pytest.raises(PickleRefusedError, match=r"os\.system"):
        check(saved(tmp_path, bad))


def test_limits(tmp_path, monkeypatch):
    path = saved(tmp_path, pickle.dumps(list(range(100)), 4))
    check(path)
    monkeypatch.setattr(pickles, "MAX_OPCODES", 50)
    with pytest.raises(PickleRefusedError, match="50 opcodes"):
        check(path)
    monkeypatch.setattr(pickles, "MAX_BYTES", 10)
    with pytest.raises(PickleRefusedError, match="limit"):
        check(path)


class Watching(pickle._Unpickler):
    """Python's own unpickler, which tells what it would import and imports nothing."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)
        self.named: set[tuple[str, str]] = set()

    def find_class(self, module: str, name: str) -> object:
        self.named.add((module, name))
        return lambda *arguments, **named: None


@given(data=st.data())
@settings(max_examples=300, deadline=None)
def test_what_is_passed_names_nothing_that_the_check_did_not_see(tmp_path_factory, data):
    """Mutated models: whatever `check` lets through resolves to allowed names in the real unpickler."""
    content = bytearray(SMALL)
    for _ in range(data.draw(st.integers(1, 4))):
        index = data.draw(st.integers(0, len(content) - 1))
        kind = data.draw(st.sampled_from(["flip", "cut", "insert"]))
        piece = data.draw(st.sampled_from(PIECES))
        if kind == "flip":
            content[index] = data.draw(st.integers(0, 255))
        elif kind == "cut":
            del content[index]
        else:
            content[index:index] = piece
    path = saved(tmp_path_factory.mktemp("fuzz"), bytes(content))
    try:
        named = check(path)
    except PickleRefusedError:
        return
    with path.open("rb") as file:
        reader = Watching(file)
        with contextlib.suppress(Exception):
            reader.load()
    assert reader.named <= named <= ALLOWED


PIECES = [b"\x93", b"h\x00", b"\x94", b"0", b"\x8c\x02os", b"\x8c\x06system"]
SMALL = pickle.dumps({"d": np.dtype("f8"), "a": np.arange(3), "s": StandardScaler()}, 4)
