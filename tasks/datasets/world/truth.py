"""True branch probabilities, and the probability of each task that follows from them.

An impression that is visible and examined has these branches; any other one has no outcomes::

    seen (visible x examination) --> click --> dwell
                                       |-----> cart --> purchase --> return
                                       |-----------------^
                                       |-----> hide (more often after a click)
                                 --> hide     --> report     --> survey answered --> happy

``purchase`` is also reached from the click without a cart. Given that an impression is seen, branches that do
not follow from one another are independent, so every task's probability is a short product.
"""

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
from scipy.special import expit, ndtr

from tasks.arrays import Floats, Integers
from tasks.datasets.world.entities import (
    DWELL_CLIP_SECONDS,
    EXAMINATION,
    LINGER_SECONDS,
    TENURES,
    VISIBLE_RATE,
    Batch,
    World,
)

DWELL_LOG_SD = 0.9
"""Standard deviation of log seconds around an impression's mean."""

_CLICK_BY_CATEGORY = np.array([0.0, 0.2, 0.3, -0.2, -0.3, 0.0, 0.1, 0.2])
_CLICK_BY_SOURCE = np.array([0.1, 0.0, 0.25, 0.0, -0.2, -0.1])
_CART_BY_CATEGORY = np.array([0.1, -0.2, 0.0, 0.0, 0.5, 0.0, -0.1, 0.0])
_RETURN_BY_CATEGORY = np.array([-0.5, 0.3, 0.9, -0.2, -1.2, 0.0, 0.2, -0.3])
_CLICK_BY_DEVICE = np.array([0.1, 0.0, -0.1])
_CART_BY_DEVICE = np.array([0.2, 0.0, 0.1])
_RETURN_BY_REGION = np.array([0.1, 0.0, 0.0, -0.1, 0.2])
_BUY_BY_TENURE = np.array([-0.3, 0.0, 0.25])
_HIDE_BY_TENURE = np.array([0.4, 0.0, -0.15])
_CLICK_BY_WISH = np.array([0.0, 0.5, -0.6, -1.0])  # none, more, less, muted
_HIDE_BY_WISH = np.array([0.0, -0.5, 1.2, 2.5])
_HAPPY_BY_WISH = np.array([0.0, 0.4, -0.5, -1.0])


@dataclass(frozen=True)
class Chances:
    """Probabilities of each branch given that the impression is seen, and the mean log dwell seconds.

    ``answers_happy`` and ``answers_unhappy`` are the probabilities of answering a survey: the unhappy
    answer more readily.
    """

    click: Floats
    log_dwell: Floats
    cart: Floats
    buy_from_cart: Floats
    buy_from_click: Floats
    give_back: Floats
    hide_after_click: Floats
    hide_without_click: Floats
    report: Floats
    happy: Floats
    answers_happy: Floats
    answers_unhappy: Floats

    def at(self, rows: Integers) -> "Chances":
        """Return the probabilities of some rows."""
        return Chances(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})


def chances(world: World, batch: Batch) -> Chances:
    """Return the true branch probabilities of every candidate of a batch, flat: [requests * CANDIDATES]."""
    items, users, item = world.catalog, world.users, batch.item
    user = batch.requests.user[:, None]
    category, tenure = items.category[item], users.tenure[user]
    affinity = batch.affinity.true
    appeal, bait, quality = (t.true[item] for t in (items.appeal, items.bait, items.quality))
    dear = 0.25 * items.price_level[item] * (1 + 0.5 * users.thrift.true[user])
    checkout = batch.requests.checkout[:, None]
    device = batch.requests.device[:, None]
    sponsored = items.sponsored[item]

    click = (
        -2.45 + 0.45 * affinity + 0.5 * appeal + 0.35 * bait + 0.15 * quality - 0.5 * dear + 0.1 * batch.whim
        + 0.3 * np.exp(-np.maximum(batch.seen.age[item], 0) / 10) - 0.3 * checkout
        + _CLICK_BY_CATEGORY[category] + _CLICK_BY_SOURCE[batch.source] + _CLICK_BY_DEVICE[device]
        + _CLICK_BY_WISH[batch.wish]
    )  # fmt: skip
    cart = (
        -0.7 + 0.35 * affinity + 0.4 * quality - 0.3 * bait - dear + 0.4 * users.buyer.true[user]
        + 0.4 * checkout + _CART_BY_CATEGORY[category] + _CART_BY_DEVICE[device]
    )  # fmt: skip
    buy = -0.4 + 0.3 * users.buyer.true[user] - 0.5 * dear + 0.3 * checkout + _BUY_BY_TENURE[tenure]
    give_back = (
        -1.55 + 0.6 * items.misfit.true[item] - 0.3 * quality + 0.25 * bait
        + _RETURN_BY_CATEGORY[category] + _RETURN_BY_REGION[users.region[user]]
    )  # fmt: skip
    hide = (
        -4.72 + 0.75 * bait - 0.3 * affinity + 0.5 * users.touchy.true[user] + 0.35 * sponsored
        + (_HIDE_BY_TENURE[tenure] + 0.15 * bait * (tenure == TENURES.index("new")))
        + _HIDE_BY_WISH[batch.wish]
    )  # fmt: skip
    report = -8.95 + 0.9 * bait + 0.4 * users.touchy.true[user] + 2.0 * items.violation[item]
    happy = 0.15 + 0.6 * quality - 0.55 * bait + 0.3 * affinity + _HAPPY_BY_WISH[batch.wish]
    answer = -3.7 + 0.3 * (tenure == TENURES.index("loyal"))
    logits = (click, cart, buy, buy - 2.2, give_back, hide + 0.7, hide, report, happy, answer, answer + 0.5)
    names = (
        "click", "cart", "buy_from_cart", "buy_from_click", "give_back", "hide_after_click",
        "hide_without_click", "report", "happy", "answers_happy", "answers_unhappy",
    )  # fmt: skip
    log_dwell = np.log(50) + 0.45 * quality - 0.55 * bait + 0.15 * affinity - 0.2 * (device == 1)
    flat = {n: _flat(expit(z.astype(np.float64)), item.shape) for n, z in zip(names, logits, strict=True)}
    return Chances(log_dwell=_flat(log_dwell.astype(np.float64), item.shape), **flat)


def _flat(values: Floats, shape: tuple[int, ...]) -> Floats:
    return np.ascontiguousarray(np.broadcast_to(values, shape)).ravel()


def probabilities(chance: Chances, position: npt.NDArray[np.integer] | None = None) -> dict[str, Floats]:
    """Return each task's true joint probability (a value task's true mean), shape [n] each.

    Parameters
    ----------
    position : [n], from 1; default: the reference position 1.

    Notes
    -----
    ``click_30m`` is observed on visible rows and ``survey_happy_14d`` on answered ones, so these two are
    conditional on that, as in their contracts; the second does not depend on the position. A return is joint
    with its purchase. All others are for the impression as it was shown, rendered or not.
    """
    looked = np.float64(1) if position is None else np.asarray(EXAMINATION)[position - 1]
    seen = VISIBLE_RATE * looked
    lingers = chance.click * linger(chance.log_dwell)
    buys = chance.click * (chance.cart * chance.buy_from_cart + (1 - chance.cart) * chance.buy_from_click)
    hides = chance.click * chance.hide_after_click + (1 - chance.click) * chance.hide_without_click
    content = lingers * (1 - chance.hide_after_click) * (1 - chance.report)
    answered_happy = chance.happy * chance.answers_happy
    answered = answered_happy + (1 - chance.happy) * chance.answers_unhappy
    return {
        "click_30m": looked * chance.click,
        "dwell_60s_1d": seen * lingers,
        "add_to_cart_1d": seen * chance.click * chance.cart,
        "purchase_7d": seen * buys,
        "return_30d": seen * buys * chance.give_back,
        "hide_7d": seen * hides,
        "report_7d": seen * chance.report,
        "survey_happy_14d": answered_happy / answered,
        "satisfied_7d": seen * content,
        "dwell_seconds_1d": seen * chance.click * mean_dwell(chance.log_dwell),
    }


def linger(log_dwell: Floats) -> Floats:
    """Return the probability that a dwell lasts at least 60 seconds."""
    return np.asarray(ndtr((log_dwell - np.log(LINGER_SECONDS)) / DWELL_LOG_SD))


def mean_dwell(log_dwell: Floats) -> Floats:
    """Return the mean of a log-normal dwell in seconds, clipped as the value task clips it.

    E min(X, c) = exp(m + s^2 / 2) Phi((log c - m - s^2) / s) + c (1 - Phi((log c - m) / s)).
    """
    s = DWELL_LOG_SD
    gap = np.log(DWELL_CLIP_SECONDS) - log_dwell
    return np.asarray(np.exp(log_dwell + s * s / 2) * ndtr(gap / s - s) + DWELL_CLIP_SECONDS * ndtr(-gap / s))
