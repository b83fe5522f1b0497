"""Sums that merge beside the narrow columns of a replay: ``python -m benchmarks.replay_numbers``.

The candidates of a small feed's release are enlarged and decided as in ``benchmarks.replay_memory``, the
release beside itself as its champion. Counted are the numbers of the joined columns, and those of the sums
from which every figure of the report could be formed with its interval: for each metric, in each segment,
numerator and denominator of both policies by user, by item and by day. Sums are those of the segments as
they are printed, thin values pooled; until all parts are there nobody knows which are thin, so parts would
hold more.
"""

import argparse
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks.replay_memory import enlarge, make_home
from tasks.contracts.metrics import Metric, MetricKind
from tasks.replay.compared import ComparedPolicies
from tasks.replay.decided_slice import DecidedSlice, decide_slice
from tasks.replay.entrants import EntrantVersions
from tasks.replay.evaluate import OfflineEvaluation, evaluate_offline
from tasks.replay.joined_columns import GrowingColumn, OnDemand
from tasks.replay.metrics import OF_ALL_CANDIDATES, OF_OUTCOMES

SUMS_EACH: Final = 4
"""Numerator and denominator, of the policy and of its baseline."""
_BYTES: Final = 8
"""Of a sum."""
_OF_LABELS: Final = OF_OUTCOMES | {MetricKind.CALIBRATION}


@dataclass(frozen=True)
class Held:
    """Numbers that are held, by which clusters of rows: ``users``, ``items`` and ``days``."""

    users: int
    items: int
    days: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.users + self.items + self.days


def main() -> None:
    """Decide a slice, and print how many numbers either way holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--candidates", type=int, default=300_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        workspace = make_home(Path(folder))
        manifest = workspace.releases.manifest(1)
        rows = enlarge(workspace, manifest.test, asked.candidates)
        test = decide_slice(workspace, manifest, EntrantVersions(1, baseline=1).load(workspace))
    evaluation = OfflineEvaluation(test.contracts, test.log, test.policy, test.baseline, {})
    found = evaluate_offline(evaluation, {}, run="")
    views = {
        (one.subject.name, one.segment) for one in found.measured if one.subject.name in evaluation.metrics
    }
    columns = {(name, segment.column or None) for name, segment in views}
    compared = ComparedPolicies(test.log, test.policy, test.baseline)
    sums = count_sums(compared, ((evaluation.metrics[name], column) for name, column in columns))
    arrays, metrics = distinct_arrays(_columns(test)), len({name for name, _ in columns})
    kept = sum(map(len, arrays))
    users = len(np.unique(test.log.users))
    print(f"replay of {rows:,} candidates of {users:,} users, {metrics} metrics")
    for held, numbers, size in (
        ("narrow columns", kept, sum(one.nbytes for one in arrays)),
        ("sums that merge", sums.total, sums.total * _BYTES),
    ):
        print(f"  {held:15} {numbers:11,} numbers, {numbers / rows:5.1f} a candidate, {size / 1e6:6.1f} MB")
    print(f"    by user {sums.users:,}, by item {sums.items:,}, by day {sums.days:,}")
    print(f"  the sums are {sums.total / kept:.2f} times the columns")


def count_sums(compared: ComparedPolicies, views: Iterable[tuple[Metric, str | None]]) -> Held:
    """Count the sums of metrics, each on the whole (None) or by a column's values."""
    counts = np.zeros(3, dtype=np.int64)
    for metric, column in views:
        task = metric.subject if metric.kind in _OF_LABELS else None
        everything = metric.kind in OF_ALL_CANDIDATES
        rows = compared.rows(compared.segmentation(column, task), everything=everything)
        counts += [SUMS_EACH * len(group) for group, _ in rows.grouped.clusterings]
    return Held(*map(int, counts))


def distinct_arrays(held: object) -> list[npt.NDArray[np.generic]]:
    """Return all arrays that a value holds, each once."""
    return list({id(one): one for one in _arrays(held)}.values())


def _columns(test: DecidedSlice) -> list[object]:
    return [test.log, test.policy, test.baseline, test.predicted, test.anchors, test.others]


def _arrays(held: object) -> Iterator[npt.NDArray[np.generic]]:
    if isinstance(held, np.ndarray):
        yield held
    elif isinstance(held, pd.Categorical):
        yield held.codes
    elif is_dataclass(held):
        for field in fields(held):
            yield from _arrays(getattr(held, field.name))
    elif isinstance(held, list | tuple):
        for one in held:
            yield from _arrays(one)
    elif isinstance(held, GrowingColumn):
        yield held.array
    elif isinstance(held, OnDemand):
        yield from _arrays(held.names)  # the columns that it lays out, where it has some
    elif isinstance(held, Mapping):
        yield from _arrays(list(held.values()))


if __name__ == "__main__":
    main()
