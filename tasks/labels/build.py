"""Building a surface's labels, counting them, and giving them away as one file.

::

    logs -> checks -> what changed since the last build -> those days labelled -> one commit -> snapshot

Bad rows go to the quarantine before the commit; a step that is killed leaves the last snapshot as it was,
and running it again ends in the same state. Builds of one surface wait for one another: the labels run, a
retrain and a backfill never write the same days at once.
"""

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime
from typing import Any

from tasks import columns as c
from tasks.errors import ContractError, DataError, Overtaken, StoreError
from tasks.labels.changes import changed_labels
from tasks.labels.coverage import Build, Coverage, Day, cover
from tasks.labels.export import ExportResult, ShowResult, export, show
from tasks.labels.files import Written
from tasks.labels.relations import files_read
from tasks.labels.snapshot import Snapshot
from tasks.labels.store import LabelStore, StoredBuild
from tasks.labels.write_days import write_labels
from tasks.logs.duplicate_keys import cut_files
from tasks.logs.profile import LogProfile, profile_log
from tasks.logs.quarantine import quarantine_bad_rows
from tasks.logs.rows import IMPRESSIONS
from tasks.logs.session import open_log
from tasks.logs.summaries import store_summaries
from tasks.logs.tables import LogTables
from tasks.stores import delta
from tasks.stores.delta import EVERYTHING, DataFile
from tasks.stores.location import Location, locate
from tasks.stores.locks import alone
from tasks.stores.workspace import Workspace, format_instant

__all__ = ["ExportResult", "LabelsResult", "ShowResult", "export", "run", "show"]

_LOG = logging.getLogger("equipoise")
_ATTEMPTS = 6


@dataclass(frozen=True)
class LabelsResult:
    """The snapshot that the labels are now, and everything that was counted on the way.

    ``digest`` is the content digest; ``days`` gives the reason of each day that was rewritten; ``gone`` are
    days of the store that the log no longer has; ``changed`` counts, where events came late or were
    corrected, the observed labels that became others; ``quarantined`` counts the bad rows by rule.
    """

    snapshot: str
    digest: str
    as_of: str
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

    An as-of before the store's own is built aside. Confined to days it becomes the store's own instead:
    no day goes back to less mature labels.

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
    _check(as_of, first_day, last_day)
    with alone(
        workspace.home, f"{workspace.surface}.labels", doing=f"building labels of {workspace.surface}"
    ):
        for _ in range(_ATTEMPTS - 1):
            try:
                return _run(workspace, as_of, first_day, last_day)
            except Overtaken as error:
                _LOG.warning("labels: built again on what another machine committed: %s", error)
        return _run(workspace, as_of, first_day, last_day)


def _run(
    workspace: Workspace, as_of: datetime, first_day: date | None, last_day: date | None
) -> LabelsResult:
    store = LabelStore(workspace.home, workspace.surface)
    path, last = store.path, store.last()
    if last is not None and as_of < last.build.as_of:
        if first_day or last_day:
            as_of = last.build.as_of
        else:
            path = store.aside(as_of)
            last = store.last(path)
    with open_log(workspace) as log:
        previous = last.build.as_of if last else None
        found = profile_log(log, folder=store.summaries, as_of=as_of, previous=previous)
        _say(found)
        quarantine_bad_rows(workspace, log, as_of=as_of, files=found.bad_files)
        store_summaries(log, store.summaries)
        covered = cover(
            last.build if last else None,
            found.days,
            workspace.contracts.tasks,
            as_of=as_of,
            contract=workspace.contracts.digests["tasks"],
            columns=log.described,
            lost=store.lost_days(path),
            first_day=first_day,
            last_day=last_day,
        )
        written = _write(log, found, path, as_of, covered) if covered.write else None
        _check_rows(found, covered, written)
        changed = _changed(log, last, covered, written)
    build = _build(last, found, covered, written, log, as_of)
    snapshot = _commit(store, path, last, build, covered, written, changed)
    return _result(snapshot, found, covered, written, changed)


def _write(log: LogTables, found: LogProfile, path: Location, as_of: datetime, covered: Coverage) -> Written:
    read, summaries = files_read(log, IMPRESSIONS, covered.write), found.summaries[IMPRESSIONS]
    if not set(read) <= set(summaries.new):
        cut_files(log, summaries, read, as_of)
    return write_labels(log, path, as_of=as_of, days=covered.write)


def _check(as_of: datetime, first_day: date | None, last_day: date | None) -> None:
    if as_of.tzinfo is None:
        raise ContractError(f"The as-of {as_of} has no zone: give it in UTC")
    if first_day and last_day and first_day > last_day:
        raise ContractError(
            f"The days from {first_day} to {last_day} are none: the first lies after the last"
        )


def _say(found: LogProfile) -> None:
    for table, counts in (("impressions", found.impressions), ("events", found.events)):
        _LOG.info("labels: %s: %s", table, counts)
        if bad := sum(counts.quarantined.values()):
            _LOG.warning("labels: %d %s are quarantined: %s", bad, table, counts.quarantined)
    if found.arrived_early:
        _LOG.warning("labels: %d events arrived before they happened: a clock is wrong", found.arrived_early)
    if found.unknown_events:
        _LOG.warning("labels: events that no task names: %s", found.unknown_events)


def _check_rows(found: LogProfile, covered: Coverage, written: Written | None) -> None:
    """Assert that every impression that takes part was written once."""
    for day in covered.write:
        rows, read = (written.days.get(day, (0, 0))[0] if written else 0), found.days.impressions[day].rows
        if rows != read:
            raise DataError(
                f"{day}: {read:,} impressions were read and {rows:,} labelled. Was the log written to "
                "meanwhile? Build the labels again once it rests."
            )


def _changed(
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
    after = [file.path for file in written.files if file.day in days]
    if not before:
        return {}
    return changed_labels(log.connection, log.contracts.tasks.tasks, before=before, after=after)


def _build(
    last: StoredBuild | None,
    found: LogProfile,
    covered: Coverage,
    written: Written | None,
    log: LogTables,
    as_of: datetime,
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
    contract = log.contracts.digests["tasks"]
    days = dict(sorted(days.items()))
    return Build(as_of, contract, log.described, days, found.days.impressions, found.days.events)


def _commit(
    store: LabelStore,
    path: Location,
    last: StoredBuild | None,
    build: Build,
    covered: Coverage,
    written: Written | None,
    changed: Mapping[str, int],
) -> Snapshot:
    if last is not None and build == last.build and not covered.write:
        return last.snapshot
    if not build.days:
        raise DataError("No impression was shown on the days asked for: nothing was built")
    files = written.files if written else ()
    schema = written.schema if written else delta.schema_of(path)
    try:
        return store.commit(
            build,
            [DataFile(f.path, f.rows, f.size, {c.DAY: str(f.day)}) for f in files],
            schema,
            path=path,
            replace=EVERYTHING
            if covered.replace_all
            else [str(d) for d in (*covered.write, *covered.dropped)],
            expected=last.snapshot.version if last else None,
            changed=changed,
        )
    except StoreError:
        delta.discard(file.path for file in files)
        raise


def _result(
    snapshot: Snapshot,
    found: LogProfile,
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
        partitions_written=len(covered.write),
        rows=snapshot.rows,
        rows_written=sum(rows for rows, _ in written.days.values()) if written else 0,
        days={str(day): reason for day, reason in covered.write.items()},
        gone=[str(day) for day in sorted(covered.gone)],
        changed=changed,
        counts={"impressions": asdict(found.impressions), "events": asdict(found.events)},
        quarantined={**found.impressions.quarantined, **found.events.quarantined},
        arrived_early=found.arrived_early,
        unknown_events=found.unknown_events,
    )
