"""What share of listed units are truly bad: ``python -m benchmarks.review_queue``.

Of 4,000 items with few predicted negative events, 1 % have four times the events that are predicted; the
others differ from their prediction by 25 %. Printed by rule are the items named and the share of them whose
true excess lies above 2: EB05, Benjamini-Hochberg at 5 % on one-sided Poisson tests of each item against its
prediction, and the 25 highest ratios of items with at least one predicted event.
"""

import argparse
from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.stats import false_discovery_control, poisson

from tasks.monitoring.units import EXCESS, review_units

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.intp]

ITEMS: Final = 4000
BAD: Final = 40
TIMES: Final = 4.0
SPREAD: Final = 0.25


def draw(rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    """Return observed and predicted events and the true excess of every item."""
    expected = 2 * np.exp(rng.standard_normal(ITEMS))
    excess = np.exp(SPREAD * rng.standard_normal(ITEMS) - SPREAD**2 / 2)
    excess[:BAD] *= TIMES
    return rng.poisson(excess * expected).astype(float), expected, excess


def by_eb05(observed: Floats, expected: Floats) -> Codes:
    """Name items by the product's rule."""
    return review_units(observed, expected).listed


def by_tests(observed: Floats, expected: Floats) -> Codes:
    """Name items by Benjamini-Hochberg."""
    return np.flatnonzero(false_discovery_control(poisson.sf(observed - 1, expected)) <= 0.05)


def by_ratio(observed: Floats, expected: Floats) -> Codes:
    """Name the items with the highest ratios."""
    return np.argsort(-np.where(expected >= 1, observed / expected, 0.0))[:25]


RULES: Final[Mapping[str, Callable[[Floats, Floats], Codes]]] = {
    "EB05 > 2": by_eb05,
    "Benjamini-Hochberg at 5 %": by_tests,
    "25 highest ratios": by_ratio,
}


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    runs = parser.parse_args().runs
    named, bad = np.zeros((len(RULES), runs)), np.zeros((len(RULES), runs))
    for seed in range(runs):
        observed, expected, excess = draw(np.random.default_rng(seed))
        for rule, name in enumerate(RULES.values()):
            items = name(observed, expected)
            named[rule, seed], bad[rule, seed] = items.size, (excess[items] > EXCESS).sum()
    print(f"| rule | runs | named of {ITEMS:,} items | of these truly above {EXCESS:.0f} |")
    print("| --- | --- | --- | --- |")
    for rule, label in enumerate(RULES):
        share = bad[rule].sum() / named[rule].sum()
        print(f"| {label} | {runs} | {named[rule].mean():.1f} | {share:.0%} |")


if __name__ == "__main__":
    main()
