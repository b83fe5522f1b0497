"""Behaviour of people on shown items: events, and when they happen and become known.

::

    shown_at  click < 30 min   cart < 24 h   purchase < 7 d   return 1 h to 30 d after it
              hide, report < 7 d             survey < 14 d

Every delay ends inside its task's window, so a label contains every possible event. With individual delays
(``World.delays``) each person has their own mean delay: some decide within the hour, others later.
"""

import numpy as np

from tasks.arrays import Flags, Floats, Integers
from tasks.datasets.world.catalog import DAY_US, absent, ineligible, out_of_stock
from tasks.datasets.world.entities import EXAMINATION, VISIBLE_RATE, Happened, Outcomes, Shown, World
from tasks.datasets.world.truth import DWELL_LOG_SD, Chances

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
