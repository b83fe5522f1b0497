"""What steps read of the log itself: candidates to replay, the newest traffic.

Everything else reads the label store, whose rows are whole impressions.
"""

from collections.abc import Sequence
from datetime import date, datetime

import pandas as pd

from tasks import columns as c
from tasks.contracts.chains import parent
from tasks.errors import DataError
from tasks.labels.snapshot import Snapshot
from tasks.labels.store import LabelStore
from tasks.logs import rows
from tasks.logs.rows import CANDIDATES, IMPRESSIONS
from tasks.logs.session import open_log
from tasks.logs.tables import LogTables
from tasks.sql import expressions as x
from tasks.stores.workspace import Workspace, format_instant


def labelled_candidates(
    workspace: Workspace, *, snapshot: str, first_day: date, last_day: date
) -> pd.DataFrame:
    """Read the candidates of some days with the observed labels of those that were shown.

    Without a candidates table they are the impressions themselves. A label that is not observed, and one of a
    candidate that was not shown, is null. Tasks of a chain bring their status too.
    """
    labels = LabelStore(workspace.home, workspace.surface).snapshot(snapshot)
    spec = workspace.contracts.tasks
    chained = [c.status(name) for name in spec.tasks if parent(spec, name)]
    tasks = list(spec.tasks)
    if workspace.contracts.surface.sources.candidates is None:
        made = {c.CONTRACT_VERSION, c.CONTRACT_DIGEST, *map(c.status, tasks), *map(c.at, tasks)} - {*chained}
        columns = [name for name in labels.schema().names if name not in made]
        return labels.read(columns, first_day=first_day, last_day=last_day).to_pandas()
    with open_log(workspace) as log:
        names = [name for name in log.candidates if name not in {*tasks, *chained}]
        read = log.read(CANDIDATES, names, as_of=labels.as_of, first_day=first_day, last_day=last_day)
    return _with_labels(read.to_pandas(), labels, [*tasks, *chained], first_day, last_day)


def newest_candidates(workspace: Workspace, *, as_of: datetime) -> pd.DataFrame:
    """Read the candidates of the newest logged day before an instant.

    Raises
    ------
    DataError
        Nothing was logged before it.
    """
    with open_log(workspace) as log:
        table = CANDIDATES if log.candidates else IMPRESSIONS
        day = _newest_day(log, table, as_of)
        if day is None:
            raise DataError(f"No traffic before {format_instant(as_of)}: there is nothing to shadow on")
        names = log.candidates or log.log.impressions
        return log.read(table, list(names), as_of=as_of, first_day=day, last_day=day).to_pandas()


def _with_labels(
    candidates: pd.DataFrame,
    snapshot: Snapshot,
    columns: Sequence[str],
    first_day: date,
    last_day: date,
) -> pd.DataFrame:
    key = list(c.IMPRESSION_KEY)
    table = snapshot.read([*key, *columns], first_day=first_day, last_day=last_day)
    return candidates.merge(table.to_pandas(), on=key, how="left", validate="one_to_one")


def _newest_day(log: LogTables, table: str, as_of: datetime) -> date | None:
    known = {"source": x.table(table), "known": rows.has_key(table, as_of)}
    found = log.fetch(
        "SELECT CAST(max($at) AS DATE) FROM $source WHERE $known", at=x.column(c.SHOWN_AT), **known
    )
    day: date | None = found[0][0]
    return day
