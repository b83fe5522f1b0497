"""Reads the log for steps: candidates to replay, and the newest traffic.

All other steps read the label store, whose rows are whole impressions.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from tasks import columns as c
from tasks.contracts import digest
from tasks.errors import DataError
from tasks.labels.build_record import combine_sums, content_digest
from tasks.labels.snapshot import Snapshot
from tasks.labels.store import LabelStore
from tasks.logs import rows
from tasks.logs.rows import CANDIDATES, IMPRESSIONS
from tasks.logs.session import open_log
from tasks.logs.tables import LogTables, to_frame
from tasks.sql import expressions as x
from tasks.stores.workspace import Workspace, format_instant

Days = tuple[date, date]
"""The first and the last day, both included."""
_DAY: Final = timedelta(days=1)


def labelled_candidates(
    workspace: Workspace, *, snapshot: str, first_day: date, last_day: date
) -> pd.DataFrame:
    """Read the candidates of a range of days with the observed labels of the shown ones.

    Without a candidates table they are the impressions themselves. Labels are null if they are not observed
    or the candidate was not shown. Tasks of a chain include their status. Position and propensity come from
    the impressions if the candidates have no such column.
    """
    labels, days = LabelStore(workspace.store, workspace.surface).snapshot(snapshot), (first_day, last_day)
    if workspace.contracts.surface.sources.candidates is None:
        return to_frame(_impressions(workspace, labels, days))
    with open_log(workspace) as log:
        read = _candidates(workspace, log, labels.as_of, days)
    return CandidateBlock(read, SpanLabels(_labels(workspace, labels, days, read))).frame


@dataclass(frozen=True)
class SpanLabels:
    """The labels of a range of days, as an Arrow table."""

    table: pa.Table

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The labels as a frame, converted once for all blocks of these days."""
        return self.table.to_pandas()


@dataclass(frozen=True)
class CandidateBlock:
    """Candidates of whole requests, and the labels of their days; None if the rows include labels."""

    candidates: pa.Table
    labels: SpanLabels | None

    @property
    def frame(self) -> pd.DataFrame:
        """The candidates with their labels."""
        if self.labels is None:
            return to_frame(self.candidates)
        key = list(c.IMPRESSION_KEY)
        return to_frame(self.candidates).merge(self.labels.frame, on=key, how="left", validate="one_to_one")


def candidate_blocks(
    workspace: Workspace, *, snapshot: str, days: tuple[date, date], most_rows: int
) -> Iterator[CandidateBlock]:
    """Read the candidates of a range of days like `labelled_candidates`, in blocks of whole requests.

    Days are read one at a time, as Arrow, and cut into blocks of at least ``most_rows`` rows, except the
    last. All days are read at once if a request lies on two days; all rows read are one block if a request's
    rows are not consecutive.
    """
    labels = LabelStore(workspace.store, workspace.surface).snapshot(snapshot)
    if workspace.contracts.surface.sources.candidates is None:
        read = _impressions(workspace, labels, days)
        yield from (
            CandidateBlock(read.slice(start, rows), None) for start, rows in cut_requests(read, most_rows)
        )
        return
    with open_log(workspace) as log:
        for span in reading_spans(log, labels.as_of, days):
            read = _candidates(workspace, log, labels.as_of, span)
            known = SpanLabels(_labels(workspace, labels, span, read))
            for start, rows in cut_requests(read, most_rows):
                yield CandidateBlock(read.slice(start, rows), known)


def hash_labelled_candidates(workspace: Workspace, *, snapshot: str, days: Days) -> str | None:
    """Return a digest of the log rows that `labelled_candidates` reads; None without a candidates table."""
    if workspace.contracts.surface.sources.candidates is None:
        return None
    labels = LabelStore(workspace.store, workspace.surface).snapshot(snapshot)
    with open_log(workspace) as log:
        names = [name for name in log.candidates if name not in {*_label_columns(workspace)}]
        return _hash(log, CANDIDATES, names, labels.as_of, days)


def hash_newest_candidates(workspace: Workspace, *, as_of: datetime) -> str | None:
    """Return a digest of the rows that `newest_candidates` reads; None if nothing was logged before."""
    with open_log(workspace) as log:
        table = CANDIDATES if log.candidates else IMPRESSIONS
        day = _newest_day(log, table, as_of)
        names = log.candidates or log.log.impressions
        return None if day is None else _hash(log, table, list(names), as_of, (day, day))


def _hash(log: LogTables, table: str, names: Sequence[str], as_of: datetime, days: Days) -> str:
    """Return a digest of the rows of a range of days, independent of their order and files."""
    each = [days[0] + n * _DAY for n in range((days[1] - days[0]).days + 1)]
    hashes = [log.hash_day(table, names, as_of=as_of, day=day) for day in each]
    sums = (combine_sums(first, second) for _, first, second in hashes)
    return digest({"columns": list(names), "rows": content_digest(sum(n for n, *_ in hashes), sums)})


def newest_candidates(workspace: Workspace, *, as_of: datetime) -> pd.DataFrame:
    """Read the candidates of the newest logged day before an instant.

    Raises
    ------
    DataError
        Nothing was logged before ``as_of``.
    """
    with open_log(workspace) as log:
        table = CANDIDATES if log.candidates else IMPRESSIONS
        day = _newest_day(log, table, as_of)
        if day is None:
            raise DataError(f"No traffic before {format_instant(as_of)}: there is nothing to shadow on")
        names = log.candidates or log.log.impressions
        return to_frame(log.read(table, list(names), as_of=as_of, first_day=day, last_day=day))


def _impressions(workspace: Workspace, labels: Snapshot, days: Days) -> pa.Table:
    tasks = list(workspace.contracts.tasks.tasks)
    made = {c.CONTRACT_VERSION, c.CONTRACT_DIGEST, *map(c.status, tasks), *map(c.at, tasks)}
    made -= {*_label_columns(workspace)}
    columns = [name for name in labels.schema().names if name not in made]
    return labels.read(columns, first_day=days[0], last_day=days[1])


def _candidates(workspace: Workspace, log: LogTables, as_of: datetime, days: Days) -> pa.Table:
    names = [name for name in log.candidates if name not in {*_label_columns(workspace)}]
    return log.read(CANDIDATES, names, as_of=as_of, first_day=days[0], last_day=days[1])


def _label_columns(workspace: Workspace) -> list[str]:
    """Return the label column of each task, and the status columns of tasks of a chain."""
    spec = workspace.contracts.tasks
    return [*spec.tasks, *(c.status(name) for name in spec.tasks if spec.parent(name))]


def _labels(workspace: Workspace, labels: Snapshot, days: Days, candidates: pa.Table) -> pa.Table:
    """Read the labels of a range of days, with slot columns that the candidates lack."""
    lacking = {c.POSITION, c.PROPENSITY} - {*candidates.column_names}
    of_slots = [name for name in labels.schema().names if name in lacking]
    columns = [*c.IMPRESSION_KEY, *of_slots, *_label_columns(workspace)]
    return labels.read(columns, first_day=days[0], last_day=days[1])


def reading_spans(log: LogTables, as_of: datetime, days: Days) -> list[Days]:
    """Return the days one by one, or the whole range if a request lies on two of them."""
    first, last = days
    at = x.column(c.SHOWN_AT)
    ((split,),) = log.fetch(
        "SELECT count(*) FROM (SELECT $request FROM $source WHERE $known AND $after AND $before "
        "GROUP BY $request HAVING min(CAST($at AS DATE)) <> max(CAST($at AS DATE)))",
        request=x.column(c.REQUEST_ID),
        source=x.table(CANDIDATES),
        known=rows.has_key(CANDIDATES, as_of),
        after=x.ge(at, x.day_start(first)),
        before=x.lt(at, x.day_start(last + _DAY)),
        at=at,
    )
    each = [first + n * _DAY for n in range((last - first).days + 1)]
    return [days] if split else [(day, day) for day in each]


def cut_requests(table: pa.Table, most_rows: int) -> Iterator[tuple[int, int]]:
    """Yield start and length of blocks of whole requests."""
    requests = table.column(c.REQUEST_ID).combine_chunks()
    if not len(requests):
        return
    changes = pc.not_equal(requests[1:], requests[:-1]).to_numpy(zero_copy_only=False)
    starts = np.flatnonzero(np.r_[True, changes])
    if len(starts) != pc.count_distinct(requests).as_py():
        starts = starts[:1]
    places = np.searchsorted(starts, np.arange(0, len(requests), most_rows))
    bounds = np.unique(np.r_[starts[places[places < len(starts)]], len(requests)])
    yield from ((int(start), int(rows)) for start, rows in zip(bounds[:-1], np.diff(bounds), strict=True))


def _newest_day(log: LogTables, table: str, as_of: datetime) -> date | None:
    known = {"source": x.table(table), "known": rows.has_key(table, as_of)}
    found = log.fetch(
        "SELECT CAST(max($at) AS DATE) FROM $source WHERE $known", at=x.column(c.SHOWN_AT), **known
    )
    day: date | None = found[0][0]
    return day
