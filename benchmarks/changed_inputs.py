"""Changes of numbers in one category, found and false: ``python -m benchmarks.changed_inputs``.

Train days as long as the surface's are compared with the calibrate, test and last days that follow, a week
later each time. First nothing is changed: printed are the comparisons with a change over all rows, and with
one in a category alone. Then a number of the simulated feed is changed after the train days in one region,
for every region: printed is how often all rows show it (the peer), and how often it is found by category
where they do not. A region with few requests in a week is not compared.

``weekly_circular`` is a real grocery log, in which products come into season.
"""

import argparse
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from benchmarks.calibrating.logged import LOGGED, ROOT
from tasks.arrays import Floats
from tasks.columns import DAY, REQUEST_ID
from tasks.contracts import Contracts
from tasks.datasets.world.generate import generate
from tasks.evaluation.evidence import ComparedDays, InputChange
from tasks.evaluation.subjects import ALL
from tasks.ranking.features import FeatureEncoder
from tasks.release.inputs import SAMPLE, InputRows, find_changes
from tasks.stores.workspace import Workspace

Comparison = tuple[InputRows, dict[ComparedDays, InputRows]]

CHANGED: Final = "margin"
CHANGES: Final[Mapping[str, Callable[[Floats], Floats]]] = {
    "x 10": lambda values: values * 10,
    "x 3": lambda values: values * 3,
    "0": np.zeros_like,
    "null": lambda values: np.full_like(values, np.nan),
}
COLUMNS: Final = "| log | change | comparisons | seen in all rows | found in a category alone |"


def read(folder: Path, contracts: Contracts) -> InputRows:
    """Read a sample of the requests of a log's impressions."""
    frame = pd.read_parquet(folder / "impressions")
    frame = frame[pd.util.hash_array(frame[REQUEST_ID].to_numpy(object)) % max(1, len(frame) // SAMPLE) == 0]
    weighing = contracts.utility.weighing_columns
    features = contracts.surface.features
    numeric = [*features.numeric, *(name for name in weighing if not weighing[name])]
    encoder = FeatureEncoder.fit(frame, tuple(dict.fromkeys(numeric)), features.categorical)
    columns = dict(zip(encoder.names, np.asfortranarray(encoder.matrix(frame)).T, strict=True))
    days = frame["shown_at"].dt.date.rename(DAY).to_numpy(dtype=object)
    return InputRows(days, columns, pd.factorize(frame[REQUEST_ID])[0], encoder.categories)


def compare(rows: InputRows, contracts: Contracts) -> Iterator[Comparison]:
    """Yield train days with later ones, a week later each time."""
    split, first, last = contracts.surface.split, rows.days.min(), rows.days.max()
    while (end := first + split.train + split.calibrate + split.test) <= last:
        calibrate, test = first + split.train, end - split.test
        spans: dict[ComparedDays, tuple[date, date]] = {
            "calibrate": (calibrate, test),
            "test": (test, end),
            "newest": (last - timedelta(days=6), last + timedelta(days=1)),
        }
        days = {name: rows.on(start, stop - timedelta(days=1)) for name, (start, stop) in spans.items()}
        yield rows.on(first, calibrate - timedelta(days=1)), days
        first += timedelta(days=7)


def change(comparison: Comparison, by: Callable[[Floats], Floats], code: int) -> Comparison:
    """Change a number on all later days in one region."""
    learned, later = comparison

    def changed(rows: InputRows) -> InputRows:
        values = np.where(rows.columns["region"] == code, by(rows.columns[CHANGED]), rows.columns[CHANGED])
        return replace(rows, columns={**rows.columns, CHANGED: values})

    return learned, {days: changed(rows) for days, rows in later.items()}


def print_row(log: str, changed: str, found: list[list[InputChange]]) -> None:
    """Print how many comparisons show a change in all rows, and how many in a category alone."""
    whole = sum(any(one.category == ALL for one in each) for each in found)
    parts = sum(any(one.category != ALL for one in each) for each in found)
    print(f"| {log} | {changed} | {len(found)} | {whole} | {parts} |", flush=True)


def print_false(log: str, comparisons: list[Comparison]) -> None:
    """Print what is found where nothing was changed, and the changes in a category."""
    found = [list(find_changes(*one)) for one in comparisons]
    print_row(log, "none", found)
    for one in (one for each in found for one in each if one.category != ALL):
        print(f"  {one.feature}, {one.rows}: {one.kind} {one.observed:.3g}, limit {one.bound:.3g}")


def main() -> None:
    """Print a row for each log and change."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--days", type=int, default=100)
    asked = parser.parse_args()
    print(COLUMNS, "| --- | --- | --- | --- | --- |", sep="\n")
    with tempfile.TemporaryDirectory() as home:
        for name in ("home_feed", "weekly_circular"):
            contracts = Workspace.open(name, surfaces=ROOT / "surfaces", home=Path(home)).contracts
            comparisons = list[Comparison]()
            for seed in range(1, asked.seeds + 1 if name == "home_feed" else 2):
                folder = Path(home, name, str(seed))
                if name == "home_feed":
                    generate(days=asked.days, requests_per_day=400, seed=seed, out=folder)
                else:
                    LOGGED[name].write_logs(folder)
                comparisons += compare(read(folder, contracts), contracts)
            print_false(name, comparisons)
            if name == "home_feed":
                regions = range(len(comparisons[0][0].categorical["region"]))
                for word, by in CHANGES.items():
                    found = [
                        [one for one in find_changes(*change(each, by, code)) if one.feature == CHANGED]
                        for each in comparisons
                        for code in regions
                    ]
                    print_row(name, f"{CHANGED} {word} in one region", found)


if __name__ == "__main__":
    main()
