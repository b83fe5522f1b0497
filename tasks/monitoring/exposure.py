"""The feedback that keeps the exposure of groups at its target: figures of a day, then a step of the boosts.

::

    candidates of a day   ->  exposure_ratio of each group
    days since the last   ->  boost + GAIN x most x (1 - mean ratio / least), from 0 to most
    step, at most 7       ->  row of the audit  ->  tag of the registered model  ->  servers, the release

A boost is added to the utility of the group's candidates that constraints and floors have left. The step is
that of dual ascent on the bound of the exposure: it stops where the ratio is the target, and at 0 where the
group has more without a boost. It is stable while the ratio moves by less than 1 / `GAIN` targets between no
boost and the largest one, with a day between a step and what it leads to.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Final

import numpy as np
import pandas as pd

from tasks import columns as c
from tasks.arrays import Indices
from tasks.contracts import SlateSpec
from tasks.contracts.slate import Exposure
from tasks.errors import EquipoiseError
from tasks.evaluation.clustered import Ratio
from tasks.evaluation.metric_rows import Figure
from tasks.evaluation.subjects import Subject
from tasks.monitoring.serving import ratio_figure
from tasks.ranking.examination import Examination
from tasks.replay.exposure import due_exposure
from tasks.stores.aliases import CHAMPION, ReleaseAliases
from tasks.stores.audit import Entry, Kind, boosts_of, last_exposure

EXPOSURE_RATIO: Final = "exposure_ratio"
GAIN: Final = 0.25
"""Share of the largest boost that one step adds where a group has no exposure."""
_DAYS: Final = 7


def measure_exposure(
    scored: pd.DataFrame, frame: pd.DataFrame, users: Indices, exposure: Exposure, curve: Examination | None
) -> Iterator[Figure]:
    """Yield the ratio of exposure to merit of each group with a target; none where no position is logged.

    Parameters
    ----------
    scored : [n] candidates of whole requests, as the champion scores them.
    frame : [n] the same as they are logged, with the position of those that were shown.
    users : [n] codes.
    curve : examination by position; None looks at every slot alike.
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
    """Return the boosts after one step, from those in force; a group without a ratio keeps its own.

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
    """Move the boosts by one step where new days were measured; yield why they could not be moved.

    Parameters
    ----------
    slate : the slate policy of the surface.
    series : the rows of the table of series.
    as_of : the instant of the run; a repeated run finds no new day.
    """

    def step(entries: tuple[Entry, ...], versions: Mapping[str, int]) -> Entry | None:
        last, champion = last_exposure(entries), versions.get(CHAMPION)
        since = (as_of - timedelta(days=_DAYS)).date()
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
