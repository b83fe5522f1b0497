"""Alarms on the series of all traffic: shifted levels, their meaning and recommended actions.

::

    calibration_ratio, mean_prediction, rows    compared as logarithms, so that changes are relative
    all shares                                  as arcsin(sqrt(share)), which stabilises the variance
    rate                                        as a square root, like counts of rare events
    feature_distance, served_difference         compared with their own bounds, from the first day on

An alarm is current for a week after its day, and is repeated while the level stays away from its reference.

Shifts are detected by an e-detector with a lagged reference.

::

    day d              |----- reference, 84 days -----|-- 14 days --| d
    z                  (r - mean) / sqrt(s^2 (1 + 1/84) (1 + h) / (1 - h)), mapped to a normal through t(83)
    h                  lag-1 correlation in the reference, pooled over the series of a kind
    evidence           M_j <- (M_j + 1) exp(l_j z - l_j^2 / 2),   l in -2, -1, -.5, .5, 1, 2
    alarm              mean of M >= 3 x series x 700; M starts again from 0

A reference that ends on the day before would absorb a slow drift, hence the lag of 14 days. A limit on each
day's z would raise false alarms every week, and evidence without h would do so if a level persists from day
to day. There is at most about one false alarm in 700 days over all series: ``python -m
benchmarks.drift_alarms`` prints the number, and the delay of detections.

Alarms depend on the series alone, and additional days do not change alarms of earlier days.

Shin, Ramdas and Rinaldo (2024), "E-detectors: a nonparametric framework for sequential change detection".
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from typing import Final

import numpy as np
import pandas as pd
from scipy.special import ndtri, stdtr

from tasks.arrays import Flags, Floats, Indices
from tasks.contracts.surface import ALARMED, AlarmedMetric
from tasks.evaluation.binary import divide
from tasks.evaluation.subjects import Segment, Subject
from tasks.reports.numbers import format_number, spoken

REFERENCE: Final = 84
GAP: Final = 14
"""Days between the end of the reference and the compared day."""
HISTORY: Final = REFERENCE + GAP
"""Minimum number of days of a series, including the compared day; before, only levels are shown."""
LEAST_FIGURES: Final = REFERENCE // 2
"""Minimum number of days of the reference with a figure."""
_BETS: Final = np.array([-2.0, -1.0, -0.5, 0.5, 1.0, 2.0])
_FALSE_ALARM_DAYS: Final = 700
_LIMIT: Final = 3
"""Limit with which twenty series with an estimated reference meet `_FALSE_ALARM_DAYS`."""
_FURTHEST: Final = 37.0
"""Largest normal deviation whose probability is representable in double precision."""
_MOST_PERSISTENT: Final = 0.95


@dataclass(frozen=True)
class DriftAlarm:
    """A series whose level has shifted.

    Attributes
    ----------
    series, day : row and column of the matrix of series.
    since : the day from which the shift is most likely, at most ``day``.
    shift : mean distance of the days from ``since`` to ``day`` from their references, in the series' unit;
        positive if the series rose. It is biased away from 0, because alarms select extreme days.
    z : deviation of ``day`` in standard normal units.
    """

    series: int
    day: int
    since: int
    shift: float
    z: float


@dataclass(frozen=True)
class DriftReading:
    """Comparison of series with their references.

    Attributes
    ----------
    z : [series, days], NaN if a day has no figure or no reference.
    alarms : sorted by day, then by series.
    levels_only : [series], whether a series is too short, or has too few figures, to be compared.
    """

    z: Floats
    alarms: tuple[DriftAlarm, ...]
    levels_only: Flags


def detect_drift(series: Floats, *, kinds: Sequence[str] | None = None) -> DriftReading:
    """Compare every day of every series with its reference and raise alarms.

    An alarm is repeated every few days while the level stays away from its reference.

    Parameters
    ----------
    series : [series, days] figures on a scale with constant variance, such as log(observed / predicted);
        consecutive days, NaN for a day without a figure. More series raise the limit of each.
    kinds : [series] kinds by name, by default one; series of one kind share the lag-1 correlation.

    Examples
    --------
    >>> days = np.random.default_rng(2).normal(0.0, 0.08, (2, 140))
    >>> days[1, 120:] += 0.3
    >>> reading = detect_drift(days)
    >>> [(alarm.series, alarm.day, alarm.since, round(alarm.shift, 2)) for alarm in reading.alarms[:1]]
    [(1, 122, 120, 0.27)]
    >>> detect_drift(days[:, :97]).levels_only.tolist()
    [True, True]
    """
    figures = np.asarray(series, dtype=np.float64)
    codes = np.unique(kinds, return_inverse=True)[1] if kinds else np.zeros(len(figures), dtype=np.intp)
    z, distances = _compare(figures, codes)
    return DriftReading(z, tuple(_raise_alarms(z, distances)), np.asarray(~np.isfinite(z).any(axis=1)))


def _compare(series: Floats, kinds: Indices) -> tuple[Floats, Floats]:
    """Return z and the distances from the reference means, both [series, days]."""
    z, distances = np.full((2, *series.shape), np.nan)
    begun = np.logical_or.accumulate(np.isfinite(series), axis=1)
    for day in range(HISTORY - 1, series.shape[1]):
        first = day - HISTORY + 1
        window = series[:, first : first + REFERENCE]
        known = np.isfinite(window)
        n = known.sum(axis=1)
        mean = divide(np.where(known, window, 0.0).sum(axis=1), n)
        residuals = np.where(known, window - mean[:, None], 0.0)
        variance = divide((residuals**2).sum(axis=1), n - 1)
        h = _correlate_neighbours(divide(residuals, np.sqrt(variance)[:, None]), known, kinds)
        spread = np.sqrt(variance * (1 + divide(1, n)) * (1 + h) / (1 - h))
        enough = begun[:, first] & (n >= LEAST_FIGURES)
        distances[:, day] = np.where(enough, series[:, day] - mean, np.nan)
        z[:, day] = _deviate(distances[:, day], spread, np.abs(mean), n - 1)
    return z, distances


def _correlate_neighbours(residuals: Floats, known: Flags, kinds: Indices) -> Floats:
    """Return the lag-1 correlation of each series, pooled by kind, at least 0."""
    residuals = np.nan_to_num(residuals)
    products = (residuals[:, 1:] * residuals[:, :-1]).sum(axis=1)
    varies = residuals.any(axis=1)
    pairs = np.where(varies, (known[:, 1:] & known[:, :-1]).sum(axis=1), 0)
    pooled = divide(np.bincount(kinds, products), np.bincount(kinds, pairs))
    return np.asarray(np.clip(np.nan_to_num(pooled), 0.0, _MOST_PERSISTENT)[kinds])


def _deviate(distances: Floats, spread: Floats, size: Floats, freedom: Indices) -> Floats:
    """Return distances in standard normal units; any change of a constant series is the maximum."""
    rounding = 1e-12 * size
    moved = np.where(np.abs(distances) > rounding, np.copysign(np.finfo(float).max, distances), 0 * distances)
    t = np.divide(distances, spread, out=moved, where=spread > rounding)
    return np.asarray(np.sign(t) * np.minimum(-ndtri(stdtr(np.maximum(freedom, 1), -np.abs(t))), _FURTHEST))


def _raise_alarms(z: Floats, distances: Floats) -> list[DriftAlarm]:
    count, days = z.shape
    limit = _LIMIT * count * _FALSE_ALARM_DAYS
    gains = np.nan_to_num(_BETS[:, None, None] * z - _BETS[:, None, None] ** 2 / 2)
    evidence, begun = np.zeros((len(_BETS), count)), np.zeros(count, dtype=np.intp)
    alarms = list[DriftAlarm]()
    for day in range(days):
        known = np.isfinite(z[:, day])
        evidence = np.where(known, (evidence + 1) * np.exp(gains[:, :, day]), evidence)
        for one in np.flatnonzero(known & (evidence.mean(axis=0) >= limit)):
            bet = int(evidence[:, one].argmax())
            since = _begin(gains[bet, one, begun[one] : day + 1]) + int(begun[one])
            shift = float(np.nanmean(distances[one, since : day + 1]))
            alarms.append(DriftAlarm(int(one), day, since, shift, float(z[one, day])))
            evidence[:, one], begun[one] = 0.0, day + 1
    return alarms


def _begin(gains: Floats) -> int:
    """Return the first day with which the sum of gains to the end is largest; the last of equal days."""
    return len(gains) - 1 - int(gains[::-1].cumsum().argmax())


_CURRENT: Final = timedelta(days=7)
_REPEATED: Final = 14
"""Days within which an alarm of a series counts as a repetition."""
_DAY: Final = timedelta(days=1)
OF_SHARES: Final = frozenset(
    {
        "share",
        "arrived_share",
        "contribution_share",
        "dropped_share",
        "unmet_share",
        "returned_share",
        "served_difference",
    }
)
"""Metrics that are shares."""
_SERVED: Final = "served_difference"
_BOUNDED: Final = ("feature_distance", _SERVED)
"""Metrics that are compared with a bound: the figure's upper end, or `_LEAST_DIFFERENCE`."""
_LEAST_DIFFERENCE: Final = 0.01
_LEAST_CHANGE: Final = {"dropped_share": 0.01, "unmet_share": 0.01}
"""Minimum changes for an alarm, so that the first candidate that a rule drops raises none."""

MEANING: Final[dict[AlarmedMetric, tuple[str, str]]] = {
    "calibration_ratio": (
        "Outcomes of matured impressions are {direction} frequent, relative to the predictions, than before.",
        "Compare segments and the mean prediction, check features and event streams, then retrain.",
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
        "Check the column that it reads, and the sources of candidates on that day.",
    ),
    "unmet_share": (
        "A {direction} share of the slates falls short of the rule than before.",
        "Check the candidates that meet the rule, their sources, and how many constraints drop.",
    ),
    "returned_share": (
        "A {direction} share of a day's users is back within seven days than before.",
        "Compare releases and the marked events; an experiment shows whether a release is the cause.",
    ),
    "rate": (
        "Outcomes of matured impressions are {direction} frequent than before; no model predicts them.",
        "Compare segments and releases, then ask the owner of the events whether a stream is missing.",
    ),
    "feature_distance": (
        "Impressions of the day have other values than the days that the champion learned from.",
        "Ask who delivers the feature; retrain once its values are as intended.",
    ),
    "served_difference": (
        "Logged predictions are not what the release gives on the logged features.",
        "Compare the features that serving reads with those that it logs.",
    ),
    "arrived_share": (
        "Events come {direction} after the impression than before: delays have changed.",
        "Trust no estimate before maturity until delays are steady for a month; ask who delivers the events.",
    ),
}
"""Meaning and recommended action of an alarm, by metric."""
_DIRECTIONS: Final = {
    "calibration_ratio": ("less", "more"),
    "mean_prediction": ("lower", "higher"),
    "rows": ("fewer", "more"),
    "arrived_share": ("later", "sooner"),
    "rate": ("less", "more"),
}
"""Words for a fall and a rise, by metric; other shares are smaller or larger."""


@dataclass(frozen=True)
class SeriesAlarm:
    """A series with a shifted level.

    Attributes
    ----------
    day : the day whose figure raised the alarm; ``since``: the most likely first day of the new level.
    before, now : mean figure of the reference, and of the days from ``since`` to ``day``.
    critical : whether the surface declares it critical; ``new``: whether no message about it was sent.
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
        """The alarm as a sentence: change, first day, meaning and action."""
        moved = f"{format_number(self.before)} to {format_number(self.now)} since {self.since}"
        return f"{self.name}: {moved}. {self.meaning} {self.action}"


@dataclass(frozen=True)
class AlarmReading:
    """Alarms of the last week, the newest of each series; ``raised``: the days of all alarms by series.

    ``history`` is the number of days of the longest series; with fewer than `HISTORY` there are no alarms.
    """

    current: tuple[SeriesAlarm, ...]
    raised: dict[Subject, list[date]]
    history: int

    @property
    def needed(self) -> int:
        """Number of days that a series needs for comparisons."""
        return HISTORY

    @property
    def levels_only(self) -> bool:
        """Whether every series is too short for comparisons."""
        return self.history < HISTORY


@dataclass(frozen=True)
class _Matrix:
    """Figures of consecutive days, [series, days]."""

    subjects: tuple[Subject, ...]
    days: Sequence[date]
    figures: Floats

    @classmethod
    def of(cls, series: pd.DataFrame) -> "_Matrix":
        """Select the daily figures of all traffic for metrics that raise alarms."""
        daily = (series["days"] == 1) & (series["segment"] == "") & series["release"].isna()
        traffic = (series["metric"] != "rows") | (series["task"] == "")
        own = series[daily & traffic & series["metric"].isin({*ALARMED} - {*_BOUNDED})]
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
    """Split the table of series by subject, in order.

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
    """Return the display name of a series.

    Examples
    --------
    >>> name_series(Subject("calibration_ratio", task="click")), name_series(Subject("rows"))
    ('calibration ratio of click', 'rows')
    >>> name_series(Subject("share", column="source", value="ads"))
    'share of source=ads'
    """
    column = str(Segment(subject.column, subject.value)) if subject.column else ""
    of = ", ".join(filter(None, (subject.feature, subject.task, subject.constraint, column)))
    return f"{spoken(subject.metric)} of {of}" if of else spoken(subject.metric)


def read_alarms(series: pd.DataFrame, *, critical: Collection[str], sent: Mapping[str, date]) -> AlarmReading:
    """Compare every series with its reference.

    Parameters
    ----------
    series : the rows of the table of series.
    critical : tasks and metrics whose alarms are critical.
    sent : day of the newest alarm with a sent message, by series name.
    """
    matrix, rules = _Matrix.of(series), _AlarmRules(critical, sent)
    found = [*_find_shifts(matrix, rules), *_find_beyond(series, rules)]
    current = (alarm for alarm, _, last in found if alarm.day > last - _CURRENT)
    order = sorted(current, key=lambda one: (not one.critical, -one.day.toordinal(), one.subject))
    return AlarmReading(tuple(order), {alarm.subject: days for alarm, days, _ in found}, len(matrix.days))


_Raised = tuple[SeriesAlarm, list[date], date]
"""Newest alarm of a series, the days of all its alarms, and the series' last day."""


@dataclass(frozen=True)
class _AlarmRules:
    """Critical tasks and metrics, and alarms with sent messages."""

    critical: Collection[str]
    sent: Mapping[str, date]

    def describe(
        self, subject: Subject, days: tuple[date, date], levels: tuple[float, float], *, found: str = ""
    ) -> SeriesAlarm:
        """Return an alarm, given its first and last day, and the levels before and after."""
        metric: AlarmedMetric = next(name for name in ALARMED if name == subject.metric)
        (since, day), (before, now), name = days, levels, name_series(subject)
        meaning, action = MEANING[metric]
        direction = _DIRECTIONS.get(metric, ("smaller", "larger"))[int(now > before)]
        return SeriesAlarm(
            subject=subject,
            day=day,
            since=since,
            before=before,
            now=now,
            critical=metric == _SERVED or not {subject.task, metric}.isdisjoint(self.critical),
            new=day > self.sent.get(name, date.min),
            name=name,
            meaning=meaning.format(direction=direction),
            action=f"{action} {found}".strip(),
        )


def _find_shifts(matrix: _Matrix, rules: _AlarmRules) -> Iterator[_Raised]:
    """Yield the series with a shifted level; repeated alarms share the reference of the first one."""
    if not matrix.subjects:
        return
    scaled = np.array([_scale(of, own) for of, own in zip(matrix.subjects, matrix.figures, strict=True)])
    reading = detect_drift(scaled, kinds=[subject.metric for subject in matrix.subjects])
    raised: dict[int, list[DriftAlarm]] = {}
    for alarm in reading.alarms:
        before, now = _levels(matrix, alarm, alarm)
        if abs(now - before) >= _LEAST_CHANGE.get(matrix.subjects[alarm.series].metric, 0.0):
            raised.setdefault(alarm.series, []).append(alarm)
    for series, alarms in raised.items():
        gaps = [later.day - alarm.day > _REPEATED for alarm, later in pairwise(alarms)]
        first, last = alarms[max((n + 1 for n, gap in enumerate(gaps) if gap), default=0)], alarms[-1]
        days = (matrix.days[first.since], matrix.days[last.day])
        known = np.flatnonzero(np.isfinite(matrix.figures[series]))
        newest = rules.describe(matrix.subjects[series], days, _levels(matrix, first, last))
        yield newest, [matrix.days[alarm.day] for alarm in alarms], matrix.days[int(known.max())]


def _find_beyond(series: pd.DataFrame, rules: _AlarmRules) -> Iterator[_Raised]:
    """Yield the series that exceed their bound on some days."""
    by_subject = split_series(series[series["metric"].isin(_BOUNDED)])
    for subject, rows in by_subject.items():
        daily, served = rows.sort_values("day"), subject.metric == _SERVED
        beyond = (daily["value"] > (_LEAST_DIFFERENCE if served else daily["high"])).to_numpy()
        if not beyond.any() or (served and subject.feature):
            continue
        last = int(np.flatnonzero(beyond)[-1])
        first = int(np.flatnonzero(~beyond[:last]).max(initial=-1)) + 1
        since, day = daily["day"].iloc[first], daily["day"].iloc[last]
        levels = [float(one.mean()) for one in (daily["value"][:first], daily["value"][first : last + 1])]
        missing = [
            of.feature
            for of, own in by_subject.items()
            if served and of.feature and of.task == subject.task and own["day"].max() == day
        ]
        found = f"Serving most likely read {missing[0]} as missing." if missing else ""
        alarm = rules.describe(subject, (since, day), (levels[0] if first else 0.0, levels[1]), found=found)
        yield alarm, daily["day"][beyond].tolist(), daily["day"].max()


def _levels(matrix: _Matrix, first: DriftAlarm, last: DriftAlarm) -> tuple[float, float]:
    """Return the means of the first alarm's reference, and of the days since the shift."""
    values = matrix.figures[last.series]
    reference = slice(first.day - HISTORY + 1, first.day - GAP + 1)
    return float(np.nanmean(values[reference])), float(np.nanmean(values[first.since : last.day + 1]))


def _scale(subject: Subject, values: Floats) -> Floats:
    if subject.metric in OF_SHARES:
        return np.arcsin(np.sqrt(np.clip(values, 0.0, 1.0)))
    if subject.metric == "rate":
        return np.sign(values) * np.sqrt(np.abs(values))
    return np.log(np.where(values > 0, values, np.nan))
