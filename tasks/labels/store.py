"""The label store of a surface: a Delta table by impression day, its snapshots, and the published ones.

::

    labels/<surface>/                 the newest build; its as-of never decreases
    labels/<surface>__as_of/<T>/      builds with a past as-of
    snapshots/<surface>/              one row per published snapshot; training reads only published snapshots

Contract digest, as-of and content digest identify a snapshot; the table's version only locates its files.

Files that no snapshot in use needs are removed on request.

::

    kept     the newest build, the newest published snapshot, every build younger than ``keep``,
             every snapshot that a release pins
    removed  older builds' files, whole tables of builds with a past as-of, files of killed builds,
             and summaries that no build has used since (they can be computed again)

Files written within the last day are always kept, because another machine may be about to commit them.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any, Literal

import pyarrow as pa

from tasks.contracts.surface import BUILDS_AS_OF
from tasks.errors import ContractError, DataError, GateRefused, StoreError, unknown
from tasks.labels.build_record import Build
from tasks.labels.snapshot import BUILD, CHANGED, Snapshot, file_day
from tasks.stores import delta
from tasks.stores.delta import NewFiles
from tasks.stores.files import PART, scratch_folder
from tasks.stores.location import Location, Stored, listing, locate, relative_path
from tasks.stores.store import Store
from tasks.stores.workspace import Workspace, format_instant

_SNAPSHOT = "equipoise.snapshot"
_PUBLISHED = pa.schema(
    [
        ("id", pa.string()),
        ("surface", pa.string()),
        ("as_of", pa.timestamp("us", "UTC")),
        ("contract_digest", pa.string()),
        ("content_digest", pa.string()),
        ("path", pa.string()),
        ("version", pa.int64()),
        ("rows", pa.int64()),
        ("first_day", pa.date32()),
        ("last_day", pa.date32()),
        ("report", pa.string()),
        ("severity", pa.string()),
        ("published_at", pa.timestamp("us", "UTC")),
    ]
)


@dataclass(frozen=True)
class LabelStore:
    """The label store of one surface of a home; its tables are in EQUIPOISE_STORE, else in the home."""

    store: Store
    surface: str

    @property
    def path(self) -> Location:
        """The table of the newest build."""
        return self.store.root / "labels" / self.surface

    @property
    def snapshots(self) -> Location:
        """The table of published snapshots."""
        return self.store.root / "snapshots" / self.surface

    @property
    def summaries(self) -> Location:
        """The table of the summaries of the log's files, one Parquet file; it is a cache."""
        return self.store.root / "summaries" / f"{self.surface}.parquet"

    def recover(self) -> None:
        """Set aside commits damaged by a power failure, and remove the files of killed builds."""
        for table in (
            self.path,
            *self.path.with_name(f"{self.surface}{BUILDS_AS_OF}").glob("*"),
            self.snapshots,
        ):
            delta.set_torn_commits_aside(table)
            delta.sweep_left_behind(table, scratch_folder(self.store.home))

    def lost_days(self, path: Location) -> frozenset[date]:
        """Return the days of a table's newest version whose files are missing or damaged."""
        if delta.version_of(path) is None:
            return frozenset()
        return frozenset(file_day(f) for f in delta.lost_files(path))

    def aside(self, as_of: datetime) -> Location:
        """Return the table of a build with a past as-of."""
        return self.path.with_name(f"{self.surface}{BUILDS_AS_OF}") / as_of.astimezone(UTC).strftime(
            "%Y%m%dT%H%M%S.%fZ"
        )

    def last(self, path: Location | None = None) -> Snapshot | None:
        """Return the newest snapshot of a table, by default the store's main table, or None."""
        table = path or self.path
        if delta.version_of(table) is None:
            return None
        newest_first = (commit for limit in (1, None) for commit in delta.history(table, limit=limit))
        return next((self._snapshot(table, v, info) for v, info in newest_first if BUILD in info), None)

    def last_published(self) -> Snapshot | None:
        """Return the snapshot of the main table that was published last, or None."""
        published = map(self._of_row, self._rows(None))
        return next((snapshot for snapshot in published if snapshot.path == str(self.path)), None)

    def commit(
        self,
        build: Build,
        new: NewFiles,
        *,
        replace: Sequence[str] | Literal["everything"],
        path: Location,
        expected: int | None,
        changed: Mapping[str, int] = MappingProxyType({}),
    ) -> Snapshot:
        """Commit a build to a table; a failed commit removes the new files.

        Parameters
        ----------
        replace : days whose earlier files are removed.
        expected : version of the table that the build started from, or None for a new table.
        changed : by task, the observed labels that the build changed.

        Raises
        ------
        StoreError
            Another build was committed since ``expected``.
        """
        metadata = {
            BUILD: json.dumps(build.to_json()),
            _SNAPSHOT: json.dumps(build.snapshot_facts()),
            CHANGED: json.dumps(dict(changed)),
        }
        try:
            version = delta.commit(path, new, replace=replace, metadata=metadata, expected=expected)
        except StoreError:
            delta.discard(file.path for file in new.files)
            raise
        return self._snapshot(path, version, metadata)

    def find(self, snapshot_id: str | None) -> Snapshot:
        """Find a snapshot by its id, by default the newest build's.

        Raises
        ------
        DataError
            There is no such snapshot.
        """
        if snapshot_id is not None:
            return self.snapshot(snapshot_id)
        last = self.last()
        if last is None:
            build = f"equipoise labels build {self.surface} --as-of T"
            raise DataError(f"{self.surface} has no labels yet. Build them: `{build}`")
        return last

    def snapshot(self, snapshot_id: str) -> Snapshot:
        """Find a snapshot by its id, published or not.

        Raises
        ------
        DataError
            There is no such snapshot.
        """
        names: dict[str, None] = {}
        for snapshot in self.known():
            if snapshot.id == snapshot_id:
                return snapshot
            names.setdefault(snapshot.id)
        raise DataError(unknown("label snapshot", snapshot_id, names, where=f"the store of {self.surface}"))

    def published_snapshot(self, snapshot_id: str, *, as_of: datetime) -> Snapshot:
        """Find the published snapshot that a component or a release as of an instant is built from.

        Raises
        ------
        GateRefused
            It was not published: its labels failed validation, or were not validated.
        DataError
            Its labels are as of another instant, or there is no such snapshot.
        """
        labels = self.snapshot(snapshot_id)
        if not self.published(snapshot_id):
            raise GateRefused(
                f"Label snapshot {snapshot_id} of {self.surface} is not published: it did not pass "
                "validation or was not validated. Run `equipoise validate` and read its report."
            )
        if labels.as_of != as_of:
            raise DataError(
                f"Label snapshot {snapshot_id} is as of {format_instant(labels.as_of)}, and "
                f"{format_instant(as_of)} was requested. Build labels as of that instant, or use the "
                "snapshot's own."
            )
        return labels

    def published(self, snapshot_id: str) -> bool:
        """Return whether a snapshot is published, that is, available for training."""
        return any(row["id"] == snapshot_id for row in self._rows(["id", "published_at"]))

    def publish(self, snapshot_id: str, *, report: str, severity: str) -> None:
        """Make a snapshot available for training; publishing it again has no effect.

        Parameters
        ----------
        report
            Location of the validation report.
        severity
            Worst severity of the rules that failed.
        """
        snapshot = self.snapshot(snapshot_id)
        if self.published(snapshot_id):
            return
        row = {
            **{name: getattr(snapshot, name) for name in _PUBLISHED.names if hasattr(snapshot, name)},
            "path": str(relative_path(self.store.root, locate(snapshot.path))),
            "report": report,
            "severity": severity,
            "published_at": datetime.now(UTC),
        }
        delta.append(self.snapshots, pa.Table.from_pylist([row], schema=_PUBLISHED))

    def point_to(self, built: Snapshot) -> None:
        """Point a published snapshot to the files of a new build, since its earlier files may be lost."""
        place = {"path": str(relative_path(self.store.root, locate(built.path))), "version": built.version}
        row = next((row for row in self._rows(None) if row["id"] == built.id), None)
        if row is not None and not place.items() <= row.items():
            moved = {**row, **place, "published_at": datetime.now(UTC)}
            delta.append(self.snapshots, pa.Table.from_pylist([moved], schema=_PUBLISHED))

    def tables(self) -> list[Location]:
        """Return the existing tables: the newest build's, then those of builds with a past as-of."""
        aside: Iterable[Location] = self.path.with_name(f"{self.surface}{BUILDS_AS_OF}").glob("*")
        return [t for t in (self.path, *sorted(aside, key=str)) if delta.version_of(t) is not None]

    def known(self) -> Iterator[Snapshot]:
        """Yield every snapshot: the published ones, then each build, newest first; some are yielded twice."""
        yield from (self._of_row(row) for row in self._rows(None))
        for table in self.tables():
            for version, metadata in delta.history(table):
                if _SNAPSHOT in metadata:
                    yield self._snapshot(table, version, metadata)

    def _rows(self, columns: Sequence[str] | None) -> list[dict[str, Any]]:
        """Return the published rows, newest first."""
        rows = delta.read(self.snapshots, columns).to_pylist()
        return sorted(rows, key=lambda row: row["published_at"], reverse=True)

    def _of_row(self, row: Mapping[str, Any]) -> Snapshot:
        facts = {name: row[name] for name in _PUBLISHED.names if name in Snapshot.__dataclass_fields__}
        return Snapshot(**{**facts, "path": str(self.store.root / row["path"])})

    def _snapshot(self, table: Location, version: int, metadata: Mapping[str, Any]) -> Snapshot:
        facts = json.loads(metadata[_SNAPSHOT])
        return Snapshot(
            surface=self.surface,
            path=str(table),
            version=version,
            **{
                **facts,
                "as_of": datetime.fromisoformat(facts["as_of"]),
                "first_day": date.fromisoformat(facts["first_day"]),
                "last_day": date.fromisoformat(facts["last_day"]),
            },
        )


KEEP = timedelta(days=30)
_ABOUT_TO_BE_COMMITTED = timedelta(days=1)


@dataclass(frozen=True)
class VacuumResult:
    """The removed files, or with ``dry_run`` the removable ones, and their size in bytes.

    ``tables`` counts the files by table; ``pinned`` maps snapshots to the releases that pin them. ``oldest``
    and ``newest``: when the files were written.
    """

    files: int
    bytes: int
    dry_run: bool
    tables: dict[str, int]
    pinned: dict[str, list[int]] = field(default_factory=dict)
    oldest: datetime | None = None
    newest: datetime | None = None


def vacuum(
    workspace: Workspace,
    *,
    keep: timedelta = KEEP,
    dry_run: bool = False,
    now: datetime | None = None,
    releases: Collection[int] | None = None,
) -> VacuumResult:
    """Remove unneeded files of a surface's label store, while no build of this machine runs.

    Parameters
    ----------
    keep : builds younger than this are kept.
    dry_run : report the files without removing them.
    now : the instant from which age is counted; default: the present.
    releases : the releases whose snapshots are kept; default: all.

    Raises
    ------
    ContractError
        ``keep`` is negative.
    """
    if keep < timedelta():
        raise ContractError(
            f"keep {keep} is negative: give the age below which every build stays, as in P30D"
        )
    store, instant = LabelStore(workspace.store, workspace.surface), now or datetime.now(UTC)
    with workspace.store.alone(
        f"{workspace.surface}.labels", doing=f"building labels of {workspace.surface}"
    ):
        pinned = _pinned(workspace, releases)
        going = {
            "labels": _labels(store, pinned, instant - keep, instant),
            "quarantine": _left_behind(workspace.quarantine, instant),
            "summaries": _summaries(store, keep, instant),
        }
        if not dry_run:
            names = (name for files in going.values() for name in files)
            for name in sorted(names, key=_place, reverse=True):
                locate(name).unlink(missing_ok=True)
    stored = [file for files in going.values() for file in files.values()]
    return VacuumResult(
        files=len(stored),
        bytes=sum(file.size for file in stored),
        dry_run=dry_run,
        tables={table: len(files) for table, files in going.items()},
        pinned=pinned,
        oldest=min((file.written for file in stored), default=None),
        newest=max((file.written for file in stored), default=None),
    )


def _summaries(store: LabelStore, keep: timedelta, now: datetime) -> dict[str, Stored]:
    before, folder = now - _ABOUT_TO_BE_COMMITTED, store.summaries.parent
    table, parts = listing(folder, store.summaries.name), listing(folder, f"{PART}*/*")
    return _older(table, min(now - keep, before)) | _older(parts, before)


def _place(name: str) -> tuple[bool, str]:
    """Sort key by which a table's first commit is removed last: a killed run then leaves a table."""
    return delta.LOG not in PurePosixPath(name).parts, name


def _pinned(workspace: Workspace, releases: Collection[int] | None) -> dict[str, list[int]]:
    """Return by snapshot the given releases that pin it."""
    pinned: dict[str, list[int]] = {}
    for release in workspace.releases.summaries():
        if release["snapshot"] and (releases is None or release["version"] in releases):
            pinned.setdefault(release["snapshot"], []).append(release["version"])
    return pinned


def _labels(store: LabelStore, pinned: Collection[str], since: datetime, now: datetime) -> dict[str, Stored]:
    before, tables, published = now - _ABOUT_TO_BE_COMMITTED, store.tables(), store.last_published()
    needed: dict[str, set[int]] = {str(table): set() for table in tables}
    names = {*pinned, *([] if published is None else [published.id])}
    for snapshot in store.known():
        if snapshot.id in names and snapshot.path in needed:  # some tables no longer exist
            needed[snapshot.path].add(snapshot.version)
    going: dict[str, Stored] = {}
    for table in tables:
        committed = delta.committed(table)
        versions = needed[str(table)] | {v for v, at in committed.items() if at >= since}
        if table == store.path or versions:
            versions = versions | {max(committed)}
            going |= delta.unneeded_files(table, versions, before=before)
        else:
            going |= _older(listing(table, "**/*"), before)
    return going


def _left_behind(table: Location, now: datetime) -> dict[str, Stored]:
    """Return the files of an append-only table that belong to no version."""
    newest = delta.version_of(table)
    if newest is None:
        return {}
    return delta.unneeded_files(table, [newest], before=now - _ABOUT_TO_BE_COMMITTED)


def _older(files: Mapping[str, Stored], instant: datetime) -> dict[str, Stored]:
    return {name: stored for name, stored in files.items() if stored.written < instant}
