"""Trains one LightGBM per task; the same examples give the same bytes on any number of threads.

::

    Examples -> one lgb.Dataset -> trees, stopped by the held-out users -> Fitted

A head minimises its `Loss`. Rows may have an offset in log odds (sampled negatives, balanced weights), which
is added in training and left out in scoring. So the model predicts for all rows, and no later step depends on
a sampling rate. Training may start from a booster: its trees are kept, and new trees follow.

This module also shifts, scales and stacks the scores of boosters, and checks that they are not constant. A
raw score is the sum of leaves over trees, so an offset is added to the leaves of the first tree, a slope
multiplies all leaves, and the sum of two boosters is the concatenation of their trees.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Final

import lightgbm as lgb
import numpy as np
from lightgbm.callback import CallbackEnv

from tasks.arrays import AnyFloats, Flags, Floats, Integers
from tasks.contracts.training import Objective
from tasks.errors import DataError
from tasks.training.cluster import ClusterPlan, grow_on_cluster
from tasks.training.examples import ClusterFeatures, Examples
from tasks.training.log_odds import fit_log_odds
from tasks.training.trainable import require_labels, require_monotone, require_short_requests

_TREES: Final = re.compile(r"^Tree=\d+\n", flags=re.MULTILINE)
_LEAVES: Final = re.compile(r"^leaf_value=(.+)$", flags=re.MULTILINE)
_END: Final = "end of trees"


def shift_scores(booster: lgb.Booster, offset: float) -> lgb.Booster:
    """Add an offset to every raw score, in place, through the leaves of the first tree.

    Examples
    --------
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
    """Return the booster whose raw score is the sum of both, with the objective and parameters of ``above``.

    Examples
    --------
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
    """Whether each tree has the same value in all of its leaves, so that all rows have the same score.

    Examples
    --------
    >>> price = np.arange(100.0)[:, None]
    >>> data = (lgb.Dataset(price, labels) for labels in (np.arange(100.0), np.ones(100)))
    >>> [is_constant(lgb.train({"verbosity": -1}, rows, 1)) for rows in data]
    [False, True]
    """
    trees = _LEAVES.finditer(booster.model_to_string())
    return not any(len(set(map(float, tree[1].split()))) > 1 for tree in trees)


def refuse_constant(task: str, booster: lgb.Booster, *, split: bool) -> None:
    """Refuse a model that predicts the same value for every candidate.

    Examples
    --------
    >>> data = lgb.Dataset(np.arange(100.0)[:, None], np.arange(100.0))
    >>> refuse_constant("spend", lgb.train({"verbosity": -1}, data, 1), split=True)
    """
    if not is_constant(booster):
        return
    if split:
        raise DataError(
            f"Task '{task}' cannot be trained: all leaves of its trees hold one value, so it would predict "
            "the same for every candidate. If most values are equal, a quantile is that value everywhere: "
            "set another quantile, or the mean (objective: l2)."
        )
    raise DataError(
        f"Task '{task}' cannot be trained: no tree found a split, so it would predict the same for every "
        "candidate. Its features are constant or empty, or carry no information on the outcome, or "
        "min_data_in_leaf leaves no room. Check the features' columns in the train slice and "
        "lightgbm in surface.yaml."
    )


def _split_text(text: str) -> tuple[str, list[str], str]:
    """Split a model's text into its header, its trees without their numbers, and the rest."""
    body, end, rest = text.partition(_END)
    head, *trees = _TREES.split(body)
    return head, trees, end + rest


def _count_leaves(booster: lgb.Booster, tree: int) -> int:
    leaves: int = booster.dump_model(start_iteration=tree, num_iteration=1)["tree_info"][0]["num_leaves"]
    return leaves


ROUNDS: Final = 400
"""Default maximum number of trees; early stopping ends most heads before."""

PATIENCE: Final = 50
"""Default number of trees without a lower held-out loss that ends the training."""

_LIGHTGBM: Final[Mapping[Objective, Mapping[str, str]]] = {
    "binary": {"objective": "binary", "metric": "binary_logloss"},
    "l2": {"objective": "regression", "metric": "l2"},
    "tweedie": {"objective": "tweedie", "metric": "tweedie"},
    "quantile": {"objective": "quantile", "metric": "quantile"},
    "lambdarank": {"objective": "lambdarank", "metric": "ndcg"},
}


@dataclass(frozen=True)
class Loss:
    """Loss that the trees minimise.

    Attributes
    ----------
    quantile : the predicted quantile, for ``quantile``.
    power : exponent of the mean in the variance, for ``tweedie``: 1 is Poisson, 2 gamma.
    """

    objective: Objective = "binary"
    quantile: float = 0.5
    power: float = 1.5

    @property
    def settings(self) -> dict[str, Any]:
        """LightGBM's objective, metric and their parameters."""
        own = {"quantile": {"alpha": self.quantile}, "tweedie": {"tweedie_variance_power": self.power}}
        return {**_LIGHTGBM[self.objective], **own.get(self.objective, {})}


@dataclass(frozen=True)
class Learning:
    """Settings of a head's training, apart from its examples and start.

    Attributes
    ----------
    parameters : the contract's LightGBM parameters, with ``rounds`` and ``early_stopping_rounds``.
    monotone : feature -> 1 (increasing) or -1 (decreasing effect).
    loss_weight : weight of every example; with separate trees it only rescales the regularisation.
    """

    loss: Loss = field(default_factory=Loss)
    parameters: Mapping[str, float | int] = field(default_factory=dict)
    monotone: Mapping[str, int] = field(default_factory=dict)
    loss_weight: float = 1.0
    seed: int = 0


Callback = Callable[[CallbackEnv], None]

_OF_TRAINING: Final = frozenset({"rounds", "early_stopping_rounds"})
_REPEATABLE: Final = {"deterministic": True, "verbosity": -1}
LARGEST_COPY: Final = 1 << 30
"""Bytes of bins up to which LightGBM copies them by row in training. Larger bins are read by column: the
trees are the same, and no copy needs memory."""


@dataclass(frozen=True)
class Fitted:
    """A trained head; ``booster.predict`` returns probabilities (values, scores) on the scale of all rows.

    ``gains`` and ``splits``: total loss reduction and number of splits of each feature. ``rounds``: number of
    trees that were added to the start. ``fold_loss``: metric on the held-out users, None if there were none.
    """

    booster: lgb.Booster
    rounds: int
    fold_loss: float | None
    gains: Mapping[str, float]
    splits: Mapping[str, int]

    @property
    def text(self) -> str:
        """The model as LightGBM text."""
        return str(self.booster.model_to_string())


def fit_head(
    examples: Examples,
    learning: Learning | None = None,
    *,
    start: lgb.Booster | None = None,
    threads: int | None = None,
    callbacks: Sequence[Callback] = (),
) -> Fitted:
    """Train one head.

    Parameters
    ----------
    learning : loss, parameters, bounds and seed; by default log loss with LightGBM's default parameters.
    start : a booster of the same features to which new trees are added.
    threads : all cores by default; the model is the same for any number.
    callbacks : called by LightGBM after each tree.

    Examples
    --------
    >>> price, fold = np.arange(8.0)[:, None], np.zeros(8, dtype=bool)
    >>> examples = Examples(price, (price[:, 0] > 3).astype(float), fold, ("price",))
    >>> fitted = fit_head(examples, Learning(parameters={"rounds": 3, "min_data_in_leaf": 1}), threads=1)
    >>> fitted.rounds, bool(np.diff(fitted.booster.predict([[3.0], [4.0]]))[0] > 0)
    (3, True)
    """
    learning = learning or Learning()
    loss, bounds, loss_weight = learning.loss, learning.monotone, learning.loss_weight
    require_labels(examples.labels, loss.objective)
    require_monotone(bounds, examples.numeric, examples.categorical, loss.objective)
    settings = _lightgbm_settings(learning, examples, threads)
    rounds = int(learning.parameters.get("rounds", ROUNDS))
    patience = int(learning.parameters.get("early_stopping_rounds", PATIENCE))
    held = examples.held_out
    base = _base_log_odds(examples, ~held) if start is None else 0.0
    with _translate_lightgbm_errors():
        if isinstance(examples.features, ClusterFeatures):
            weights = _scale_weights(examples, loss_weight)
            offsets = None if examples.offsets is None else examples.offsets + base
            shifted = replace(examples, weights=weights, offsets=offsets)
            growth = ClusterPlan(examples.features, settings, rounds, patience, start)
            trained, kept, value = grow_on_cluster(shifted, growth)
        else:
            data = _bin_examples(examples, settings, loss_weight=loss_weight, constant=base, start=start)
            train, fold = _split(data, held)
            del data  # its bins are now in train and fold
            trained, kept, value = _train(
                settings, train, fold, rounds=rounds, patience=patience, callbacks=callbacks
            )
    booster = shift_scores(_truncate(trained, kept, threads=threads or 0), base)
    return _describe_fit(stack_boosters(start, booster), kept, value, examples.names)


def _truncate(trained: lgb.Booster, rounds: int, *, threads: int) -> lgb.Booster:
    """Return the first trees of a booster, without the number of threads in its text."""
    text = trained.model_to_string(num_iteration=rounds)
    return lgb.Booster(model_str=text.replace(f"[num_threads: {threads}]", "[num_threads: 0]"))


def _bin_examples(
    examples: Examples,
    settings: Mapping[str, Any],
    *,
    loss_weight: float,
    constant: float,
    start: lgb.Booster | None,
) -> lgb.Dataset:
    """Bin examples once; every training on them uses subsets of the bins."""
    weights = _scale_weights(examples, loss_weight)
    begin = _initial_scores(examples, constant, start, threads=settings.get("num_threads", 0))
    lengths = None if examples.groups is None else run_lengths(examples.groups)
    if lengths is not None:
        require_short_requests(lengths)
    return lgb.Dataset(
        examples.features,
        label=examples.labels,
        weight=weights,
        group=lengths,
        init_score=begin,
        feature_name=list(examples.names),
        categorical_feature=[examples.names.index(name) for name in examples.categorical],
        params=dict(settings),
    ).construct()


def _scale_weights(examples: Examples, loss_weight: float) -> AnyFloats | None:
    """Return the loss weights of examples in LightGBM's precision; None if all are 1."""
    if examples.weights is None and loss_weight == 1:
        return None
    weights = np.ones(len(examples)) if examples.weights is None else examples.weights
    return (weights * loss_weight).astype(np.float32)


def run_lengths(groups: Integers) -> Integers:
    """Return the lengths of runs of equal values, LightGBM's format of requests.

    Examples
    --------
    >>> run_lengths(np.array([4, 4, 7, 4]))
    array([2, 1, 1])
    """
    ends = np.flatnonzero(np.append(np.diff(groups) != 0, len(groups) > 0)) + 1
    return np.diff(np.append(0, ends))


def _initial_scores(
    examples: Examples, constant: float, start: lgb.Booster | None, *, threads: int
) -> Floats | None:
    if start is None and examples.offsets is None:
        return None
    offsets = np.zeros(len(examples)) if examples.offsets is None else examples.offsets
    raw = constant if start is None else examples.raw_scores(start, threads=threads)
    return np.asarray(offsets + raw, dtype=np.float64)


def _lightgbm_settings(learning: Learning, examples: Examples, threads: int | None) -> dict[str, Any]:
    """Return the parameters for LightGBM; rounds and patience are arguments of the training."""
    own = {name: value for name, value in learning.parameters.items() if name not in _OF_TRAINING}
    names, bounds = examples.names, learning.monotone
    monotone = {"monotone_constraints": [bounds.get(name, 0) for name in names]} if bounds else {}
    layout = "force_row_wise" if len(examples) * len(names) <= LARGEST_COPY else "force_col_wise"
    fixed = {**_REPEATABLE, layout: True, "seed": learning.seed, "num_threads": threads or 0}
    sampled = {"data_random_seed": _sampling_seed(learning.seed)}
    return {**sampled, **own, **learning.loss.settings, **monotone, **fixed}


@cache
def _sampling_seed(seed: int) -> int:
    """Return the ``data_random_seed`` that LightGBM derives from ``seed``, but not for stored rows."""
    rows, settings = lgb.Dataset(np.zeros((2, 1)), [0.0, 1.0]), {"seed": seed, "verbosity": -1}
    text = lgb.train(settings, rows, 1).model_to_string()
    return int(lgb.Booster(model_str=text).params["data_random_seed"])


def _split(data: lgb.Dataset, held: Flags) -> tuple[lgb.Dataset, lgb.Dataset | None]:
    """Return the bins of the training rows, and of the held-out rows, None if there are none.

    Neither refers to the whole dataset, whose bins are freed.
    """
    if not held.any():
        return data, None
    fold, train = (_take(data, rows) for rows in (held, ~held))
    train.reference, fold.reference = None, train
    return train, fold


def _take(data: lgb.Dataset, rows: Flags) -> lgb.Dataset:
    """Return ``data.subset`` of the rows without its Python list of rows, which takes 40 bytes per row."""
    part = data.subset([])
    part.used_indices = np.flatnonzero(rows).astype(np.int32)
    part.construct().used_indices = None
    return part


def _train(
    settings: Mapping[str, Any],
    train: lgb.Dataset,
    fold: lgb.Dataset | None,
    *,
    rounds: int,
    patience: int,
    callbacks: Sequence[Callback],
) -> tuple[lgb.Booster, int, float | None]:
    """Return the trained booster, the number of trees to keep and the held-out metric."""
    if fold is None:
        trained = lgb.train(dict(settings), train, rounds, callbacks=list(callbacks))
        return trained, trained.current_iteration(), None
    stop = [*callbacks, lgb.early_stopping(patience, verbose=False)]
    trained = lgb.train(
        dict(settings), train, rounds, valid_sets=[fold], valid_names=["fold"], callbacks=stop
    )
    return trained, trained.best_iteration, float(next(iter(trained.best_score["fold"].values())))


@contextmanager
def _translate_lightgbm_errors() -> Iterator[None]:
    """Translate LightGBM errors to a DataError, which affects one task only and does not end a retrain."""
    try:
        yield
    except lgb.basic.LightGBMError as error:
        raise DataError(
            f"LightGBM refuses these rows under these parameters: {str(error).strip()}. Check lightgbm in "
            "surface.yaml, for example at a bagging_fraction that leaves no row."
        ) from error


def _base_log_odds(examples: Examples, rows: Flags) -> float:
    """Return the constant log odds of rows with offsets; without offsets LightGBM computes it itself."""
    if examples.offsets is None:
        return 0.0
    weights = None if examples.weights is None else examples.weights[rows]
    ones, offsets = np.ones((int(rows.sum()), 1)), examples.offsets[rows]
    return float(fit_log_odds(ones, examples.labels[rows], weights=weights, offsets=offsets)[0])


def _describe_fit(booster: lgb.Booster, rounds: int, loss: float | None, names: tuple[str, ...]) -> Fitted:
    gains, splits = (booster.feature_importance(kind) for kind in ("gain", "split"))
    return Fitted(
        booster=booster,
        rounds=rounds,
        fold_loss=loss,
        gains=dict(zip(names, map(float, gains), strict=True)),
        splits=dict(zip(names, map(int, splits), strict=True)),
    )
