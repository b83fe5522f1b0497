"""Removes files of the label store that no snapshot in use needs.

::

    kept     the newest build, the newest published snapshot, every build younger than ``keep``,
             every snapshot that a release pins
    removed  older builds' files, whole tables of builds with a past as-of, files of killed builds,
             and summaries that no build has used since (they can be computed again)

Files written within the last day are always kept, because another machine may be about to commit them.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath

from tasks.errors import ContractError
from tasks.labels.store import LabelStore
from tasks.stores import delta
from tasks.stores.files import PART
from tasks.stores.location import Location, Stored, listing, locate
from tasks.stores.workspace import Workspace

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
    keep
        Builds younger than this are kept.
    dry_run
        Report the files without removing them.
    now
        The instant from which age is counted. Default: the present.
    releases
        The releases whose snapshots are kept. Default: all.

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
            _remove(name for files in going.values() for name in files)
    sizes = [stored.size for files in going.values() for stored in files.values()]
    written = [stored.written for files in going.values() for stored in files.values()]
    return VacuumResult(
        files=len(sizes),
        bytes=sum(sizes),
        dry_run=dry_run,
        tables={table: len(files) for table, files in going.items()},
        pinned=pinned,
        oldest=min(written, default=None),
        newest=max(written, default=None),
    )


def _remove(names: Iterable[str]) -> None:
    for name in sorted(names, key=_place, reverse=True):
        locate(name).unlink(missing_ok=True)


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


def _summaries(store: LabelStore, keep: timedelta, now: datetime) -> dict[str, Stored]:
    before, folder = now - _ABOUT_TO_BE_COMMITTED, store.summaries.parent
    table, parts = listing(folder, store.summaries.name), listing(folder, f"{PART}*/*")
    return _older(table, min(now - keep, before)) | _older(parts, before)


def _older(files: Mapping[str, Stored], instant: datetime) -> dict[str, Stored]:
    return {name: stored for name, stored in files.items() if stored.written < instant}
