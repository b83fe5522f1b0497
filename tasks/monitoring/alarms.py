"""Alarms on the series of all traffic: which level shifted since when, what it means and what to do.

::

    calibration_ratio, mean_prediction, rows    compared as logarithms: a rise of 10 % is one at any level
    all shares                                  as arcsin(sqrt(share)), whose noise is even

An alarm is current for a week after its day; while a level stays away from its reference it is raised again.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import numpy as np
import pandas as pd

from tasks.contracts.surface import ALARMED, AlarmedMetric
from tasks.evaluation.binary import Floats
from tasks.evaluation.subjects import Segment, Subject
from tasks.monitoring.drift_alarms import GAP, HISTORY, DriftAlarm, detect_drift
from tasks.reports.numbers import format_number, spoken

_CURRENT: Final = timedelta(days=7)
_REPEATED: Final = 14
"""Days within which an alarm of a series is taken for a repeated one."""
_DAY: Final = timedelta(days=1)
OF_SHARES: Final = frozenset({"share", "arrived_share", "contribution_share", "dropped_share", "unmet_share"})
"""Metrics that are shares of a whole."""
_LEAST_CHANGE: Final = {"dropped_share": 0.01, "unmet_share": 0.01}
"""Changes below which a rule raises no alarm: the first candidate that a rule drops is none."""

MEANING: Final[dict[AlarmedMetric, tuple[str, str]]] = {
    "calibration_ratio": (
        "Outcomes of matured impressions are {direction} frequent, relative to the predictions, than before.",
        "Compare segments and the mean prediction, look at features and event streams, then retrain.",
    ),
    "mean_prediction": (
        "Served predictions are {direction} on average; outcomes are not needed to see it.",
        "Look for a change of the mix of impressions, of a feature, or of the release on that day.",
    ),
    "rows": (
        "The log holds {direction} impressions a day than before.",
        "Ask the owner of the log whether a stream is missing or doubled.",
    ),
    "share": (
        "The segment has a {direction} share of the impressions than before.",
        "Look for a change of the candidates' source, of the policy or of the catalogue on that day.",
    ),
    "contribution_share": (
        "The term makes up a {direction} part of the utility than before, by the champion's predictions.",
        "Compare the mean prediction of the task, then the weights of the policy and their contexts.",
    ),
    "dropped_share": (
        "A {direction} share of the candidates is dropped for this reason than before.",
        "Look at the column that it reads, and at the sources of candidates on that day.",
    ),
    "unmet_share": (
        "A {direction} share of the slates falls short of the rule than before.",
        "Look at the candidates that meet the rule, their sources, and what constraints drop of them.",
    ),
    "arrived_share": (
        "Events come {direction} after the impression than before: delays have changed.",
        "Trust no estimate before maturity until delays are steady for a month; ask who delivers the events.",
    ),
}
"""What an alarm of each metric means, and what to do."""
_DIRECTIONS: Final = {
    "calibration_ratio": ("less", "more"),
    "mean_prediction": ("lower", "higher"),
    "rows": ("fewer", "more"),
    "share": ("smaller", "larger"),
    "arrived_share": ("later", "sooner"),
    "contribution_share": ("smaller", "larger"),
    "dropped_share": ("smaller", "larger"),
    "unmet_share": ("smaller", "larger"),
}


@dataclass(frozen=True)
class SeriesAlarm:
    """A series whose level shifted.

    Attributes
    ----------
    day : the day whose figure raised it; ``since`` when the level has most likely been another.
    before, now : mean figure of the reference, and from ``since`` to ``day``.
    critical : whether the surface declares it so; ``new``: whether no message of it was sent.
    """

    subject: Subject
    day: date
    since: date
    before: float
    now: float
    critical: bool
    new: bool
    name: str
    meaning: str
    action: str

    @property
    def sentence(self) -> str:
        """The alarm in words: what moved since when, what it means and what to do."""
        moved = f"{format_number(self.before)} to {format_number(self.now)} since {self.since}"
        return f"{self.name}: {moved}. {self.meaning} {self.action}"


@dataclass(frozen=True)
class AlarmReading:
    """Alarms of the last week, the newest of each series; ``raised`` holds every day of each series' alarms.

    ``history`` counts the days of the longest series; with fewer than `HISTORY` there are levels only.
    """

    current: tuple[SeriesAlarm, ...]
    raised: dict[Subject, list[date]]
    history: int

    @property
    def needed(self) -> int:
        """The days that a series needs before it can be compared."""
        return HISTORY

    @property
    def levels_only(self) -> bool:
        """Whether no series is long enough to be compared with a reference."""
        return self.history < HISTORY


@dataclass(frozen=True)
class _Matrix:
    """Figures of consecutive days, [series, days]."""

    subjects: tuple[Subject, ...]
    days: Sequence[date]
    figures: Floats

    @classmethod
    def of(cls, series: pd.DataFrame) -> "_Matrix":
        """Take the daily figures of all traffic whose metric raises alarms."""
        daily = (series["days"] == 1) & (series["segment"] == "") & series["release"].isna()
        traffic = (series["metric"] != "rows") | (series["task"] == "")
        own = series[daily & traffic & series["metric"].isin(ALARMED)]
        if own.empty:
            return cls((), (), np.empty((0, 0)))
        first, last = own["day"].min(), own["day"].max()
        days = [first + n * _DAY for n in range((last - first).days + 1)]
        mixed = own.loc[own["metric"] == "share", "day"].unique()
        figures = []
        for subject, rows in (split := split_series(own)).items():
            values = rows.set_index("day")["value"]
            if subject.metric == "share":  # a value that no impression has any more
                values = values.reindex(mixed[mixed >= values.index.min()], fill_value=0.0)
            figures.append(values.reindex(days).to_numpy(np.float64))
        return cls(tuple(split), days, np.array(figures))


def split_series(rows: pd.DataFrame) -> dict[Subject, pd.DataFrame]:
    """Return the rows of the table of series by their subject, in order.

    Examples
    --------
    >>> rows = pd.DataFrame({"metric": ["rows", "share"], "column": ["", "kind"], "value_of": ["", "a"]})
    >>> [str(one) for one in split_series(rows.assign(task="", feature="", constraint=""))]
    ['rows', 'kind_share:a']
    """
    columns = ["metric", "task", "column", "value_of", "feature", "constraint"]
    found = {}
    for key, own in rows.groupby(columns):
        metric, task, column, value, feature, constraint = map(str, key)
        named = {"column": column, "value": value, "feature": feature, "constraint": constraint}
        found[Subject(metric, task=task, **named)] = own
    return found


def name_series(subject: Subject) -> str:
    """Name a series for people.

    Examples
    --------
    >>> name_series(Subject("calibration_ratio", task="click")), name_series(Subject("rows"))
    ('calibration ratio of click', 'rows')
    >>> name_series(Subject("share", column="source", value="ads"))
    'share of source=ads'
    """
    column = str(Segment(subject.column, subject.value)) if subject.column else ""
    of = ", ".join(filter(None, (subject.task, subject.constraint, column)))
    return f"{spoken(subject.metric)} of {of}" if of else spoken(subject.metric)


def read_alarms(series: pd.DataFrame, *, critical: Collection[str], sent: Mapping[str, date]) -> AlarmReading:
    """Compare every series with its reference.

    Parameters
    ----------
    series : the rows of the table of series.
    critical : tasks and metrics whose alarms are critical.
    sent : by the name of a series the day of its newest alarm of which a message was sent.
    """
    matrix = _Matrix.of(series)
    if not matrix.subjects:
        return AlarmReading((), {}, 0)
    scaled = np.array([_scale(of, own) for of, own in zip(matrix.subjects, matrix.figures, strict=True)])
    reading = detect_drift(scaled, kinds=[subject.metric for subject in matrix.subjects])
    raised: dict[Subject, list[date]] = {}
    newest: dict[int, tuple[DriftAlarm, DriftAlarm]] = {}
    for alarm in reading.alarms:
        if not _matters(matrix, alarm):
            continue
        raised.setdefault(matrix.subjects[alarm.series], []).append(matrix.days[alarm.day])
        first, last = newest.get(alarm.series, (alarm, alarm))
        newest[alarm.series] = (first if alarm.day - last.day <= _REPEATED else alarm, alarm)
    current = [_describe(matrix, *ends, critical, sent) for ends in newest.values()]
    ends = {of: _last_day(matrix, own) for of, own in zip(matrix.subjects, matrix.figures, strict=True)}
    return AlarmReading(
        tuple(
            sorted(
                (one for one in current if one.day > ends[one.subject] - _CURRENT),
                key=lambda one: (not one.critical, -one.day.toordinal(), one.subject),
            )
        ),
        raised,
        len(matrix.days),
    )


def _scale(subject: Subject, values: Floats) -> Floats:
    if subject.metric in OF_SHARES:
        return np.arcsin(np.sqrt(np.clip(values, 0.0, 1.0)))
    return np.log(np.where(values > 0, values, np.nan))


def _matters(matrix: _Matrix, alarm: DriftAlarm) -> bool:
    before, now = _compare(matrix, alarm, alarm)
    return abs(now - before) >= _LEAST_CHANGE.get(matrix.subjects[alarm.series].metric, 0.0)


def _compare(matrix: _Matrix, first: DriftAlarm, last: DriftAlarm) -> tuple[float, float]:
    """Return the mean of the first alarm's reference, and of the days since its level shifted."""
    values = matrix.figures[last.series]
    reference = slice(first.day - HISTORY + 1, first.day - GAP + 1)
    return float(np.nanmean(values[reference])), float(np.nanmean(values[first.since : last.day + 1]))


def _last_day(matrix: _Matrix, values: Floats) -> date:
    return matrix.days[int(np.flatnonzero(np.isfinite(values)).max(initial=0))]


def _describe(
    matrix: _Matrix,
    first: DriftAlarm,
    last: DriftAlarm,
    critical: Collection[str],
    sent: Mapping[str, date],
) -> SeriesAlarm:
    """Describe alarms that were raised again and again, by the first one's reference."""
    subject = matrix.subjects[last.series]
    metric: AlarmedMetric = next(name for name in ALARMED if name == subject.metric)
    meaning, action = MEANING[metric]
    day, name = matrix.days[last.day], name_series(subject)
    before, now = _compare(matrix, first, last)
    return SeriesAlarm(
        subject=subject,
        day=day,
        since=matrix.days[first.since],
        before=before,
        now=now,
        critical=not {subject.task, subject.metric}.isdisjoint(critical),
        new=day > sent.get(name, date.min),
        name=name,
        meaning=meaning.format(direction=_DIRECTIONS[metric][int(last.shift > 0)]),
        action=action,
    )
