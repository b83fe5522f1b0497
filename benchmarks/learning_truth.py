"""What each correction of learning brings, against a known truth: ``python -m benchmarks.learning_truth``.

The simulated feed is drawn in memory (``benchmarks/learning/days.py``). Heads are learned from its first
days, calibrated on the next and held against the true probabilities of the last: printed are the sum of
predictions over that of truths (1 is right) and the root mean square of the difference of their logits (0 is
right).
Weights, sampling and dense starts have smaller worlds of their own (``benchmarks/learning/weighed.py``).
``--repurchase`` learns ``repurchase_28d`` of the Complete Journey in both spaces too, and holds it against
what happened.
"""

import argparse
from collections.abc import Mapping

from benchmarks.learning import weighed
from benchmarks.learning.delayed import delays
from benchmarks.learning.feed import Distance, Feed, feed
from benchmarks.learning.position import distances, harvested, heads
from benchmarks.learning.repurchase import repurchases
from benchmarks.learning.spaces import spaces
from benchmarks.learning.survey import surveys
from tasks.datasets.world.entities import EXAMINATION
from tasks.ranking.examination import Examination


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=4000, help="a day, of 12 impressions each")
    parser.add_argument(
        "--days", type=int, default=10, help="to train on; two more each to calibrate and test"
    )
    parser.add_argument("--repurchase", action="store_true", help="also learn repurchase_28d, in minutes")
    asked = parser.parse_args()
    made = feed(requests=asked.requests, train=asked.days)
    print(f"learning: {len(made.train.frame):,} impressions to train on, {len(made.test.frame):,} to test on")
    _positions(made)
    _of("surveys: P(happy), against the truth of answers | of all", surveys(made), "of_answers", "of_all")
    _spaces(made)
    _of("delayed: purchases, calibrated, all | a category that is new", delays(made), "all", "newcomer")
    weighed.main()
    if asked.repurchase:
        _repurchases()


def _positions(made: Feed) -> None:
    found = harvested(made.train)
    print(f"examination, from {found.pairs:,} pairs with {found.positives:,} clicks: true, estimated, 95 %")
    for place, (true, point) in enumerate(zip(EXAMINATION, found.curve, strict=False), start=1):
        print(f"  {place:2d} {true:6.2f} {point.value:7.3f}  {point.low:.3f} to {point.high:.3f}")
    for name, by_position in (("declared", EXAMINATION), ("estimated", found.by_position)):
        told = distances(made, heads(made, Examination(by_position)))
        print(f"position, curve {name}: clicks, at the reference | where shown")
        for correction, (reference, shown) in told.items():
            print(f"  {correction:38s} {_shown(reference)} | {_shown(shown)}")


def _of(title: str, told: Mapping[str, object], one: str, other: str) -> None:
    print(title)
    for name, found in told.items():
        print(f"  {name:38s} {_shown(getattr(found, one))} | {_shown(getattr(found, other))}")


def _shown(distance: Distance) -> str:
    return f"ratio {distance.ratio:.3f} error {distance.error:.3f}"


def _spaces(made: Feed) -> None:
    print("spaces: returns, joint, against outcomes | against the truth")
    for name, found in spaces(made).items():
        outcomes = f"ratio {found.calibration_ratio:.3f} entropy {found.normalized_entropy:.4f}"
        print(f"  {name:38s} {outcomes} | {_shown(found.distance)}")


def _repurchases() -> None:
    print("spaces: repurchase_28d, joint, on its test days")
    for name, found in repurchases().items():
        told = found.headline
        ratio = f"ratio {told['calibration_ratio']:.3f}"
        between = f"{told['calibration_ratio_low']:.3f} to {told['calibration_ratio_high']:.3f}"
        print(
            f"  {name:14s} {ratio} ({between}) entropy {told['normalized_entropy']:.4f} auc {told['auc']:.4f}"
        )


if __name__ == "__main__":
    main()
