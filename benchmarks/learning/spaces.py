"""A return learned where there was a purchase, and learned as the joint event on all impressions."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmarks.learning.days import Days
from benchmarks.learning.feed import Bools, Distance, Feed, Floats, calibrated, learned, predicted
from tasks.evaluation.binary import calibration_ratio, normalized_entropy


@dataclass(frozen=True)
class Space:
    """Figures of a joint probability: against outcomes, and against the truth."""

    calibration_ratio: float
    normalized_entropy: float
    distance: Distance


def spaces(feed: Feed) -> dict[str, Space]:
    """Learn returns in both spaces and measure the joint probability on the test days."""
    purchase = _predicted(feed, "purchase", _all)
    given = _predicted(feed, "return", _bought)
    return {
        "conditional": _measured(feed.test, purchase * given),
        "entire": _measured(feed.test, _predicted(feed, "return", _all)),
    }


def _all(days: Days) -> Bools:
    return np.ones(len(days.frame), dtype=bool)


def _bought(days: Days) -> Bools:
    return days.happened["purchase"] > 0


def _predicted(feed: Feed, event: str, rows: Callable[[Days], Bools]) -> Floats:
    head = learned(feed.train, feed.train.happened[event], rows(feed.train), leaves=8)
    head = calibrated(head, feed.calibrate, feed.calibrate.happened[event], rows(feed.calibrate))
    return predicted(head, feed.test)


def _measured(days: Days, joint: Floats) -> Space:
    outcomes = days.happened["return"]
    return Space(
        float(calibration_ratio(outcomes, joint)),
        float(normalized_entropy(outcomes, joint)),
        Distance.of(joint, days.where_shown["return_30d"]),
    )
