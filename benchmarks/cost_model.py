"""What a day costs, from 1 million to 10 billion impressions: ``python -m benchmarks.cost_model``.

``home_feed`` (ten tasks, seventeen features) is retrained as of the same day from two logs, one of them three
times as large. The processor seconds of each step give what a step costs by itself and what a row adds::

    labels                rows that a day's build writes: the new day, and each day on which a task matures
    train                 examples of all tasks; ``sampling.negatives`` keeps at most ``--most-examples``
    all other steps       impressions of the calibrate and test days

Then the arithmetic: core hours of a day's build and of a retrain, the cores that end both in ``--hours``, and
the price of a day. It assumes that seconds grow with rows, as they did between the two logs, so it says
what to expect and not what was measured: a cluster adds what it moves between machines.
"""

import argparse
import json
import logging
import tempfile
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from threadpoolctl import threadpool_limits

from benchmarks.retrained.repeats import watched
from benchmarks.retrained.trees import HERE, RECIPES
from tasks.contracts.durations import format_duration
from tasks.datasets.world.generate import generate
from tasks.labels.windows import matures
from tasks.pipeline import retrain
from tasks.stores.workspace import Workspace

SURFACE: Final = "home_feed"
DAYS: Final = 139
_DAY: Final = timedelta(days=1)
SHOWN: Final = 12
"""Impressions of a request."""
SIZES: Final = (10**6, 10**7, 10**8, 10**9, 10**10)


@dataclass(frozen=True)
class Measured:
    """A retrain: impressions a day, and the processor seconds of each step."""

    rows: int
    seconds: dict[str, float]


@dataclass(frozen=True)
class StepRate:
    """What a step costs by itself, and what each impression a day adds, in processor seconds."""

    fixed: float
    each: float

    @classmethod
    def between(cls, step: str, small: Measured, large: Measured) -> "StepRate":
        """Draw the line through two retrains; a step that grows by nothing costs the same at any size."""
        low, high = (one.seconds.get(step, 0.0) for one in (small, large))
        each = max(0.0, (high - low) / (large.rows - small.rows))
        return cls(max(0.0, low - each * small.rows), each)


def main() -> None:
    """Measure, then print rates and the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=200, help="a day, of the smaller log")
    parser.add_argument("--most-examples", type=float, default=5e8, help="of all tasks, after sampling")
    parser.add_argument("--hours", type=float, default=4.0, help="in which a day's work has to end")
    parser.add_argument("--price", type=float, default=0.05, help="of a core hour")
    asked = parser.parse_args()
    logging.getLogger("equipoise").setLevel(logging.ERROR)
    small, large = (measure(requests) for requests in (asked.requests, 3 * asked.requests))
    workspace = Workspace.open(SURFACE, surfaces=HERE / "surfaces", home=Path())
    spec, split = workspace.contracts.tasks, workspace.contracts.surface.split
    ages = {matures(spec, task) for task in spec.tasks}
    written = 1 + len({age for age in ages if age > _DAY})
    trained, read = split.train / _DAY * len(spec.trained), (split.calibrate + split.test) / _DAY
    print("| step | seconds by itself | rows a core second |\n| --- | --- | --- |")
    rates = {step: StepRate.between(step, small, large) for step in large.seconds}
    for step, rate in rates.items():
        days = DAYS if step == "labels" else trained if step == "train" else read
        print(f"| {step} | {rate.fixed:.1f} | {f'{days / rate.each:,.0f}' if rate.each else 'any'} |")
    print(
        f"\nlabels: {written} days are written a day; examples: {format_duration(split.train)} of all tasks"
    )
    print(
        "\n| impressions a day | examples kept | labels, core hours | a retrain, core hours | cores | price |"
    )
    print("| --- | --- | --- | --- | --- | --- |")
    for rows in SIZES:
        kept = min(1.0, asked.most_examples / (rows * trained))
        labels = rates["labels"].fixed + rates["labels"].each * rows * written / DAYS
        others = sum(
            rate.fixed + rate.each * rows * (kept if step == "train" else 1.0)
            for step, rate in rates.items()
            if step != "labels"
        )
        hours = (labels / 3600, others / 3600)
        cores = max(1.0, sum(hours) / asked.hours)
        print(
            f"| {rows:,} | {kept:.2g} | {hours[0]:,.2f} | {hours[1]:,.2f} | {cores:,.0f} "
            f"| {sum(hours) * asked.price:,.2f} |"
        )
    print(json.dumps({"small": small.__dict__, "large": large.__dict__}))


def measure(requests: int) -> Measured:
    """Retrain the feed from a log of so many requests a day."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        generate(days=DAYS, requests_per_day=requests, seed=7, out=home / "logs" / SURFACE)
        workspace = Workspace.open(SURFACE, surfaces=HERE / "surfaces", home=home)
        with threadpool_limits(1), watched() as watch:  # threads that wait for each other are busy, too
            retrain(workspace, as_of=datetime.fromisoformat(RECIPES[SURFACE].as_of))
    seconds = {step: cost.seconds for step, cost in watch.costs.items() if step != "start"}
    return Measured(requests * SHOWN, seconds)


if __name__ == "__main__":
    main()
