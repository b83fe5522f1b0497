"""Purchases that take a week, learned from days of which some are younger than that."""

from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import pandas as pd

from benchmarks.learning.days import Days
from benchmarks.learning.feed import Bools, Distance, Feed, Floats, calibrated, learned, predicted
from tasks.ranking.heads import Head
from tasks.training.debiasing import position_weights, truncate_outcomes

WINDOW = timedelta(days=7).total_seconds()


NEWCOMER = "toys"
"""A category that is taken out of the days whose windows had closed: it is new in the open ones."""


@dataclass(frozen=True)
class Delayed:
    """Distances from the truth of calibrated predictions: of all test rows, and of the newcomer's."""

    all: Distance
    newcomer: Distance


def delays(feed: Feed) -> dict[str, Delayed]:
    """Learn purchases from the train days as they were known when these ended, in four ways."""
    days, true = feed.train, feed.train.happened["purchase"]
    labels, arrived, kept, elapsed = as_known(days)
    closed = elapsed >= WINDOW
    there = ~(_newcomer(days) & closed)

    def corrected(days: Days, rows: Bools, labels: Floats, scores: Floats | None) -> Floats:
        return position_weights(labels, arrived[rows], scores)

    heads = {
        "waiting for the window": learned(days, true, there & closed, leaves=8),
        "ignoring what is to come": learned(days, labels, there, leaves=8),
        "delayed: true": learned(days, labels, there & kept, weigh=corrected, leaves=8),
        "all that came, known later": learned(days, true, there, leaves=8),
    }
    return {name: _measured(feed, head) for name, head in heads.items()}


def _measured(feed: Feed, head: Head) -> Delayed:
    later, test = feed.calibrate, feed.test
    mapped = calibrated(head, later, later.happened["purchase"], ~_newcomer(later))
    said, new = predicted(mapped, test), _newcomer(test)
    true = test.where_shown["purchase_7d"]
    return Delayed(Distance.of(said, true), Distance.of(said[new], true[new]))


def _newcomer(days: Days) -> Bools:
    return (days.frame["category"] == NEWCOMER).to_numpy()


def as_known(days: Days) -> tuple[Floats, Floats, Bools, Floats]:
    """Return what was known of purchases at the last day's end, and the seconds since each row was shown."""
    shown = pd.to_datetime(days.frame["shown_at"])
    end = shown.max().normalize() + pd.Timedelta(days=1)
    elapsed = np.asarray((end - shown).dt.total_seconds(), dtype=np.float64)
    truncated = truncate_outcomes(days.happened["purchase"], days.seconds["purchase"], elapsed, window=WINDOW)
    return *truncated, elapsed
