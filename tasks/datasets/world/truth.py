"""True branch probabilities, the probability of each task that follows from them, and drawn events.

An impression that is visible and examined has these branches; any other one has no outcomes::

    seen (visible x examination) --> click --> dwell
                                       |-----> cart --> purchase --> return
                                       |-----------------^
                                       |-----> hide (more often after a click)
                                 --> hide     --> report     --> survey answered --> happy

``purchase`` is also reached from the click without a cart. Given that an impression is seen, branches that do
not follow from one another are independent, so every task's probability is a short product.

Events on shown items happen, and become known, within these times.

::

    shown_at  click < 30 min   cart < 24 h   purchase < 7 d   return 1 h to 30 d after it
              hide, report < 7 d             survey < 14 d

Every delay ends inside its task's window, so a label contains every possible event. With individual delays
(``World.delays``) each person has their own mean delay: some decide within the hour, others later.
"""

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
from scipy.special import expit, ndtr

from tasks.arrays import Flags, Floats, Integers
from tasks.datasets.world.catalog import DAY_US, absent, ineligible, out_of_stock
from tasks.datasets.world.entities import (
    DWELL_CLIP_SECONDS,
    EXAMINATION,
    LINGER_SECONDS,
    TENURES,
    VISIBLE_RATE,
    Batch,
    Happened,
    Outcomes,
    Shown,
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


_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_ORDERS = frozenset({"purchase", "return"})
"""Orders: they come later, and carry no request id."""
PURCHASE_DAYS = 7
"""Maximum days between an impression and its purchase."""


def behave(world: World, shown: Shown, chance: Chances, rng: np.random.Generator) -> Outcomes:
    """Draw the outcomes of shown impressions.

    Parameters
    ----------
    chance : probabilities of the same rows, in the same order.
    """
    n = len(shown.user)
    visible = rng.random(n) < VISIBLE_RATE
    seen = visible & (rng.random(n) < np.asarray(EXAMINATION)[shown.position - 1])
    clicked = seen & (rng.random(n) < chance.click)
    click_at = shown.at + delay(rng, n, mean=90, most=30 * _MINUTE)
    seconds = np.exp(chance.log_dwell + DWELL_LOG_SD * rng.standard_normal(n))
    events = (
        happened(rng, "click", clicked, click_at),
        happened(rng, "dwell", clicked, click_at + _us(np.minimum(seconds, 4 * _HOUR)), seconds),
        *_orders(world, shown, chance, clicked, click_at, rng),
        *_complaints(shown, chance, seen, clicked, click_at, rng),
        _survey(shown, chance, seen, rng),
    )
    return Outcomes(visible, events)


def _orders(
    world: World, shown: Shown, chance: Chances, clicked: Flags, click_at: Integers, rng: np.random.Generator
) -> tuple[Happened, ...]:
    """Draw carts, purchases and returns; absent items and absent people have no carts and purchases."""
    n = len(clicked)
    carted = clicked & (rng.random(n) < chance.cart)
    cart_at = click_at + delay(rng, n, mean=2 * _HOUR * shown.slow, most=23 * _HOUR)
    readiness = np.where(carted, chance.buy_from_cart, chance.buy_from_click)
    bought = clicked & (rng.random(n) < readiness)
    bought_at = np.where(carted, cart_at, click_at) + delay(
        rng, n, mean=36 * _HOUR * shown.slow, most=6 * _DAY
    )
    carted &= ~_prevented(world, shown, cart_at, carted)
    bought &= ~_prevented(world, shown, bought_at, bought)
    returned = bought & (rng.random(n) < chance.give_back)
    late = delay(rng, n, mean=7 * _DAY * shown.slow, most=30 * _DAY - 2 * _HOUR)
    returned_at = bought_at + _us(_HOUR) + late
    return (
        happened(rng, "add_to_cart", carted, cart_at),
        happened(rng, "purchase", bought, bought_at, shown.price),
        happened(rng, "return", returned, returned_at, shown.price),
    )


def _prevented(world: World, shown: Shown, at: Integers, candidates: Flags) -> Flags:
    """Return which orders fall into an absence of their item or their person."""
    rows = np.flatnonzero(candidates)
    day, time_of_day = np.divmod(at[rows], DAY_US)
    days = range(int(shown.at.min() // DAY_US), int(shown.at.max() // DAY_US) + PURCHASE_DAYS + 1)
    stock = {d: out_of_stock(world.catalog, world.seed, d) for d in days}
    people = {d: ineligible(world.seed, d, world.users.count) for d in days}
    prevented = np.zeros(len(candidates), dtype=bool)
    prevented[rows] = absent(shown.item[rows], day, time_of_day, stock)
    prevented[rows] |= absent(shown.user[rows], day, time_of_day, people)
    return prevented


def _complaints(
    shown: Shown, chance: Chances, seen: Flags, clicked: Flags, click_at: Integers, rng: np.random.Generator
) -> tuple[Happened, ...]:
    n = len(seen)
    hidden = seen & (rng.random(n) < np.where(clicked, chance.hide_after_click, chance.hide_without_click))
    start = np.where(clicked, click_at, shown.at)
    hidden_at = start + delay(rng, n, mean=8 * _HOUR * shown.slow, most=7 * _DAY - _HOUR)
    reported = seen & (rng.random(n) < chance.report)
    reported_at = shown.at + delay(rng, n, mean=_DAY * shown.slow, most=7 * _DAY - _HOUR)
    return (
        happened(rng, "hide", hidden, hidden_at),
        happened(rng, "report", reported, reported_at),
    )


def _survey(shown: Shown, chance: Chances, seen: Flags, rng: np.random.Generator) -> Happened:
    """Draw answers: 4 or 5 from happy people, 1 to 3 from unhappy ones, who answer more readily."""
    n = len(seen)
    happy = rng.random(n) < chance.happy
    answered = seen & (rng.random(n) < np.where(happy, chance.answers_happy, chance.answers_unhappy))
    stars = np.where(happy, rng.integers(4, 6, n), rng.integers(1, 4, n)).astype(np.float64)
    at = shown.at + delay(rng, n, mean=2 * _DAY * shown.slow, most=14 * _DAY - _HOUR)
    return happened(rng, "survey", answered, at, stars)


def happened(
    rng: np.random.Generator, event: str, which: Flags, at: Integers, value: Floats | None = None
) -> Happened:
    """Return the rows with the event, known on average 2 or 20 minutes later, at most ten times as late."""
    row, order = np.flatnonzero(which), event in _ORDERS
    when, lag = at[row], 20 * _MINUTE if order else 2 * _MINUTE
    known_at = when + delay(rng, len(row), mean=lag, most=10 * lag)
    values = np.full(len(row), np.nan) if value is None else value[row]
    return Happened(event, row, when, known_at, values, tagged=not order)


def delay(rng: np.random.Generator, n: int, *, mean: float | Floats, most: float) -> Integers:
    """Draw exponential delays cut at ``most``, in microseconds; both parameters in seconds."""
    share = rng.random(n) * -np.expm1(-most / mean)
    return _us(np.minimum(-mean * np.log1p(-share), most - 1))


def _us(seconds: float | Floats) -> Integers:
    return np.asarray(np.asarray(seconds) * 1e6).astype(np.int64)
