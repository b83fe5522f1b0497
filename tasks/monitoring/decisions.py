"""Figures of a day's decisions: logged candidates of some requests, decided anew by the champion.

::

    contribution_share    of each term, in the sum of |contributions| of the candidates that are kept
    dropped_share         share of the candidates that a hard constraint, floor or unknown value drops
    unmet_share           share of the slates that fall short of a rule of the slate policy
    exposure_ratio        of each group with a target, by where its candidates were shown

A hundred requests a day are drawn by a hash of their ids. Only the newest 112 days are decided, as many as
alarms need with two weeks to spare.
"""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Final

import numpy as np
import pandas as pd

from tasks import columns as c
from tasks.arrays import Indices
from tasks.contracts import UtilitySpec
from tasks.errors import DataError
from tasks.evaluation.clustered import Ratio
from tasks.evaluation.metric_rows import Figure
from tasks.evaluation.resampling import cluster_rows
from tasks.evaluation.subjects import Subject
from tasks.logs.rows import CANDIDATES, IMPRESSIONS
from tasks.logs.schema import to_frame
from tasks.logs.session import open_log
from tasks.logs.tables import LogTables
from tasks.monitoring.drift_alarms import GAP, HISTORY
from tasks.monitoring.exposure import measure_exposure
from tasks.monitoring.series import SeriesFigure
from tasks.monitoring.serving import mean_figure, ratio_figure
from tasks.monitoring.traffic import ServingReleases, draw_requests
from tasks.ranking.constraints import relevance_floor_reason, unknown_value_reason
from tasks.release.slate_rules import mark_unmet
from tasks.replay.slates import release_examination
from tasks.stores.workspace import Workspace

_DAYS: Final = HISTORY + GAP
_DAY: Final = timedelta(days=1)


def read_decisions(
    workspace: Workspace, releases: ServingReleases, *, known_by: datetime, decided: set[date]
) -> Iterator[SeriesFigure]:
    """Yield the figures of the newest days that were not decided yet; none without a champion."""
    release = None if releases.champion is None else releases.find(releases.champion)
    if release is None:
        return
    last = (known_by - _DAY).date()
    pending = [day for n in range(_DAYS) if (day := last - n * _DAY) not in decided]
    with open_log(workspace) as log:
        for day in reversed(pending):
            frame = _read_requests(log, day, as_of=known_by)
            if frame.empty:
                continue
            try:
                scored = release.score(frame, components=True, certificate=True)
            except DataError as error:
                releases.notes[f"The champion cannot decide the logged candidates. {error}"] = None
                return
            users = cluster_rows(frame[c.USER_ID].to_numpy(), frame[c.REQUEST_ID].to_numpy()).codes
            figures = [*measure_decisions(scored, users, workspace.contracts.utility)]
            exposure, surface = workspace.contracts.slate.exposure, workspace.contracts.surface
            if exposure is not None and release.boosts_groups and surface.logs_all_candidates:
                curve = release_examination(workspace, release.manifest)
                figures += measure_exposure(scored, frame, users, exposure, curve)
            yield from (SeriesFigure(day, 1, None, figure) for figure in figures)


def measure_decisions(scored: pd.DataFrame, users: Indices, utility: UtilitySpec) -> Iterator[Figure]:
    """Yield what each term contributes, what candidates are dropped for, and which slate rules gave way.

    Parameters
    ----------
    scored : [n] candidates with their contributions and the certificates of their slates.
    users : [n] codes.
    """
    dropped = scored[c.DROPPED_BY]
    for reason in (
        *(constraint.name for constraint in utility.hard_constraints),
        *(unknown_value_reason(column) for column in utility.value_columns),
        *(relevance_floor_reason(task) for task in utility.floors_by_context()),
    ):
        drops = np.where(dropped == reason, 1.0, 0.0)
        yield mean_figure(Subject("dropped_share", constraint=reason), drops, users)
    kept = dropped.isna().to_numpy(dtype=bool)
    terms = [task for task in utility.named_terms if c.contribution(task) in scored]
    sizes = {t: np.abs(np.nan_to_num(scored[c.contribution(t)].to_numpy(np.float64)[kept])) for t in terms}
    total = np.sum([*sizes.values()], axis=0) if sizes else np.zeros(0)
    for task, size in sizes.items() if total.any() else ():
        yield ratio_figure(Subject("contribution_share", task=task), Ratio(size, total), users[kept])
    certified = scored[c.CERTIFICATE].notna() if c.CERTIFICATE in scored else pd.Series(dtype=bool)
    for rule, unmet in mark_unmet(scored[c.CERTIFICATE][certified]).items() if certified.any() else ():
        known = np.isfinite(unmet)
        yield mean_figure(Subject("unmet_share", constraint=rule), unmet[known], users[certified][known])


def _read_requests(log: LogTables, day: date, *, as_of: datetime) -> pd.DataFrame:
    """Read the candidates of some requests of a day, the same ones whenever it is read."""
    table, names = (CANDIDATES, log.candidates) if log.candidates else (IMPRESSIONS, log.log.impressions)
    frame = to_frame(log.read(table, list(names), as_of=as_of, first_day=day, last_day=day))
    return frame[draw_requests(frame[c.REQUEST_ID])].reset_index(drop=True)
