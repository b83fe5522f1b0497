"""Operations on boosters: shift, scale and stack their scores, and check that they are not constant.

A raw score is the sum of its trees' leaves, so an offset goes into the leaves of the first tree, a slope into
all leaves, and the sum of two boosters is the trees of one after those of the other.
"""

import re
from typing import Final

import lightgbm as lgb

_TREES: Final = re.compile(r"^Tree=\d+\n", flags=re.MULTILINE)
_LEAVES: Final = re.compile(r"^leaf_value=(.+)$", flags=re.MULTILINE)
_END: Final = "end of trees"


def shift_scores(booster: lgb.Booster, offset: float) -> lgb.Booster:
    """Add an offset to every raw score, in place, through the leaves of the first tree.

    Examples
    --------
    >>> import numpy as np
    >>> booster = lgb.train({"verbosity": -1}, lgb.Dataset(np.arange(100.0)[:, None], np.arange(100.0)), 1)
    >>> before = booster.predict([[3.0]], raw_score=True)
    >>> (shift_scores(booster, 2.0).predict([[3.0]], raw_score=True) - before).round(6)
    array([2.])
    """
    if offset:
        for leaf in range(_count_leaves(booster, 0)):
            booster.set_leaf_output(0, leaf, booster.get_leaf_output(0, leaf) + offset)
    return booster


def scale_scores(booster: lgb.Booster, slope: float) -> lgb.Booster:
    """Multiply every raw score, in place, through all leaves.

    Examples
    --------
    >>> import numpy as np
    >>> booster = lgb.train({"verbosity": -1}, lgb.Dataset(np.arange(100.0)[:, None], np.arange(100.0)), 1)
    >>> before = booster.predict([[3.0]], raw_score=True)
    >>> (scale_scores(booster, 2.0).predict([[3.0]], raw_score=True) / before).round(6)
    array([2.])
    """
    for tree in range(booster.num_trees()):
        for leaf in range(_count_leaves(booster, tree)):
            booster.set_leaf_output(tree, leaf, booster.get_leaf_output(tree, leaf) * slope)
    return booster


def stack_boosters(below: lgb.Booster | None, above: lgb.Booster) -> lgb.Booster:
    """Return the booster whose raw score is the sum of both; objective and parameters are those of ``above``.

    Examples
    --------
    >>> import numpy as np
    >>> booster = lgb.train({"verbosity": -1}, lgb.Dataset(np.arange(100.0)[:, None], np.arange(100.0)), 1)
    >>> twice = stack_boosters(booster, booster)
    >>> twice.num_trees(), (twice.predict([[3.0]]) / booster.predict([[3.0]])).round(6)
    (2, array([2.]))
    """
    if below is None:
        return above
    head, trees, tail = _split_text(above.model_to_string())
    blocks = [*_split_text(below.model_to_string())[1], *trees]
    numbered = [f"Tree={number}\n{block}" for number, block in enumerate(blocks)]
    sizes = " ".join(str(len(block.encode())) for block in numbered)
    head = re.sub(r"^tree_sizes=.*$", f"tree_sizes={sizes}", head, flags=re.MULTILINE)
    return lgb.Booster(model_str=head + "".join(numbered) + tail)


def is_constant(booster: lgb.Booster) -> bool:
    """Whether each tree holds one value in all of its leaves, so that every row gets the same score.

    Examples
    --------
    >>> import numpy as np
    >>> price = np.arange(100.0)[:, None]
    >>> data = (lgb.Dataset(price, labels) for labels in (np.arange(100.0), np.ones(100)))
    >>> [is_constant(lgb.train({"verbosity": -1}, rows, 1)) for rows in data]
    [False, True]
    """
    trees = _LEAVES.finditer(booster.model_to_string())
    return not any(len(set(map(float, tree[1].split()))) > 1 for tree in trees)


def _split_text(text: str) -> tuple[str, list[str], str]:
    """Split a model's text into its head, its trees without their numbers, and the rest."""
    body, end, rest = text.partition(_END)
    head, *trees = _TREES.split(body)
    return head, trees, end + rest


def _count_leaves(booster: lgb.Booster, tree: int) -> int:
    leaves: int = booster.dump_model(start_iteration=tree, num_iteration=1)["tree_info"][0]["num_leaves"]
    return leaves
