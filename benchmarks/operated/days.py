"""What is kept of a day of the loop: outcomes by impression, a sample for the gate, a day's series."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Final

import numpy as np
import pandas as pd

from benchmarks.operated.releases import Floats, Integers, Truth
from tasks import columns as c
from tasks.datasets.world.catalog import DAY_US
from tasks.datasets.world.entities import (
    LINGER_SECONDS,
    SOURCES,
    Batch,
    Drift,
    Trait,
    World,
    drift_batch,
    drift_feed,
    drift_people,
)
from tasks.datasets.world.loop import LoopDay
from tasks.datasets.world.truth import chances, probabilities

WATCHED: Final = ("click_30m", "satisfied_7d", "hide_7d")
SAMPLED: Final = 250
"""Requests a day that a retrain and its gate read."""


def truth_for_heads(world: World, batch: Batch, on: frozenset[Drift], *, learned: bool) -> Truth:
    """Return the truth as heads know it: of the world that they learned from, by the features of today.

    Parameters
    ----------
    on : the drifts of the day; ``learned`` whether the heads learned from a log with them.
    """
    known = on if learned else on & {Drift.PRICE}
    people = drift_people(drift_feed(world, known), known)
    met = drift_batch(batch, people, ())
    if Drift.BROKEN_FEATURE in on:
        met = replace(met, affinity=Trait(np.zeros_like(met.affinity.true), met.affinity.seen))
    return probabilities(chances(people, met))


@dataclass(frozen=True)
class Outcomes:
    """Outcomes of the k shown impressions of a day, as if all windows had passed.

    Attributes
    ----------
    labels : by task, [k]; NaN where not observed.
    known_at : by task, when it becomes known, in microseconds of the loop; infinite where it does not happen.
    """

    labels: Mapping[str, Floats]
    known_at: Mapping[str, Floats]

    @classmethod
    def of(cls, day: LoopDay) -> "Outcomes":
        """Read what came of a day."""
        known = {
            name: np.full(len(day.shown.row), np.inf)
            for name in ("click", "dwell", "add_to_cart", "purchase", "hide", "report")
        }
        for kind in day.outcomes.events:
            if kind.event in known:
                counts = kind.value >= LINGER_SECONDS if kind.event == "dwell" else slice(None)
                known[kind.event][kind.row[counts]] = kind.known_at[counts]
        complained = np.minimum(known["hide"], known["report"])
        tasks = {
            "click_30m": known["click"],
            "dwell_60s_1d": known["dwell"],
            "add_to_cart_1d": known["add_to_cart"],
            "purchase_7d": known["purchase"],
            "hide_7d": known["hide"],
            "report_7d": known["report"],
            "satisfied_7d": np.where(np.isinf(complained), known["dwell"], np.inf),
        }
        labels = {task: np.isfinite(at).astype(np.float64) for task, at in tasks.items()}
        labels["click_30m"][~day.outcomes.visible] = np.nan
        return cls(labels, tasks)


@dataclass(frozen=True)
class Sample:
    """The n candidates of some requests of a day, with the labels of what was shown.

    Attributes
    ----------
    heads : their truth as heads know it that did not, and did, learn from a drifted log.
    """

    candidates: pd.DataFrame
    item: Integers
    truth: Truth
    heads: tuple[Truth, Truth]


def sample(day: LoopDay, outcomes: Outcomes, heads: tuple[Truth, Truth]) -> Sample:
    """Keep whole requests, evenly over the day."""
    count, each = day.batch.item.shape
    chosen = np.unique(np.linspace(0, count - 1, min(SAMPLED, count)).astype(np.int64))
    rows = (chosen[:, None] * each + np.arange(each)).ravel()
    labels = {}
    for task, values in outcomes.labels.items():
        spread = np.full(day.batch.item.size, np.nan)
        spread[day.shown.row] = values
        labels[task] = pd.array(spread[rows], dtype="Float64").astype("Int64")
    frame = day.tables["candidates"].take(rows).to_pandas().assign(**labels)
    return Sample(
        frame,
        day.batch.item.ravel()[rows],
        {task: values[rows] for task, values in day.truth.items()},
        (_rows(heads[0], rows), _rows(heads[1], rows)),
    )


def _rows(truth: Truth, rows: Integers) -> Truth:
    return {task: values[rows] for task, values in truth.items()}


def series_of(day: LoopDay, outcomes: Outcomes) -> Iterator[dict[str, Any]]:
    """Yield a day's figures as rows of the table of series."""
    shown = day.shown.row
    yield _figure(day.date, "rows", len(shown))
    for task in WATCHED:
        served = day.served.logged[c.served(c.probability(task))][shown]
        known = np.isfinite(outcomes.labels[task])
        yield _figure(day.date, "mean_prediction", served.mean(), task=task)
        ratio = outcomes.labels[task][known].sum() / served[known].sum()
        yield _figure(day.date, "calibration_ratio", ratio, task=task)
    source = np.bincount(day.batch.source.ravel()[shown], minlength=len(SOURCES)) / len(shown)
    for name, share in zip(SOURCES, source, strict=True):
        yield _figure(day.date, "share", share, column="source", value_of=name)
    events = np.isfinite(outcomes.known_at["hide_7d"])
    age = outcomes.known_at["hide_7d"][events] // DAY_US - day.day
    for age_days in (1, 2):
        arrived = float((age < age_days).mean())
        yield _figure(
            day.date, "arrived_share", arrived, task="hide_7d", column="day", value_of=str(age_days)
        )


def _figure(day: date, metric: str, value: float, **subject: str) -> dict[str, Any]:
    blank = {"task": "", "column": "", "value_of": "", "feature": "", "constraint": "", "segment": ""}
    return {
        **blank,
        **subject,
        "day": day,
        "metric": metric,
        "value": float(value),
        "days": 1,
        "release": None,
    }
