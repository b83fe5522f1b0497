"""The base rate of a task with ``before_positive``, both ways: as labelled, and without what it spared."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from tasks import columns as c
from tasks.errors import DataError
from tasks.labels.snapshot import Snapshot
from tasks.labels.spared import sparing
from tasks.labels.spared_counts import Spared, count_spared
from tasks.logs.session import open_log
from tasks.stores.workspace import Workspace

Counted = Mapping[str, Mapping[str, int]]
"""Observed and positive rows by task."""


@dataclass(frozen=True)
class BothRates:
    """Positives among observed rows as labelled, and without the positives that an exclusion came after.

    ``note`` says why the second rate is not known, or is not of the snapshot's rows alone.
    """

    as_labelled: float | None
    without_spared: float | None
    spared: int | None
    note: str | None = None


def both_rates(workspace: Workspace, snapshot: Snapshot, counted: Counted) -> dict[str, BothRates]:
    """Read from the log which positives of a snapshot ``before_positive`` spared."""
    tasks = [task for task in sparing(workspace.contracts.tasks) if task in counted]
    if not tasks:
        return {}
    if workspace.contracts.digests["tasks"] != snapshot.contract_digest:
        return _unknown(counted, tasks, "the snapshot was built under another tasks.yaml: build again")
    try:
        spared = _spared(workspace, snapshot, tasks)
    except DataError as error:
        return _unknown(counted, tasks, f"the log cannot be read: {error}")
    return {task: _rates(counted[task], spared[task]) for task in tasks}


def rate(positive: int, observed: int) -> float | None:
    """Return the share of positives; None where nothing was observed."""
    return positive / observed if observed else None


def _spared(workspace: Workspace, snapshot: Snapshot, tasks: list[str]) -> dict[str, Spared]:
    files = snapshot.files()
    days = {date.fromisoformat(file.partition[c.DAY]) for file in files}
    with open_log(workspace) as log:
        log.cut(snapshot.as_of)
        return {task: count_spared(log, task, as_of=snapshot.as_of, days=days) for task in tasks}


def _rates(counted: Mapping[str, int], found: Spared) -> BothRates:
    stored = (counted["observed"], counted["positive"])
    note = None
    if stored != (found.observed, found.positive):
        note = (
            f"the log now gives {found.positive:,} positives of {found.observed:,} rows: it has changed "
            "since the snapshot was built, and the second rate is the log's"
        )
    without = rate(found.positive - found.spared, found.observed - found.spared)
    return BothRates(rate(counted["positive"], counted["observed"]), without, found.spared, note)


def _unknown(counted: Counted, tasks: list[str], note: str) -> dict[str, BothRates]:
    rates = {task: rate(counted[task]["positive"], counted[task]["observed"]) for task in tasks}
    return {task: BothRates(labelled, None, None, note) for task, labelled in rates.items()}
