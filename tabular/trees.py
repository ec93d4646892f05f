"""Check that the arrays of a TreeEnsembleClassifier are valid trees. Pure.

onnxruntime does not check them: an index out of range of the nodes or the features reads memory out of
bounds, a cycle never ends, and a chain of a million nodes overflows the stack.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

MAX_NODES: Final = 4_000_000
MAX_DEPTH: Final = 512

_NODES: Final = (
    "nodes_falsenodeids",
    "nodes_featureids",
    "nodes_hitrates",
    "nodes_missing_value_tracks_true",
    "nodes_modes",
    "nodes_nodeids",
    "nodes_treeids",
    "nodes_truenodeids",
    "nodes_values",
)
_CLASSES: Final = ("class_ids", "class_nodeids", "class_treeids", "class_weights")
_FLOATS: Final = frozenset({"nodes_hitrates", "nodes_values", "class_weights"})

Ints = NDArray[np.int64]


class TreesError(ValueError):
    """The trees are not valid; the text says why."""


def check(attributes: Mapping[str, Any], *, width: int, classes: int) -> None:
    """Check an ensemble for the given number of input columns and classes.

    Args:
        attributes: Name -> list of numbers or of bytes, as in the file.
        width: Number of input columns.
        classes: Number of labels.

    Raises:
        TreesError: A length, a reference or a number is not valid, or there is a cycle.
    """
    nodes = _arrays(attributes, _NODES)
    leaves = _arrays(attributes, _CLASSES)
    count = len(nodes["nodes_nodeids"])
    if not 0 < count <= MAX_NODES:
        raise TreesError(f"the trees have {count} nodes; 1 to {MAX_NODES} are allowed")
    first, size = _places(nodes)
    is_leaf = _is_leaf(nodes["nodes_modes"])
    if ((nodes["nodes_featureids"] < 0) | (nodes["nodes_featureids"] >= width)).any():
        raise TreesError(f"a tree reads a column outside its {width} inputs")
    true, false = (
        _children(nodes[f"nodes_{side}nodeids"], first, size, is_leaf) for side in ("true", "false")
    )
    _check_reach(np.unique(first), true, false, is_leaf)
    _check_leaves(leaves, nodes, is_leaf, classes)


def _arrays(attributes: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    if missing := [name for name in names if name not in attributes]:
        raise TreesError(f"the trees have no {missing[0]}")
    arrays: dict[str, Any] = {}
    for name in names:
        if name == "nodes_modes":
            arrays[name] = np.array(attributes[name], dtype=object)
        else:
            arrays[name] = np.array(attributes[name], dtype=np.float32 if name in _FLOATS else np.int64)
    if len({len(arrays[name]) for name in names}) > 1:
        raise TreesError(f"{names[0]} and the related arrays have different lengths")
    if bad := [name for name in names if name in _FLOATS and not np.isfinite(arrays[name]).all()]:
        raise TreesError(f"{bad[0]} contains a value that is not a finite number")
    return arrays


def _is_leaf(modes: NDArray[np.object_]) -> NDArray[np.bool_]:
    is_leaf = np.asarray(modes == b"LEAF", dtype=bool)
    if not (is_leaf | np.asarray(modes == b"BRANCH_LEQ", dtype=bool)).all():
        raise TreesError("a node is neither a leaf nor a comparison by <=")
    return is_leaf


def _places(nodes: Mapping[str, Ints]) -> tuple[Ints, Ints]:
    """Index of the first node of each node's tree, and the size of that tree.

    Trees and nodes must be numbered 0, 1, 2... in the order of the file, so a number is an index.
    """
    tree = nodes["nodes_treeids"]
    begins = np.flatnonzero(np.diff(tree, prepend=-1))
    if tree[0] != 0 or not np.isin(np.diff(tree), (0, 1)).all():
        raise TreesError("the trees are not numbered in order")
    sizes = np.diff(begins, append=len(tree))
    first, size = np.repeat(begins, sizes), np.repeat(sizes, sizes)
    if (nodes["nodes_nodeids"] != np.arange(len(tree)) - first).any():
        raise TreesError("the nodes of a tree are not numbered in order")
    return first, size


def _children(ids: Ints, first: Ints, size: Ints, is_leaf: NDArray[np.bool_]) -> Ints:
    """Index of each branch's child; undefined for leaves."""
    if (ids[is_leaf] != 0).any():
        raise TreesError("a leaf has a child")
    if ((ids < 0) | (ids >= size))[~is_leaf].any():
        raise TreesError("a branch refers to a node that does not exist")
    return ids + first


def _check_reach(roots: Ints, true: Ints, false: Ints, is_leaf: NDArray[np.bool_]) -> None:
    """Check that every node is reached exactly once from its root, so there are no shared nodes or cycles."""
    reached = np.zeros(len(is_leaf), dtype=np.int64)
    level = roots
    for _ in range(MAX_DEPTH + 1):
        np.add.at(reached, level, 1)
        if (reached[level] > 1).any():
            raise TreesError("a node is reached twice: the trees have a cycle or share a branch")
        branches = level[~is_leaf[level]]
        if not len(branches):
            break
        level = np.concatenate((true[branches], false[branches]))
    else:
        raise TreesError(f"a tree is deeper than {MAX_DEPTH}")
    if not reached.all():
        raise TreesError("a node is not reached from a root")


def _check_leaves(
    leaves: Mapping[str, Ints], nodes: Mapping[str, Ints], is_leaf: NDArray[np.bool_], classes: int
) -> None:
    """Check that every weight belongs to an existing leaf and class, and every leaf has a weight."""
    begins = np.flatnonzero(nodes["nodes_nodeids"] == 0)
    sizes = np.diff(begins, append=len(is_leaf))
    tree, node = leaves["class_treeids"], leaves["class_nodeids"]
    if ((leaves["class_ids"] < 0) | (leaves["class_ids"] >= classes)).any():
        raise TreesError(f"a leaf refers to a class outside the {classes} of the model")
    if ((tree < 0) | (tree >= len(begins))).any() or ((node < 0) | (node >= sizes[tree])).any():
        raise TreesError("a weight belongs to a node that does not exist")
    place = begins[tree] + node
    if not is_leaf[place].all():
        raise TreesError("a weight belongs to a branch")
    if len(np.unique(place)) != is_leaf.sum():
        raise TreesError("a leaf has no weight")
