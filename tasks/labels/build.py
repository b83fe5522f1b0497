"""Builds the labels of a surface.

::

    logs -> checks -> changes since the last build -> labels of those days -> one commit -> snapshot

Labels are computed where the log is stored, with DuckDB or Spark::

    shown, known           views on the log, limited to the days that are read
    <task>__credited ...   tables whose size depends on the number of outcomes
    facts ... labels       one streaming pass: log -> joins -> status and label -> ds=.../part-<uuid>.parquet
    digests                one pass over the written files

Invalid rows go to the quarantine before the commit. A killed build leaves the last snapshot unchanged, and a
second run gives the same result. One process builds the labels of a surface at a time.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime
from typing import Any

import duckdb
import pyarrow as pa
from sqlglot import exp

from tasks import columns as c
from tasks.contracts import Contracts, load
from tasks.contracts.durations import format_duration
from tasks.errors import ContractError, DataError, Overtaken
from tasks.labels.build_record import Basis, Build, Coverage, Day, cover_days, sum_days
from tasks.labels.compile import compile_days
from tasks.labels.query import LabelQuery, find_files, find_label_days, make_credit_tables
from tasks.labels.snapshot import Snapshot, file_day
from tasks.labels.spark_build import Files, write_with_spark
from tasks.labels.store import LabelStore
from tasks.logs.arrival import find_arrived
from tasks.logs.checks import quarantine_bad_rows
from tasks.logs.profile import LogProfile, cut_files, profile_log
from tasks.logs.rows import IMPRESSIONS, DayRange
from tasks.logs.session import open_log, refuse_replaced, renew_log
from tasks.logs.summaries import SummaryTable
from tasks.logs.tables import LogTables
from tasks.progress import report
from tasks.sql import expressions as x
from tasks.stores import delta
from tasks.stores.delta import DataFile, NewFiles
from tasks.stores.location import Location, locate
from tasks.stores.workspace import Workspace, format_instant, refuse_future

_LOG = logging.getLogger("equipoise")
_ATTEMPTS = 6

_COUNT_CHANGED = """
    SELECT $counts FROM read_parquet($before) AS before JOIN read_parquet($after) AS after USING ($key)
"""

_AS_WRITTEN = "SET disabled_optimizers = 'build_side_probe_side'"
"""Build the hash table on the right side of a join. By default DuckDB estimates a log of several days at a
fifth of its size, and hashes the impressions instead of the outcomes."""

_COPY = """
    COPY ($labels) TO $folder
    (FORMAT parquet, PARTITION_BY ($day), APPEND true, FILENAME_PATTERN $name, RETURN_STATS)
"""


@dataclass(frozen=True)
class LabelsResult:
    """The snapshot of the labels, and the counts of the build.

    Attributes
    ----------
    digest : content digest.
    arrived : instant up to which the log has arrived; labels mature before it.
    days : reason for each rewritten day.
    gone : days of the store that the log no longer contains.
    changed : observed labels that changed through late or corrected events, by task.
    quarantined : invalid rows by rule.
    arrived_early : events that arrived before they happened, which indicates a wrong clock.
    unknown_events : events that no task reads, at most the 100 most frequent names.
    """

    snapshot: str
    digest: str
    as_of: str
    arrived: str
    partitions_written: int
    rows: int
    rows_written: int
    days: dict[str, str]
    gone: list[str]
    changed: dict[str, int]
    counts: dict[str, Any]
    quarantined: dict[str, int]
    arrived_early: int
    unknown_events: dict[str, int]


@dataclass(frozen=True)
class Written:
    """The files of a build, their columns, and the number of rows and the sum of digests of each day."""

    files: list[DataFile]
    schema: pa.Schema
    days: Mapping[date, tuple[int, int]]


def run(
    workspace: Workspace, *, as_of: datetime, first_day: date | None = None, last_day: date | None = None
) -> LabelsResult:
    """Build the labels as of an instant.

    A build whose as-of is earlier than the store's is written to a separate table. A build limited to days
    uses the store's as-of instead, so no day goes back to less mature labels.

    Parameters
    ----------
    first_day, last_day
        Limit the build to these days of impressions. By default it covers every day that changed.

    Raises
    ------
    DataError
        A log table is missing, empty, or does not match the contracts.
    StoreError
        A store failed, or other machines repeatedly committed builds at the same time.
    """
    refuse_future(as_of)
    if first_day and last_day and first_day > last_day:
        raise ContractError(f"There is no day from {first_day} to {last_day}: the first lies after the last")
    within = DayRange(first_day or date.min, last_day or date.max)
    with workspace.store.alone(
        f"{workspace.surface}.labels", doing=f"building labels of {workspace.surface}"
    ):
        for _ in range(_ATTEMPTS - 1):
            try:
                return _run(workspace, as_of, within)
            except Overtaken as error:
                _LOG.warning("labels: built again on what another machine committed: %s", error)
                renew_log(workspace)
        return _run(workspace, as_of, within)


def build_snapshot(workspace: Workspace, *, as_of: datetime) -> Snapshot:
    """Build the labels as of an instant, and return their snapshot; raises as `run`."""
    return LabelStore(workspace.store, workspace.surface).snapshot(run(workspace, as_of=as_of).snapshot)


def _run(workspace: Workspace, as_of: datetime, within: DayRange) -> LabelsResult:
    store, tasks = LabelStore(workspace.store, workspace.surface), workspace.contracts.tasks
    store.recover()
    path, snapshot = store.path, store.last()
    if snapshot is not None and as_of < snapshot.as_of:
        if within != DayRange():
            as_of = snapshot.as_of
        else:
            path = store.aside(as_of)
            snapshot = store.last(path)
    last = snapshot.build() if snapshot else None
    with open_log(workspace) as log:
        summaries = SummaryTable(log, store.summaries)
        profile = profile_log(summaries, as_of=as_of, previous=last.as_of if last else None)
        _report_profile(workspace, profile)
        quarantine_bad_rows(workspace, log, as_of=as_of, files=profile.bad_files)
        summaries.save()
        basis, lost = _find_basis(log, as_of), store.lost_days(path)
        covered = cover_days(last, profile.days, tasks, basis=basis, lost=lost, within=within)
        written = _write(log, profile, path, basis, covered) if covered.write else None
        _check_rows(profile, covered, written)
        changed = _count_changed(log, snapshot, covered, written) if snapshot and written else {}
        refuse_replaced(log.views)
    build = _record(last, profile, covered, written, basis)
    if snapshot is None or build != last or covered.write:
        files, schema = (written.files, written.schema) if written else ([], delta.schema_of(path))
        snapshot = store.commit(
            build,
            NewFiles(files, schema, c.DAY),
            replace=covered.replaced,
            path=path,
            expected=snapshot.version if snapshot else None,
            changed=changed,
        )
    store.point_to(snapshot)
    _report_gone(covered)
    return _describe_build(snapshot, build, profile, covered, written, changed)


def _describe_build(
    snapshot: Snapshot,
    build: Build,
    profile: LogProfile,
    covered: Coverage,
    written: Written | None,
    changed: dict[str, int],
) -> LabelsResult:
    """Log a summary of the build, and return its result."""
    return LabelsResult(
        snapshot=snapshot.id,
        digest=snapshot.content_digest,
        as_of=format_instant(snapshot.as_of),
        arrived=format_instant(build.mature_by),
        partitions_written=len(covered.write),
        rows=snapshot.rows,
        rows_written=sum(rows for rows, _ in written.days.values()) if written else 0,
        days={str(day): reason for day, reason in covered.write.items()},
        gone=[str(day) for day in sorted(covered.gone)],
        changed=changed,
        counts={"impressions": asdict(profile.impressions), "events": asdict(profile.events)},
        quarantined={**profile.impressions.quarantined, **profile.events.quarantined},
        arrived_early=profile.arrived_early,
        unknown_events=profile.unknown_events,
    )


def _report_profile(workspace: Workspace, profile: LogProfile) -> None:
    for table, counts in (("impressions", profile.impressions), ("events", profile.events)):
        _LOG.info("labels: %s: %s", table, counts)
        if bad := sum(counts.quarantined.values()):
            _LOG.warning("labels: %s %s are in quarantine and enter no label", f"{bad:,}", table)
    if profile.arrived_early:
        _LOG.warning(
            "labels: %s events arrived before they happened. Check the clocks of happened_at and ingested_at",
            f"{profile.arrived_early:,}",
        )
    if profile.unknown_events:
        elsewhere = load.events_elsewhere(workspace.surfaces, workspace.surface)
        own = workspace.contracts.tasks.events
        for sentence in load.describe_strange_events(profile.unknown_events, own, elsewhere):
            _LOG.warning("labels: %s", sentence)


def _find_basis(log: LogTables, as_of: datetime) -> Basis:
    """Return the inputs of every label; warn if the log ends long before the as-of."""
    arrived, within = find_arrived(log, as_of=as_of), log.contracts.surface.arrival.within
    if as_of - arrived >= within:
        _LOG.warning(
            "labels: the log ends at %s, %s or more before the as-of %s (arrival.within). Labels whose "
            "windows end later stay immature. If the log is complete, set `until` in surface.yaml to its "
            "last day",
            format_instant(arrived),
            format_duration(within),
            format_instant(as_of),
        )
    digest = log.contracts.digests["tasks"]
    return Basis(as_of, digest, log.described, arrived=arrived if arrived < as_of else None)


def _write(log: LogTables, profile: LogProfile, path: Location, basis: Basis, covered: Coverage) -> Written:
    days = find_label_days(log.contracts.tasks, covered.write)
    read, summaries = find_files(log, days), profile.summaries[IMPRESSIONS]
    if not set(read[IMPRESSIONS]) <= set(summaries.new):
        cut_files(log, summaries, read[IMPRESSIONS], basis.as_of)
    query = compile_days(log, log.contracts.tasks, horizon=basis.horizon, days=days, labels_only=True)
    return write_labels(log, query, read, path)


def write_labels(log: LogTables, query: LabelQuery, read: Files, folder: Location) -> Written:
    """Label the impressions of a compiled query, and write them to a folder.

    The files are ``ds=<day>/part-<home>-<uuid>.parquet``. Requires ``log.cut`` and ``compile_days``' views.
    """
    labels = _stamp_contract(query.labels(), log.contracts)
    if log.contracts.surface.engine.name == "spark":
        schema = _columns(log, _stamp_contract(query.statement(), log.contracts))
        files = write_with_spark(log, query, labels, read, folder, schema=schema)
    else:
        files = _write_with_duckdb(log, query, labels, folder)
        schema = _columns(log, labels)
    return Written(files, schema, sum_days(log.connection, (file.path for file in files), schema))


def _stamp_contract(labels: exp.Query, contracts: Contracts) -> exp.Select:
    version = x.alias(x.cast(x.integer(contracts.tasks.version), "INT"), c.CONTRACT_VERSION)
    digest = x.alias(x.text(contracts.digests["tasks"]), c.CONTRACT_DIGEST)
    return x.select([exp.Star(), version, digest], x.subquery(labels, "labels"))


def _columns(log: LogTables, labels: exp.Query) -> pa.Schema:
    empty = x.fill("SELECT * FROM ($labels) LIMIT 0", labels=labels)
    return log.connection.sql(empty).to_arrow_table().schema


def _write_with_duckdb(
    log: LogTables, query: LabelQuery, labels: exp.Query, folder: Location
) -> list[DataFile]:
    log.connection.execute(_AS_WRITTEN)
    for done, (task, creditings) in enumerate(query.creditings.items()):
        report(task, done=done, of=len(query.creditings) + 1)
        make_credit_tables(log, creditings)
    folder.mkdir(parents=True, exist_ok=True)
    labels = _encode_words(labels, tuple(c.Status), (log.contracts.digests["tasks"],))
    parts = {"labels": labels, "folder": x.text(folder), "day": x.name(c.DAY)}
    statement = x.fill(_COPY, **parts, name=x.text(delta.part_name(log.folder.parent, "{uuid}")))
    copied = log.connection.execute(statement).fetchall()
    log.connection.execute("RESET disabled_optimizers")
    return [
        DataFile(locate(path), count, size, {c.DAY: partition[c.DAY]})
        for path, count, size, _, _, partition, *_ in copied
    ]


def _encode_words(labels: exp.Query, *enums: Sequence[str]) -> exp.Query:
    """Encode strings as one-byte enums during the query; files contain strings."""
    encoded = labels.copy()
    for words in enums:
        kind = f"ENUM({', '.join(map(repr, map(str, words)))})"
        for literal in list(encoded.find_all(exp.Literal)):
            if literal.is_string and literal.this in words:
                literal.replace(x.cast(literal.copy(), kind))
    return encoded


def _check_rows(profile: LogProfile, covered: Coverage, written: Written | None) -> None:
    """Check that each selected impression was written exactly once."""
    for day in covered.write:
        rows, read = (written.days.get(day, (0, 0))[0] if written else 0), profile.days.impressions[day].rows
        if rows != read:
            raise DataError(
                f"{day}: {read:,} impressions were read and {rows:,} labelled. Was the log written to "
                "meanwhile? Build the labels again once no one writes to it."
            )


def _count_changed(log: LogTables, last: Snapshot, covered: Coverage, written: Written) -> dict[str, int]:
    """Count the observed labels that late events changed, on the days that these events affect."""
    days = covered.touched & set(covered.write)
    before = [file.path for file in last.files() if file_day(file) in days - covered.lost]
    if not before:
        return {}
    after = [file.path for file in written.files if file_day(file) in days]
    return count_changed_labels(log.connection, log.contracts.tasks.tasks, before=before, after=after)


def count_changed_labels(
    connection: duckdb.DuckDBPyConnection,
    tasks: Iterable[str],
    *,
    before: Iterable[Location],
    after: Iterable[Location],
) -> dict[str, int]:
    """Count by task the labels observed ``before`` that are unobserved or have another value ``after``."""
    names = list(tasks)
    statement = x.fill(
        _COUNT_CHANGED,
        counts=[x.call("COUNT_IF", _changed(task)) for task in names],
        before=x.file_names(before),
        after=x.file_names(after),
        key=x.columns(c.IMPRESSION_KEY),
    )
    (counts,) = connection.sql(statement).fetchall()
    return dict(zip(names, counts, strict=True))


def _changed(task: str) -> exp.Expr:
    was_observed = x.eq(x.column(c.status(task), "before"), x.text(c.Status.OBSERVED))
    other = exp.NullSafeNEQ(this=x.column(task, "before"), expression=x.column(task, "after"))
    return x.all_of(was_observed, other)


def _record(
    last: Build | None, profile: LogProfile, covered: Coverage, written: Written | None, basis: Basis
) -> Build:
    days: dict[date, Day] = {}
    if last is not None and not covered.replace_all:
        days = {
            day: replace(stored, left_behind=stored.left_behind or day in covered.left_behind)
            for day, stored in last.days.items()
            if day not in covered.dropped
        }
    days |= {day: Day(rows, content) for day, (rows, content) in (written.days if written else {}).items()}
    if not days:
        raise DataError("No impression was shown on the requested days: nothing was built")
    read = profile.days
    return Build(
        basis.as_of,
        basis.contract,
        basis.columns,
        dict(sorted(days.items())),
        read.impressions,
        read.events,
        arrived=basis.arrived,
    )


def _report_gone(covered: Coverage) -> None:
    if covered.left_out:
        days = ", ".join(map(str, sorted(covered.left_out)))
        _LOG.warning("labels: left out of the log since the last build, and dropped: %s", days)
    if before := covered.gone - covered.left_out:
        fate = (
            "and were dropped: they are of another contract" if covered.replace_all else "and stay as built"
        )
        _LOG.warning("labels: %d day(s) of the store are no longer in the log %s", len(before), fate)
    for day in sorted(covered.dropped - covered.left_out):
        _LOG.error("labels: %s is lost: neither the store nor the log has it any more; it is dropped", day)
