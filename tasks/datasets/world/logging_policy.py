"""The policy that fills the log: Plackett-Luce, with exactly known propensities.

Position k is filled by drawing one of the candidates not yet placed, with probability

    propensity = exp(score_i) / sum over candidates j not yet placed of exp(score_j)

so an impression's propensity is the probability that its item was placed at its position given the items
above it. Adding Gumbel noise to the scores and sorting draws from this distribution (Yellott 1977).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tasks.arrays import Floats, Integers, SingleFloats

Scores = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Placement:
    """The items at each position.

    Attributes
    ----------
    order : [requests, slots], column of the candidate at each position.
    propensity : [requests, slots], of the candidate at each position given those above it.
    """

    order: Integers
    propensity: Floats


def place(scores: Scores, slots: int, rng: np.random.Generator) -> Placement:
    """Fill ``slots`` positions of each request from its candidates.

    Parameters
    ----------
    scores : [requests, candidates], finite.

    Examples
    --------
    >>> placed = place(np.zeros((1, 4)), 4, np.random.default_rng(0))
    >>> placed.propensity.round(3).tolist()
    [[0.25, 0.333, 0.5, 1.0]]
    """
    order = np.argsort(-(scores + gumbel(rng, scores.shape)), axis=1, kind="stable")
    return Placement(order[:, :slots], propensities(np.take_along_axis(scores, order, axis=1))[:, :slots])


def gumbel(rng: np.random.Generator, shape: tuple[int, ...]) -> SingleFloats:
    """Draw standard Gumbel noise: sorting log weights with it samples without replacement by weight."""
    tiny = np.finfo(np.float32).tiny
    return -np.log(np.maximum(rng.standard_exponential(shape, dtype=np.float32), tiny))


def propensities(placed_scores: Scores) -> Floats:
    """Return each position's propensity from the scores of all candidates in their drawn order.

    Parameters
    ----------
    placed_scores : [requests, candidates]; candidates without a position are at the end, in any order.
    """
    odds = np.exp(placed_scores.astype(np.float64))
    remaining = np.cumsum(odds[:, ::-1], axis=1)[:, ::-1]
    return odds / remaining
