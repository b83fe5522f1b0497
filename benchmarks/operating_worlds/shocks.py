"""Coverage of a change's interval where days and items move outcomes.

``python -m benchmarks.operating_worlds.shocks`` prints the table.

The simulated world has neither, so arrays are drawn: requests of returning users, items that come again, and
two policies that agree on a part of their slots::

    chance of an outcome = base x item effect x user effect x (day x policy effect)

A day acts on both policies alike (common) or on each by itself (of the policy); the second is what a sale, a
holiday or an outage does to one kind of item. Everything that is shown is known, so the estimate is that of
an order which the log shows whole, and only its interval is at stake.
"""

import argparse
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from tasks.evaluation.clustered import Ratio, RowClusters, clustered_interval, relative_change
from tasks.evaluation.verdicts import Estimate

Floats = npt.NDArray[np.float64]

SLOTS: Final = 10
SHARED: Final = 0.6
"""Share of slots that both policies fill alike: what an equal retrain and its champion have in common."""


@dataclass(frozen=True)
class Shocks:
    """Spread of the log effects, and the size of a log.

    Attributes
    ----------
    day, policy_day, item, user : standard deviations of the log effect of a day on all, of a day on one
        policy, of an item and of a user.
    base : chance of an outcome.
    requests, days, items : of the log; a user makes three requests on average.
    popularity : exponent by which an item of rank r is shown 1 / r^popularity as often as the first.
    """

    name: str
    day: float = 0.0
    policy_day: float = 0.0
    item: float = 0.0
    user: float = 0.0
    base: float = 0.05
    requests: int = 2800
    days: int = 7
    items: int = 1000
    popularity: float = 0.0


CASES: Final = (
    Shocks("none"),
    Shocks("users", user=0.5),
    Shocks("days, common 10 %", day=0.1),
    Shocks("days, of the policy 10 %", policy_day=0.1),
    Shocks("days, of the policy 10 %, 14 days", policy_day=0.1, requests=5600, days=14),
    Shocks("items 50 %, 1,000 of them", item=0.5),
    Shocks("items 50 %, 200 of them", item=0.5, items=200),
    Shocks("items 50 %, 1,000 of them, a few shown most", item=0.5, popularity=1.0),
    Shocks("all", day=0.1, policy_day=0.05, item=0.3, user=0.3),
    Shocks("all, a rate of .005", day=0.1, policy_day=0.05, item=0.3, user=0.3, base=0.005),
)


def draw(shocks: Shocks, rng: np.random.Generator) -> Estimate:
    """Draw a log and return the interval of the change between two policies that are truly equal.

    Examples
    --------
    >>> draw(Shocks("none"), np.random.default_rng(0)).known
    True
    """
    request = np.repeat(np.arange(shocks.requests), SLOTS)
    user = rng.integers(shocks.requests // 3, size=shocks.requests)[request]
    day = rng.integers(shocks.days, size=shocks.requests)[request]
    shared = rng.random(len(request)) < SHARED
    shares = 1.0 / np.arange(1, shocks.items + 1) ** shocks.popularity
    ours, others = rng.choice(shocks.items, size=(2, len(request)), p=shares / shares.sum())
    theirs = np.where(shared, ours, others)
    of_user, of_day = _effects(rng, shocks.user, user.max() + 1), _effects(rng, shocks.day, shocks.days)
    of_item = _effects(rng, shocks.item, shocks.items)
    whole = shocks.base * of_user[user] * of_day[day]
    outcome_ours, outcome_theirs = (
        _outcomes(rng, whole * of_item[item] * _effects(rng, shocks.policy_day, shocks.days)[day])
        for item in (ours, theirs)
    )
    return _interval(shared, ours, theirs, (outcome_ours, outcome_theirs), (user, day))


def _interval(
    shared: npt.NDArray[np.bool_],
    ours: npt.NDArray[np.int64],
    theirs: npt.NDArray[np.int64],
    outcomes: tuple[Floats, Floats],
    codes: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]],
) -> Estimate:
    """Return the paired interval; a row for each item that stands in a slot of either policy."""
    user, day = codes
    own = ~shared
    ones, none = np.ones(len(shared)), np.zeros(int(own.sum()))
    first, second = outcomes
    by = RowClusters(
        *(np.concatenate(pair) for pair in ((user, user[own]), (ours, theirs[own]), (day, day[own])))
    )
    policy = Ratio(np.r_[first, none], np.r_[ones, none], events=int(first.sum()))
    baseline_outcome = np.where(shared, first, 0.0)
    baseline = Ratio(
        np.r_[baseline_outcome, second[own]],
        np.r_[np.where(shared, 1.0, 0.0), np.ones(int(own.sum()))],
        events=int(baseline_outcome.sum() + second[own].sum()),
    )
    return clustered_interval(relative_change(policy.statistic, baseline.statistic), by)


def _effects(rng: np.random.Generator, spread: float, count: int) -> Floats:
    """Draw effects of mean 1, log-normal."""
    return np.exp(spread * rng.standard_normal(count) - spread**2 / 2)


def _outcomes(rng: np.random.Generator, chances: Floats) -> Floats:
    return (rng.random(len(chances)) < np.minimum(chances, 1.0)).astype(np.float64)


def coverage(shocks: Shocks, *, logs: int) -> tuple[float, float]:
    """Return the share of intervals that hold no change, which is the truth, and their mean half-width."""
    drawn = [draw(shocks, np.random.default_rng(seed)) for seed in range(logs)]
    known = [one for one in drawn if one.known]
    held = np.mean([one.low <= 0.0 <= one.high for one in known])
    return float(held), float(np.mean([(one.high - one.low) / 2 for one in known]))


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--logs", type=int, default=400)
    logs = parser.parse_args().logs
    print("| effects | intervals | hold the truth | half-width |")
    print("| --- | --- | --- | --- |")
    for shocks in CASES:
        held, half = coverage(shocks, logs=logs)
        print(f"| {shocks.name} | {logs} | {held:.3f} | {half:.1%} |")


if __name__ == "__main__":
    main()
