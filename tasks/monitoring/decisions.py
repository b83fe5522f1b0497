"""Daily figures of decisions: the champion scores the logged candidates of some requests.

::

    contribution_share    share of each term in the sum of |contributions| of the remaining candidates
    dropped_share         share of candidates dropped by a hard constraint, a floor or an unknown value
    unmet_share           share of slates that violate a rule of the slate policy
    exposure_ratio        share of exposure over share of merit, for each group with a target

A hundred requests a day are sampled by a hash of ids, on the newest 112 days: 98 for alarms, 14 to spare.

A feedback loop keeps the exposure of groups at its target, with one step of the boosts per run::

    candidates of a day   ->  exposure_ratio of each group
    days since the last   ->  boost + GAIN x most x (1 - mean ratio / least), from 0 to most
    step, at most 7       ->  row of the audit  ->  tag of the registered model  ->  servers, the release

A boost is added to the utility of the group's candidates that pass constraints and floors. The step is dual
ascent on the exposure bound: it stops when the ratio equals the target, or at 0 if the group exceeds the
target without a boost. It is stable while the full boost changes the ratio by less than 1 / `GAIN` targets,
with a day between a step and its effect.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta
from typing import Final

import numpy as np
import pandas as pd

from tasks import columns as c
from tasks.arrays import Indices
from tasks.contracts import SlateSpec, UtilitySpec
from tasks.contracts.slate import Exposure
from tasks.errors import DataError, EquipoiseError
from tasks.evaluation.clustered import Ratio
from tasks.evaluation.figures import Figure
from tasks.evaluation.resampling import cluster_rows
from tasks.evaluation.subjects import Subject
from tasks.logs.rows import CANDIDATES, IMPRESSIONS
from tasks.logs.session import open_log
from tasks.logs.tables import LogTables, to_frame
from tasks.monitoring.alarms import GAP, HISTORY
from tasks.monitoring.series import SeriesFigure
from tasks.monitoring.serving import mean_figure, ratio_figure
from tasks.monitoring.traffic import ServingReleases, draw_requests
from tasks.ranking import constraints
from tasks.ranking.examination import Examination
from tasks.release.score import mark_unmet
from tasks.replay.metrics import due_exposure
from tasks.replay.slates import release_examination
from tasks.stores.aliases import CHAMPION, ReleaseAliases
from tasks.stores.audit import Entry, Kind, boosts_of, last_exposure
from tasks.stores.workspace import Workspace

_DAYS: Final = HISTORY + GAP
_DAY: Final = timedelta(days=1)


def read_decisions(
    workspace: Workspace, releases: ServingReleases, *, known_by: datetime, decided: set[date]
) -> Iterator[SeriesFigure]:
    """Yield the figures of the newest days without figures; none without a champion."""
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
            yield from (SeriesFigure(day, figure) for figure in figures)


def measure_decisions(scored: pd.DataFrame, users: Indices, utility: UtilitySpec) -> Iterator[Figure]:
    """Yield each term's contribution, the drops by reason, and the unmet slate rules.

    Parameters
    ----------
    scored : [n] candidates with their contributions and the certificates of their slates.
    users : [n] user codes.
    """
    dropped = scored[c.DROPPED_BY]
    for reason in (
        *(constraint.name for constraint in utility.hard_constraints),
        *(constraints.unknown_value_reason(column) for column in utility.value_columns),
        *(constraints.relevance_floor_reason(task) for task in utility.floors_by_context()),
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
    """Read the candidates of some requests of a day; the selection is reproducible."""
    table, names = (CANDIDATES, log.candidates) if log.candidates else (IMPRESSIONS, log.log.impressions)
    frame = to_frame(log.read(table, list(names), as_of=as_of, first_day=day, last_day=day))
    return frame[draw_requests(frame[c.REQUEST_ID])].reset_index(drop=True)


EXPOSURE_RATIO: Final = "exposure_ratio"
GAIN: Final = 0.25
"""Share of the largest boost that one step adds if a group has no exposure."""
_LONGEST_STEP: Final = 7


def measure_exposure(
    scored: pd.DataFrame, frame: pd.DataFrame, users: Indices, exposure: Exposure, curve: Examination | None
) -> Iterator[Figure]:
    """Yield the ratio of exposure to merit of each group with a target; none without logged positions.

    Parameters
    ----------
    scored : [n] candidates of whole requests, as the champion scores them.
    frame : [n] the same candidates as logged, with the positions of shown ones.
    users : [n] user codes.
    curve : examination by position; None gives all positions equal examination.
    """
    if c.POSITION not in frame:
        return
    place = pd.to_numeric(frame[c.POSITION], errors="coerce").to_numpy(np.float64, na_value=np.nan)
    examined = np.nan_to_num(np.where(np.isnan(place), 0.0, 1.0) if curve is None else curve.relative(place))
    name = c.UTILITY if exposure.merit == c.UTILITY else c.probability(exposure.merit)
    merit = scored[name].to_numpy(np.float64, na_value=np.nan)
    kept = scored[c.DROPPED_BY].isna().to_numpy(dtype=bool)
    requests = pd.factorize(frame[c.REQUEST_ID])[0]
    examined, due = due_exposure(examined, np.where(kept, merit, 0.0), requests)
    for value in exposure.least:
        rows = (frame[exposure.by] == value).to_numpy(dtype=bool, na_value=False)
        if due[rows].any():
            subject = Subject(EXPOSURE_RATIO, column=exposure.by, value=value)
            yield ratio_figure(subject, Ratio(examined * rows, due * rows), users)


def next_boosts(exposure: Exposure, ratios: Mapping[str, float]) -> dict[str, float]:
    """Return the boosts after one step from the current ones; groups without a ratio keep theirs.

    Examples
    --------
    >>> exposure = Exposure(by="tier", least={"new": 0.8}, most=0.4)
    >>> next_boosts(exposure, {"new": 0.4}), next_boosts(exposure, {"new": 2.0})
    ({'new': 0.05}, {'new': 0.0})
    """
    most, steps = exposure.most or 0.0, {v: 1 - ratio / exposure.least[v] for v, ratio in ratios.items()}
    return {
        value: round(float(np.clip(boost + GAIN * most * steps.get(value, 0.0), 0.0, most)), 9)
        for value, boost in exposure.boosts.items()
    }


def adjust_boosts(
    aliases: ReleaseAliases, slate: SlateSpec, series: pd.DataFrame, *, as_of: datetime
) -> Iterator[str]:
    """Change the boosts by one step if there are new days; yield the reason if this fails.

    Parameters
    ----------
    slate : the slate policy of the surface.
    series : the rows of the table of series.
    as_of : the instant of the run; a repeated run has no new days.
    """

    def step(entries: tuple[Entry, ...], versions: Mapping[str, int]) -> Entry | None:
        last, champion = last_exposure(entries), versions.get(CHAMPION)
        since = (as_of - timedelta(days=_LONGEST_STEP)).date()
        if last is not None and last.at is not None:
            since = max(since, last.at.date())
        exposure = slate.boosted(boosts_of(last)).exposure
        if exposure is None or champion is None:
            return None
        ratios = _mean_ratios(exposure, series[(series["day"] >= since) & (series["day"] < as_of.date())])
        boosts = next_boosts(exposure, ratios)
        if boosts == exposure.boosts:
            return None
        named = (f"{v} {ratio:.3g}, target {exposure.least[v]:g}" for v, ratio in ratios.items())
        why, written = f"exposure ratio of {'; '.join(named)}", json.dumps({exposure.by: boosts})
        return Entry(Kind.EXPOSURE, "monitor", champion, champion, why, boosts=written, at=as_of)

    if slate.exposure is not None and slate.exposure.least:
        try:
            aliases.add(step)
        except EquipoiseError as error:
            yield f"The boosts of exposure were not changed. {error}"


def _mean_ratios(exposure: Exposure, series: pd.DataFrame) -> dict[str, float]:
    """Return the mean ratio of some days by group."""
    own = series[(series["metric"] == EXPOSURE_RATIO) & (series["column"] == exposure.by)]
    means = own[own["value_of"].isin([*exposure.least])].groupby("value_of")["value"].mean()
    return {str(value): float(ratio) for value, ratio in means.items()}
