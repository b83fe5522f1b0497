"""How often off-policy intervals hold the truth: ``python -m benchmarks.off_policy``.

Two simulated feeds whose true values are known, with users who come back and like more or less than others:

- *slots*: one item a request; another item can only change its own reward;
- *slates*: three slots, each with candidates of its own; a reward depends on its item and, by the user's
  kind, on nothing else, on the items above or on the whole slate. IIPS is judged on users of the first kind,
  RIPS and cascade-DR on those of the first two, SIPS and adaptive IPS on all.

Each run draws a log, estimates a target policy from it, and asks whether the 95 % interval holds the
target's true value. Wanted: 93 to 97 % of 400 runs. Beside it stand the Bernstein interval's share, the mean
width of both, and the bias in standard deviations of the estimate.
"""

import argparse
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np
import pandas as pd
from scipy.special import expit, softmax

from tasks.arrays import Floats, Indices
from tasks.ope.estimate import OffPolicyEstimate, estimate_off_policy
from tasks.ope.slates import BEHAVIORS

RUNS: Final = 400
USERS: Final = 1_500
REQUESTS_EACH: Final = 2
WANTED: Final = (0.93, 0.97)
ITEMS: Final = 6
SPREAD: Final = 0.5
"""Standard deviation of users in what they like, in logits."""
_NODES: Final = 15


@dataclass(frozen=True)
class Feed:
    """A feed: both policies' probabilities [slots, items], and what each kind of user makes of slates.

    ``chances`` [kinds, slates, slots]: reward probability of each slot of every possible slate; ``slates``
    [slates, slots]: their items.
    """

    logging: Floats
    target: Floats
    slates: Indices
    chances: Floats

    @classmethod
    def draw(cls, rng: np.random.Generator, *, slots: int, kinds: Iterable[int]) -> "Feed":
        """Draw policies and likings."""
        logging = softmax(rng.normal(0, 0.7, (slots, ITEMS)), axis=1)
        target = softmax(np.log(logging) + rng.normal(0, 1.0, (slots, ITEMS)), axis=1)
        slates = np.array(list(product(range(ITEMS), repeat=slots)))
        own, pulled = rng.normal(-1, 0.7, (slots, ITEMS)), rng.normal(0, 0.5, (ITEMS, ITEMS))
        alone = own[np.arange(slots), slates]
        pairs = pulled[slates[:, :, None], slates[:, None, :]]
        among = np.array([np.zeros((slots, slots)), np.tri(slots, k=-1), 1 - np.eye(slots)])
        logits = np.array([alone + (pairs * among[kind]).sum(axis=2) for kind in kinds])
        return cls(logging, target, slates, logits)

    def true_value(self) -> float:
        """Return the target's mean reward of a slate over all users."""
        nodes, weights = np.polynomial.hermite_e.hermegauss(_NODES)
        return float(self._earned(SPREAD * nodes) @ weights / weights.sum())

    def _earned(self, likings: Floats) -> Floats:
        """Return what users of each liking earn on average, over all kinds in equal parts."""
        places = np.arange(self.slates.shape[1])
        chance = self.target[places, self.slates].prod(axis=1)
        rewards = [expit(self.chances + liking).sum(axis=2).mean(axis=0) @ chance for liking in likings]
        return np.array(rewards)

    def log(self, rng: np.random.Generator, users: int) -> pd.DataFrame:
        """Draw a log of users who come back."""
        n, slots = users * REQUESTS_EACH, self.slates.shape[1]
        user = np.repeat(np.arange(users), REQUESTS_EACH)
        liking = rng.normal(0, SPREAD, users)[user]
        kind = rng.integers(len(self.chances), size=users)[user]
        items = np.column_stack([rng.choice(ITEMS, size=n, p=of_slot) for of_slot in self.logging])
        slate = items @ ITEMS ** np.arange(slots)[::-1]
        rewards = rng.binomial(1, expit(self.chances[kind, slate] + liking[:, None]))
        return pd.DataFrame(
            {
                "request_id": np.repeat(np.arange(n), slots),
                "user_id": np.repeat(user, slots),
                "item_id": (items + ITEMS * np.arange(slots)).ravel(),
                "position": np.tile(np.arange(1, slots + 1), n),
                "propensity": self.logging[np.arange(slots), items].ravel(),
                "reward": rewards.ravel(),
                "behavior": np.repeat(np.array(BEHAVIORS)[kind], slots),
            }
        )

    def target_rows(self) -> pd.DataFrame:
        """Return the target as a table."""
        slots = len(self.target)
        return pd.DataFrame(
            {
                "item_id": np.arange(ITEMS * slots),
                "position": np.repeat(np.arange(1, slots + 1), ITEMS),
                "probability": self.target.ravel(),
            }
        )


def main() -> None:
    """Print how often each estimator's interval holds the truth."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--users", type=int, default=USERS)
    options = parser.parse_args()
    slot = ("ips", "snips", "dm", "dr", "switch_dr", "dros")
    _measure("slots", Feed.draw(np.random.default_rng(1), slots=1, kinds=[0]), slot, options)
    for kinds, names in (
        ((0,), ("iips",)),
        ((0, 1), ("rips", "cascade_dr")),
        ((0, 1, 2), ("sips", "adaptive_ips")),
    ):
        feed = Feed.draw(np.random.default_rng(2), slots=3, kinds=kinds)
        _measure(f"slates, {' and '.join(BEHAVIORS[kind] for kind in kinds)} users", feed, names, options)


def _measure(name: str, feed: Feed, estimators: tuple[str, ...], options: argparse.Namespace) -> None:
    truth, rng = feed.true_value(), np.random.default_rng(7)
    target, estimates_by_run = feed.target_rows(), []
    for _ in range(options.runs):
        report = estimate_off_policy(feed.log(rng, options.users), target, reward="reward")
        estimates_by_run.append(report.estimates)
    print(f"{name}: {options.runs} runs of {options.users} users, true value {truth:.4f}")
    for estimator in estimators:
        _print([estimates[estimator] for estimates in estimates_by_run], estimator, truth)


def _print(estimates_by_run: list[OffPolicyEstimate], name: str, truth: float) -> None:
    value, low, high, low_b, high_b, ess = np.array(
        [(e.value, e.low, e.high, e.bernstein_low, e.bernstein_high, e.ess) for e in estimates_by_run]
    ).T
    bias = f"bias {(value.mean() - truth) / value.std(ddof=1):+.2f} sd"
    if np.isnan(low).all():
        print(f"  {name:13}no interval, {bias}, mean |error| {np.abs(value - truth).mean():.4f}")
        return
    known = np.isfinite(low)
    held = float(((low <= truth) & (truth <= high))[known].mean())
    wanted = "as wanted" if WANTED[0] <= held <= WANTED[1] else "NOT as wanted"
    print(
        f"  {name:13}holds the truth in {held:.1%} ({wanted}), width {np.nanmean(high - low):.4f}, {bias}, "
        f"ess {ess.mean():,.0f}" + _bernstein(low_b, high_b, truth)
    )


def _bernstein(low: Floats, high: Floats, truth: float) -> str:
    if np.isnan(low).all():
        return ""
    held = float(((low <= truth) & (truth <= high)).mean())
    return f"; Bernstein {held:.1%}, width {np.nanmean(high - low):.4f}"


if __name__ == "__main__":
    main()
