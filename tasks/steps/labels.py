"""Building a surface's labels, counting them, and giving them away as one file.

::

    logs -> checks -> what changed since the last build -> those days labelled -> files -> one commit -> snapshot

Bad rows go to the quarantine before the commit; a step that is killed leaves the last snapshot as it was, and
running it again ends in the same state.
"""

import logging
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

from tasks import columns as c
from tasks.engines.duckdb import LogTables, session
from tasks.engines.label_build import Written, write_labels
from tasks.engines.profile import LogProfile, profile
from tasks.errors import ContractError, DataError
from tasks.labels.coverage import Build, Coverage, Day, cover
from tasks.steps.context import Context, format_instant
from tasks.steps.quarantine import keep_bad_rows
from tasks.stores.delta import EVERYTHING, DataFile
from tasks.stores.label_store import LabelStore, Snapshot, StoredBuild

_LOG = logging.getLogger("equipoise")


@dataclass(frozen=True)
class LabelsResult:
    """The snapshot that the labels are now, and everything that was counted on the way.

    ``digest`` is the content digest; ``days`` gives the reason of each day that was rewritten; ``gone`` are
    days of the store that the log no longer has; ``quarantined`` counts the bad rows by rule.
    """

    snapshot: str
    digest: str
    as_of: str
    partitions_written: int
    rows: int
    rows_written: int
    days: dict[str, str]
    gone: list[str]
    counts: dict[str, Any]
    quarantined: dict[str, int]
    unknown_events: dict[str, int]
    unknown_items: dict[str, Any]


def run(
    context: Context, *, as_of: datetime, first_day: date | None = None, last_day: date | None = None
) -> LabelsResult:
    """Build the labels as of an instant.

    An as-of before the store's own is built aside; confined to days, it becomes the store's own instead, so that
    no day goes back to less mature labels.

    Parameters
    ----------
    first_day, last_day
        Confine the build to these days of impressions; by default every day where something changed.

    Raises
    ------
    DataError
        A log table is missing, empty, or not as the contracts need it.
    StoreError
        Another build was committed meanwhile.
    """
    _refuse_range(as_of, first_day, last_day)
    store = LabelStore(context.home, context.surface)
    path, last = store.path, store.last()
    if last is not None and as_of < last.build.as_of:
        if first_day or last_day:
            as_of = last.build.as_of
        else:
            path = store.aside(as_of)
            last = store.last(path)
    with session(context.home) as connection:
        log = LogTables.open(connection, context.logs, context.contracts)
        log.cut(as_of)
        found = profile(log, as_of=as_of, previous=last.build.as_of if last else None)
        _report(found)
        keep_bad_rows(context, log, as_of=as_of)
        build = _Build(context, store, path, last, log, found, as_of)
        return build.run(first_day, last_day)
