"""Decide about a pickle from its opcodes, before anything loads it.

A pickle is a program; what it can do is bounded by the globals it names. So every global must be
on an exact allow-list, and one whose name is computed rather than written out is refused, like
everything else that a scikit-learn model has no need of. Whatever can't be understood is refused.

Scanners that look for known evil miss 2 to 9 files of a corpus of 15 (picklescan 1.0.5, modelscan
0.8.8), and those that refuse them all refuse every real model too (fickling 0.1.12, modelaudit
0.2.54), measured 2026-11-22; an exact list does neither.
"""

import pickletools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

from storage.errors import FailedError

ALLOWED: Final = frozenset(
    {
        ("numpy", "dtype"),
        ("numpy", "ndarray"),
        ("numpy._core.multiarray", "_reconstruct"),
        ("numpy._core.multiarray", "scalar"),
        ("sklearn.ensemble._forest", "RandomForestClassifier"),
        ("sklearn.pipeline", "Pipeline"),
        ("sklearn.preprocessing._data", "StandardScaler"),
        ("sklearn.tree._classes", "DecisionTreeClassifier"),
        ("sklearn.tree._tree", "Tree"),
    }
)
"""What the models of both pipelines name, and nothing else. Adding one is a security decision."""

MAX_BYTES: Final = 512 << 20
MAX_OPCODES: Final = 2_000_000
MAX_INTEGER_BYTES: Final = 64
"""Decoding a long integer takes time that grows with its square."""

_TEXT: Final = frozenset({"SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"})
_STORE: Final = frozenset({"MEMOIZE", "BINPUT", "LONG_BINPUT"})
_FETCH: Final = frozenset({"BINGET", "LONG_BINGET"})
_NEUTRAL: Final = frozenset({"FRAME"})
"""May fall between any two opcodes and leaves the stack alone."""
_PLAIN: Final = frozenset(
    {
        "PROTO",
        "STOP",
        "MARK",
        "POP",
        "POP_MARK",
        "NONE",
        "NEWTRUE",
        "NEWFALSE",
        "BININT",
        "BININT1",
        "BININT2",
        "LONG1",
        "BINFLOAT",
        "SHORT_BINBYTES",
        "BINBYTES",
        "BINBYTES8",
        "EMPTY_TUPLE",
        "TUPLE",
        "TUPLE1",
        "TUPLE2",
        "TUPLE3",
        "EMPTY_LIST",
        "APPEND",
        "APPENDS",
        "EMPTY_DICT",
        "SETITEM",
        "SETITEMS",
        "EMPTY_SET",
        "ADDITEMS",
        "FROZENSET",
        "REDUCE",
        "BUILD",
        "NEWOBJ",
        "NEWOBJ_EX",
    }
)
"""What protocol 4 writes for models. Not here: INST, OBJ, EXT*, PERSID*, GLOBAL, text forms."""
_KNOWN: Final = _PLAIN | _TEXT | _STORE | _FETCH | _NEUTRAL | {"STACK_GLOBAL"}


class PickleRefusedError(FailedError):
    """The file may not be loaded."""


def check(path: Path) -> frozenset[tuple[str, str]]:
    """Return the globals that a pickle names, all of them allowed.

    Raises:
        PickleRefusedError: It names another, computes a name, or can't be understood.
    """
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise _refused(path, f"It has {size >> 20} MiB; the limit is {MAX_BYTES >> 20} MiB.")
    with path.open("rb") as file:
        named = _globals(path, file)
        if file.read(1):
            raise _refused(path, "Something follows the end of the pickle.")
    if foreign := sorted(named - ALLOWED):
        listed = ", ".join(f"{module}.{name}" for module, name in foreign[:3])
        raise _refused(path, f"It names {listed}, which is not on the allow-list.")
    return frozenset(named)


def _globals(path: Path, file: BinaryIO) -> set[tuple[str, str]]:
    """Every (module, name) that the pickle resolves.

    `recent` holds what is known of the two topmost stack items: a string only if the opcode just
    read pushed it as a literal or fetched one from the memo. All else counts as computed.
    """
    named: set[tuple[str, str]] = set()
    memo: dict[int, str | None] = {}
    recent: tuple[str | None, str | None] = (None, None)
    for opcode, argument in _opcodes(path, file):
        if opcode in _TEXT:
            recent = (recent[1], argument)
        elif opcode in _STORE:
            memo[len(memo) if opcode == "MEMOIZE" else argument] = recent[1]
        elif opcode in _FETCH:
            recent = (recent[1], memo.get(argument))
        elif opcode == "STACK_GLOBAL":
            module, name = recent
            if module is None or name is None:
                raise _refused(path, "It computes the name of something to import.")
            named.add((module, name))
            recent = (None, None)
        else:
            recent = (None, None)
    return named


def _opcodes(path: Path, file: BinaryIO) -> Iterator[tuple[str, Any]]:
    count = 0
    parsed = pickletools.genops(file)
    while True:
        try:
            opcode, argument, _ = next(parsed)
        except StopIteration:
            return
        except Exception as error:
            raise _refused(path, f"It is not a pickle: {str(error)[:120]}.") from error
        count += 1
        if problem := _problem(count, opcode.name, argument):
            raise _refused(path, problem)
        if opcode.name not in _NEUTRAL:
            yield opcode.name, argument


def _problem(count: int, opcode: str, argument: Any) -> str | None:  # noqa: ANN401 - of any opcode
    """What is wrong with the `count`-th opcode, if anything is."""
    if count == 1 and (opcode != "PROTO" or argument != 4):
        return "It is not a pickle of protocol 4 (the default of Python 3.8 to 3.13)."
    if count > MAX_OPCODES:
        return f"It has more than {MAX_OPCODES} opcodes."
    if opcode not in _KNOWN or (opcode == "PROTO" and count > 1):
        return f"It uses the opcode {opcode}, which no model needs."
    if opcode == "LONG1" and argument.bit_length() > 8 * MAX_INTEGER_BYTES:
        return "It holds an integer that is too long."
    return None


def _refused(path: Path, why: str) -> PickleRefusedError:
    return PickleRefusedError(f"{path.name} is refused, and was not loaded.", why=why)
