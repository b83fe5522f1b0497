"""Builds a surface's labels.

::

    logs -> checks -> what changed since the last build -> those days labelled -> one commit -> snapshot

Bad rows go to the quarantine before the commit. A build that is killed leaves the last snapshot as it was,
and running it again ends in the same state. Builds of one surface wait for one another: the labels run, a
retrain and a backfill never write the same days at once.
"""

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime
from typing import Any

from tasks import columns as c
from tasks.contracts.durations import format_duration
from tasks.contracts.event_names import describe_strange_events, events_elsewhere
from tasks.errors import ContractError, DataError, Overtaken, StoreError
from tasks.labels.build_record import Basis, Build, Day, Written
from tasks.labels.changes import count_changed_labels
from tasks.labels.compile import compile_days
from tasks.labels.coverage import Coverage, cover_days
from tasks.labels.relations import find_files, find_label_days
from tasks.labels.snapshot import Snapshot
from tasks.labels.store import BuildCommit, LabelStore, StoredBuild
from tasks.labels.write_days import write_labels
from tasks.logs.arrival import find_arrived
from tasks.logs.duplicate_keys import cut_files
from tasks.logs.profile import LogProfile, profile_log
from tasks.logs.quarantine import quarantine_bad_rows
from tasks.logs.replaced import refuse_replaced
from tasks.logs.rows import IMPRESSIONS, DayRange
from tasks.logs.session import open_log, renew_log
from tasks.logs.summaries import store_summaries
from tasks.logs.tables import LogTables
from tasks.stores import delta
from tasks.stores.delta import EVERYTHING, DataFile, NewFiles
from tasks.stores.location import Location, locate
from tasks.stores.workspace import Workspace, format_instant, refuse_future

_LOG = logging.getLogger("equipoise")
_ATTEMPTS = 6


@dataclass(frozen=True)
class LabelsResult:
    """The snapshot of the labels, and everything that was counted on the way.

    Attributes
    ----------
    digest : the content digest.
    arrived : the instant up to which the log had arrived: labels mature by it.
    days : the reason of each day that was rewritten.
    gone : days of the store that the log no longer has.
    changed : where events came late or were corrected, the observed labels that changed, by task.
    quarantined : bad rows by rule.
    arrived_early : events that arrived before they happened: a clock is wrong.
    unknown_events : events that no task names, at most the 100 most frequent names.
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


def run(
    workspace: Workspace, *, as_of: datetime, first_day: date | None = None, last_day: date | None = None
) -> LabelsResult:
    """Build the labels as of an instant; one process builds a surface's labels at a time.

    A build whose as-of lies before the store's own goes to a table of its own. Confined to days, it takes the
    store's as-of instead: no day goes back to less mature labels.

    Parameters
    ----------
    first_day, last_day
        Confine the build to these days of impressions; by default it covers every day that changed.

    Raises
    ------
    DataError
        A log table is missing, empty, or not as the contracts need it.
    StoreError
        A store failed, or other machines committed builds meanwhile again and again.
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


def _run(workspace: Workspace, as_of: datetime, within: DayRange) -> LabelsResult:
    store = LabelStore(workspace.store, workspace.surface)
    store.set_torn_commits_aside()
    path, last = store.path, store.last()
    if last is not None and as_of < last.build.as_of:
        if within != DayRange():
            as_of = last.build.as_of
        else:
            path = store.aside(as_of)
            last = store.last(path)
    with open_log(workspace) as log:
        previous = last.build.as_of if last else None
        profile = profile_log(log, folder=store.summaries, as_of=as_of, previous=previous)
        _report_profile(profile)
        _report_strange_events(workspace, profile)
        quarantine_bad_rows(workspace, log, as_of=as_of, files=profile.bad_files)
        store_summaries(log, store.summaries)
        basis = _find_basis(log, as_of)
        covered = cover_days(
            last.build if last else None,
            profile.days,
            workspace.contracts.tasks,
            basis=basis,
            lost=store.lost_days(path),
            within=within,
        )
        written = _write(log, profile, path, basis, covered) if covered.write else None
        _check_rows(profile, covered, written)
        changed = _count_changed(log, last, covered, written)
        refuse_replaced(log.views)
    build = _record(last, profile, covered, written, basis)
    if last is not None and build == last.build and not covered.write:
        snapshot = last.snapshot
    else:
        commit = _prepare_commit(build, covered, written, path, changed)
        snapshot = _commit(store, commit, path, last)
    store.point_to(snapshot)
    return _result(snapshot, build, profile, covered, written, changed)


def _find_basis(log: LogTables, as_of: datetime) -> Basis:
    """Return what every label depends on; a log that ends long before the as-of is warned of."""
    arrived, within = find_arrived(log, as_of=as_of), log.contracts.surface.arrival.within
    if as_of - arrived >= within:
        _LOG.warning(
            "labels: the log has arrived up to %s only, and the as-of is %s (arrival.within %s): what "
            "matures later stays immature",
            format_instant(arrived),
            format_instant(as_of),
            format_duration(within),
        )
    digest = log.contracts.digests["tasks"]
    return Basis(as_of, digest, log.described, arrived=arrived if arrived < as_of else None)


def _report_profile(profile: LogProfile) -> None:
    for table, counts in (("impressions", profile.impressions), ("events", profile.events)):
        _LOG.info("labels: %s: %s", table, counts)
        if bad := sum(counts.quarantined.values()):
            _LOG.warning("labels: %d %s are quarantined: %s", bad, table, counts.quarantined)
    if profile.arrived_early:
        _LOG.warning(
            "labels: %d events arrived before they happened: a clock is wrong", profile.arrived_early
        )


def _report_strange_events(workspace: Workspace, profile: LogProfile) -> None:
    if profile.unknown_events:
        elsewhere = events_elsewhere(workspace.surfaces, workspace.surface)
        own = workspace.contracts.tasks.events
        for sentence in describe_strange_events(profile.unknown_events, own, elsewhere):
            _LOG.warning("labels: events %s", sentence)


def _write(log: LogTables, profile: LogProfile, path: Location, basis: Basis, covered: Coverage) -> Written:
    days = find_label_days(log.contracts.tasks, covered.write)
    read, summaries = find_files(log, days), profile.summaries[IMPRESSIONS]
    if not set(read[IMPRESSIONS]) <= set(summaries.new):
        cut_files(log, summaries, read[IMPRESSIONS], basis.as_of)
    query = compile_days(log, log.contracts.tasks, horizon=basis.horizon, days=days, labels_only=True)
    _LOG.info("labels: writing %d day(s)", len(covered.write))
    return write_labels(log, query, read, path)


def _check_rows(profile: LogProfile, covered: Coverage, written: Written | None) -> None:
    """Check that every impression that takes part was written once."""
    for day in covered.write:
        rows, read = (written.days.get(day, (0, 0))[0] if written else 0), profile.days.impressions[day].rows
        if rows != read:
            raise DataError(
                f"{day}: {read:,} impressions were read and {rows:,} labelled. Was the log written to "
                "meanwhile? Build the labels again once no one writes to it."
            )


def _count_changed(
    log: LogTables, last: StoredBuild | None, covered: Coverage, written: Written | None
) -> dict[str, int]:
    """Count the observed labels that late events changed, on the days that they touched."""
    days = covered.touched & set(covered.write)
    if last is None or written is None or not days:
        return {}
    stored = delta.files_of(locate(last.snapshot.path), last.snapshot.version)
    before = [
        file.path for file in stored if date.fromisoformat(file.partition[c.DAY]) in days - covered.lost
    ]
    if not before:
        return {}
    after = [file.path for file in written.files if file.day in days]
    return count_changed_labels(log.connection, log.contracts.tasks.tasks, before=before, after=after)


def _record(
    last: StoredBuild | None, profile: LogProfile, covered: Coverage, written: Written | None, basis: Basis
) -> Build:
    days: dict[date, Day] = {}
    if last is not None and not covered.replace_all:
        days = {
            day: replace(stored, left_behind=stored.left_behind or day in covered.left_behind)
            for day, stored in last.build.days.items()
            if day not in covered.dropped
        }
    for day, (rows, content) in (written.days if written else {}).items():
        days[day] = Day(rows, content)
    days = dict(sorted(days.items()))
    log = profile.days
    return Build(
        basis.as_of,
        basis.contract,
        basis.columns,
        days,
        log.impressions,
        log.events,
        arrived=basis.arrived,
    )


def _prepare_commit(
    build: Build, covered: Coverage, written: Written | None, path: Location, changed: Mapping[str, int]
) -> BuildCommit:
    if not build.days:
        raise DataError("No impression was shown on the days asked for: nothing was built")
    files = [
        DataFile(f.path, f.rows, f.size, {c.DAY: str(f.day)}) for f in (written.files if written else ())
    ]
    schema = written.schema if written else delta.schema_of(path)
    replaced = [str(day) for day in (*covered.write, *covered.dropped)]
    return BuildCommit(
        build, NewFiles(files, schema, c.DAY), EVERYTHING if covered.replace_all else replaced, changed
    )


def _commit(store: LabelStore, commit: BuildCommit, path: Location, last: StoredBuild | None) -> Snapshot:
    try:
        return store.commit(commit, path=path, expected=last.snapshot.version if last else None)
    except StoreError:
        delta.discard(file.path for file in commit.new.files)
        raise


def _result(
    snapshot: Snapshot,
    build: Build,
    profile: LogProfile,
    covered: Coverage,
    written: Written | None,
    changed: dict[str, int],
) -> LabelsResult:
    if covered.gone:
        fate = (
            "and were dropped: they are of another contract" if covered.replace_all else "and stay as built"
        )
        _LOG.warning("labels: %d day(s) of the store are no longer in the log %s", len(covered.gone), fate)
    for day in sorted(covered.dropped):
        _LOG.error("labels: %s is lost: neither the store nor the log has it any more; it is dropped", day)
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
