"""Position: what each correction says of the reference position, against the truth there."""

from dataclasses import replace

import numpy as np
import pandas as pd

from benchmarks.learning.days import Days
from benchmarks.learning.feed import (
    Bools,
    Distance,
    Feed,
    Floats,
    Weigh,
    calibrated,
    learned,
    unweighted,
)
from tasks.columns import POSITION, PROPENSITY
from tasks.evaluation.resampling import cluster_rows
from tasks.ranking.examination import Examination
from tasks.ranking.heads import Head, Heads
from tasks.training.debiasing import position_weights
from tasks.training.examination import EstimatedExamination, estimate_examination

HELD = {POSITION: 1.0}


def harvested(days: Days) -> EstimatedExamination:
    """Estimate the examination curve from the clicks of some days."""
    frame = days.frame
    return estimate_examination(
        np.where(days.visible, days.happened["click"], np.nan),
        days.positions,
        frame[PROPENSITY].to_numpy(dtype=float),
        requests=pd.factorize(frame["request_id"])[0],
        users=cluster_rows(frame["user_id"]).codes,
    )


def heads(feed: Feed, curve: Examination) -> dict[str, Head]:
    """Learn clicks with each correction, and with two whose calibrator is fitted at the reference."""
    by_place = _by_place(curve)
    none = _learned(feed)
    feature = replace(_learned(feed, more=(POSITION,)), held=HELD)
    weight = replace(_learned(feed, weigh=by_place), examination=curve)
    return {
        "none": _calibrated(feed, none),
        "feature": _calibrated(feed, feature),
        "weight": _calibrated(feed, weight, weigh=by_place),
        "feature, calibrated at the reference": _calibrated(feed, feature, held=True),
        "weight, calibrated without weights": _calibrated(feed, weight),
    }


def distances(feed: Feed, found: dict[str, Head]) -> dict[str, tuple[Distance, Distance]]:
    """Measure every head at the reference and where the items of the test days stood."""
    true = (feed.test.at_reference["click_30m"], feed.test.where_shown["click_30m"])
    told = {name: Heads({"task": head}).predict(feed.test.frame) for name, head in found.items()}
    return {
        name: (Distance.of(p["p_task"], true[0]), Distance.of(p.get("p_task__shown", p["p_task"]), true[1]))
        for name, p in told.items()
    }


def _by_place(curve: Examination) -> Weigh:
    def weigh(days: Days, rows: Bools, labels: Floats, scores: Floats | None) -> Floats:
        return position_weights(labels, curve.relative(days.positions[rows]), scores)

    return weigh


def _learned(feed: Feed, *, weigh: Weigh = unweighted, more: tuple[str, ...] = ()) -> Head:
    return learned(feed.train, feed.train.happened["click"], feed.train.visible, weigh=weigh, more=more)


def _calibrated(feed: Feed, head: Head, *, weigh: Weigh = unweighted, held: bool = False) -> Head:
    days = feed.calibrate
    return calibrated(head, days, days.happened["click"], days.visible, weigh=weigh, held=held)
