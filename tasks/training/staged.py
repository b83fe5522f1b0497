"""A sparse task starts from a dense one, which has learned what interests people.

::

    predictions   log odds = intercept + slope x the dense task's, both fitted to the sparse labels
    leaves        the dense task's trees, each leaf's value fitted anew to the sparse labels, tree by tree

Both end in a booster of the same features, on which training goes on (`fit(start=...)`): one LightGBM text,
and serving needs nothing new for it. Held-out rows are not used.
"""

from typing import Literal

import lightgbm as lgb
import numpy as np

from tasks.training.boosters import scale_scores, shift_scores
from tasks.training.examples import Examples
from tasks.training.log_odds import fit_log_odds

By = Literal["predictions", "leaves"]


def start_from_dense(
    dense: lgb.Booster, examples: Examples, *, by: By, threads: int | None = None
) -> lgb.Booster:
    """Return what a sparse task's training starts from.

    Parameters
    ----------
    dense : the denser task's booster; it is not changed.
    examples : the sparse task's, of the same features.

    Examples
    --------
    >>> price, fold = np.arange(100.0)[:, None], np.zeros(100, dtype=bool)
    >>> labels = (price[:, 0] > 49).astype(float)
    >>> dense = lgb.train({"objective": "binary", "verbosity": -1}, lgb.Dataset(price, labels), 2)
    >>> sparse = Examples(price, labels * (price[:, 0] > 74), fold, ("price",))
    >>> round(float(start_from_dense(dense, sparse, by="predictions").predict(price).sum()), 3)
    25.0
    """
    learned_from = examples.where(~examples.held_out)
    start = rescale_predictions if by == "predictions" else refit_leaves
    return start(lgb.Booster(model_str=dense.model_to_string()), learned_from, threads=threads)


def rescale_predictions(dense: lgb.Booster, examples: Examples, *, threads: int | None = None) -> lgb.Booster:
    """Fold intercept and slope of the dense log odds into the dense trees' leaves, in place.

    Examples
    --------
    >>> price, fold = np.arange(100.0)[:, None], np.zeros(100, dtype=bool)
    >>> labels = (price[:, 0] > 49).astype(float)
    >>> dense = lgb.train({"objective": "binary", "verbosity": -1}, lgb.Dataset(price, labels), 2)
    >>> sparse = Examples(price, labels * (price[:, 0] > 74), fold, ("price",))
    >>> round(float(rescale_predictions(dense, sparse).predict(price).sum()), 3)
    25.0
    """
    raw = np.asarray(dense.predict(examples.features, raw_score=True, num_threads=threads or 0))
    design = np.column_stack([np.ones(len(raw)), raw])
    intercept, slope = fit_log_odds(
        design, examples.labels, weights=examples.weights, offsets=examples.offsets
    )
    return shift_scores(scale_scores(dense, float(slope)), float(intercept))


def refit_leaves(dense: lgb.Booster, examples: Examples, *, threads: int | None = None) -> lgb.Booster:
    """Fit the leaves' values anew, from the sparse task's mean log odds on.

    LightGBM's ``Booster.refit`` with a decay rate of 0; each row's leaf in each tree is in memory at once.

    Examples
    --------
    >>> price, fold = np.arange(100.0)[:, None], np.zeros(100, dtype=bool)
    >>> labels = (price[:, 0] > 49).astype(float)
    >>> dense = lgb.train({"objective": "binary", "verbosity": -1}, lgb.Dataset(price, labels), 2)
    >>> sparse = Examples(price, labels * (price[:, 0] > 74), fold, ("price",))
    >>> refit_leaves(dense, sparse).num_trees()
    2
    """
    ones, offsets = np.ones((len(examples), 1)), examples.offsets
    (mean,) = fit_log_odds(ones, examples.labels, weights=examples.weights, offsets=offsets)
    fitted = dense.refit(
        examples.features,
        examples.labels,
        decay_rate=0.0,
        weight=examples.weights,
        init_score=np.full(len(examples), mean) + (0.0 if offsets is None else offsets),
        num_threads=threads or 0,
    )
    return shift_scores(fitted, float(mean))
