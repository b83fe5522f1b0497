"""Features that a release's heads read, columns by which its policy weighs, and their later changes.

::

    calibrate, test, newest days; in shadow mode the served day      compared days
    train days of a head, in blocks as long, of a week at most       usual variation

The figures of `tasks.evaluation.evidence` are compared for each column. Differences among blocks of the
train days measure the usual variation and widen every bound, because weekdays, seasons and new items change
features legitimately. New categories of a block are those absent from the blocks as long before it as the
train days are before the compared days. Rows are a fixed sample of requests.

All rows may hide a change in one category, such as a region. Numbers without a change are therefore compared
by category too: their size, and their share of nulls and zeros. Only categories of requests count, since
items come into season, and a category of items with them.
"""

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cached_property
from operator import itemgetter
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks.arrays import Floats, Indices
from tasks.columns import DAY, REQUEST_ID, SHOWN
from tasks.contracts import UtilitySpec
from tasks.errors import DataError, StoreError
from tasks.evaluation.evidence import ChangeKind, ComparedDays, HeadInputs, InputChange
from tasks.evaluation.subjects import Segment
from tasks.labels.snapshot import Snapshot
from tasks.labels.store import LabelStore
from tasks.ranking.features import FeatureEncoder
from tasks.ranking.heads import Head
from tasks.stores.manifest import Manifest, PinnedPart, Role
from tasks.stores.workspace import Workspace
from tasks.training.slices import DaySlice
from tasks.validation.trailing import chance_divergence, divergence

Figures = Iterator[tuple[ChangeKind, float, float]]
Days = tuple[date, date]
Spans = tuple[Days, Days]
"""Train and calibrate days."""

NEWEST: Final = timedelta(days=7)
"""Length of the newest days: a week, because some features depend on the weekday."""
SAMPLE: Final = 100_000
"""Rows that are read for a release: the share of a tenth of a slice has a standard error of .005."""
_WEEK: Final = 7
_BLOCKS: Final = 4
_LEAST_BLOCKS: Final = 3
_LEAST_ROWS: Final = 100
_MOST_ONE_VALUE: Final = 0.999
_OFTEN_ONE_VALUE: Final = 0.99
_SCALE: Final = 5.0
_SHARE: Final = 0.2
_BITS: Final = 0.05
_IN_CATEGORY: Final[Mapping[ChangeKind, float]] = {"scale": math.log(_SCALE), "empty": 0.5}
"""By figure, the largest change in a category apart from the usual one: of a log size, of a share."""
_FREQUENT: Final = 40
_TENTHS: Final = np.arange(1, 10) / 10
_BY_CHANCE: Final = 1e-4
"""Probability that chance alone exceeds the allowance for chance in a divergence."""


@dataclass(frozen=True)
class Learned:
    """Values of a feature on the train days of a head.

    Attributes
    ----------
    values : [n] numbers, or codes of categories; NaN if missing.
    blocks : [n] the block of days of each row, from 0, the newest.
    """

    name: str
    categorical: bool
    values: Floats
    blocks: Indices

    def changes(self, days: ComparedDays, values: Floats, *, later: int = 1) -> Iterator[InputChange]:
        """Yield the figures that exceed their bounds on other days, whose values have shape [m].

        Parameters
        ----------
        later : number of blocks by which the other days follow the newest block.

        Examples
        --------
        >>> prices = np.arange(1.0, 401.0)
        >>> learned = Learned("price", False, prices, np.arange(400) % 4)
        >>> [one.kind for one in learned.changes("test", prices * 100)]
        ['scale', 'distribution']
        >>> list(learned.changes("test", prices + 1.0))
        []
        """
        for kind, observed, bound in self._figures(values, later):
            if observed > bound:
                yield InputChange(feature=self.name, days=days, kind=kind, observed=observed, bound=bound)

    def _figures(self, values: Floats, later: int) -> Figures:
        if min(values.size, self.values.size) < _LEAST_ROWS:
            return
        usual = max((abs(_nulls(block) - _nulls(self.values)) for block in self._by_block), default=0.0)
        yield "nulls", abs(_nulls(values) - _nulls(self.values)), _SHARE + usual
        seen = _known(values)
        if min(seen.size, self._known.size) < _LEAST_ROWS:
            return
        if max(map(_largest_share, self._known_by_block), default=1.0) <= _OFTEN_ONE_VALUE:
            yield "constant", _largest_share(seen), _MOST_ONE_VALUE
        yield from self._unseen(seen, later) if self.categorical else self._scale(seen)
        if (found := self.distance(seen)) is not None:
            yield "distribution", *found

    def _scale(self, seen: Floats) -> Figures:
        center = _size(self._known)
        usual = max((_factor(_size(block), center) for block in self._known_by_block), default=1.0)
        yield "scale", _factor(_size(seen), center), _SCALE * usual

    def _unseen(self, seen: Floats, later: int) -> Figures:
        """Compare the share of unseen categories with those of blocks, given the blocks as long before."""
        blocks = self._known_by_block
        firsts = range(min(later, len(blocks) - 1), len(blocks))
        before = (np.concatenate(blocks[first:]) for first in firsts)
        usual = max(map(_unseen_share, blocks, before))
        yield "unseen", _unseen_share(seen, self._known), _SHARE + usual

    def distance(self, values: Floats) -> tuple[float, float] | None:
        """Return the divergence of values [m] from the train days, and its bound; None for too few rows.

        The bound is the greatest divergence between two blocks or the divergence by chance, plus .05 bits.
        """
        seen = _known(values)
        if min(seen.size, self._known.size) < _LEAST_ROWS or len(self._known_by_block) < _LEAST_BLOCKS:
            return None
        whole, now = self._whole, self._count(seen)[None]
        chance = float(chance_divergence(now, whole, false_alarm_rate=_BY_CHANCE)[0])
        return float(divergence(now, whole)[0]), max(self._among, chance) + _BITS

    @cached_property
    def _whole(self) -> Floats:
        return self._count(self._known)[None]

    @cached_property
    def _among(self) -> float:
        """Greatest divergence between two blocks."""
        blocks = np.array([self._count(block) for block in self._known_by_block])
        one, other = np.triu_indices(len(blocks), 1)
        return float(divergence(blocks[one], blocks[other]).max())

    def _count(self, values: Floats) -> Floats:
        """Count the values of each range; or of each frequent category and, in the last place, all others."""
        bins = self._bins
        places = np.searchsorted(bins, values, side="left" if self.categorical else "right")
        if self.categorical:
            places = np.where(np.isin(values, bins), places, bins.size)
        return np.bincount(places, minlength=bins.size + 1).astype(np.float64)

    @cached_property
    def _bins(self) -> Floats:
        """The most frequent categories; or deciles of all numbers, and of all but the most frequent one."""
        values, counts = np.unique(self._known, return_counts=True)
        if self.categorical:
            return np.sort(values[np.argsort(-counts, kind="stable")[:_FREQUENT]])
        rest = self._known[self._known != values[counts.argmax()]]
        return np.unique(_quantiles(self._known) + _quantiles(rest))

    @cached_property
    def _known(self) -> Floats:
        return _known(self.values)

    @cached_property
    def _by_block(self) -> list[Floats]:
        blocks = [self.values[self.blocks == block] for block in np.unique(self.blocks)]
        return [block for block in blocks if block.size >= _LEAST_ROWS]

    @cached_property
    def _known_by_block(self) -> list[Floats]:
        known = [_known(block) for block in self._by_block]
        return [block for block in known if block.size >= _LEAST_ROWS] or [self._known]


@dataclass(frozen=True)
class InputRows:
    """Features and columns of the policy, of rows as the heads read them.

    Attributes
    ----------
    days : [n] day of each row.
    columns : [n] numbers by name, or codes of categories; NaN if missing.
    requests : [n] code of the request of each row.
    categorical : columns that are categories, with their values by code.
    """

    days: npt.NDArray[np.object_]
    columns: Mapping[str, Floats]
    requests: Indices
    categorical: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @classmethod
    def encode(
        cls, frames: Sequence[pd.DataFrame], heads: Iterable[Head], weighing: Mapping[str, bool]
    ) -> "list[InputRows]":
        """Encode what heads or the policy read and all frames have; a category has one code in all frames.

        Parameters
        ----------
        weighing : columns by which the policy weighs predictions (`UtilitySpec.weighing_columns`).
        """
        features = {name: name in head.encoder.categorical for head in heads for name in _features(head)}
        read = {**weighing, **features}
        read = {name: kind for name, kind in read.items() if all(name in frame for frame in frames)}
        numeric, categorical = ([name for name in read if read[name] is kind] for kind in (False, True))
        known = [FeatureEncoder.fit(frame, numeric, categorical).categories for frame in frames]
        categories = {
            name: tuple(dict.fromkeys(value for one in known for value in one[name])) for name in categorical
        }
        encoder = FeatureEncoder(tuple(numeric), categories)
        matrices = [np.asfortranarray(encoder.matrix(frame)) for frame in frames]
        return [
            cls(
                frame[DAY].to_numpy(dtype=object),
                dict(zip(encoder.names, matrix.T, strict=True)),
                pd.factorize(frame[REQUEST_ID])[0],
                categories,
            )
            for frame, matrix in zip(frames, matrices, strict=True)
        ]

    def on(self, first: date, last: date) -> "InputRows":
        """Return the rows from one day to another, both included."""
        rows = (self.days >= first) & (self.days <= last)
        columns = {name: values[rows] for name, values in self.columns.items()}
        return InputRows(self.days[rows], columns, self.requests[rows], self.categorical)

    @cached_property
    def by_category(self) -> dict[str, dict[ChangeKind, pd.DataFrame]]:
        """Figures by category, for columns of requests; empty if most requests have a single row."""
        codes = {name: self.columns[name] for name in self.categorical}
        requests = pd.DataFrame(codes, range(self.days.size)).groupby(self.requests)
        if self.days.size < 2 * requests.ngroups:
            return {}
        varies = (requests.max() > requests.min()).any()
        return {name: self.figures(values) for name, values in codes.items() if not varies[name]}

    def figures(self, *keys: Floats | Indices) -> dict[ChangeKind, pd.DataFrame]:
        """Return all numbers' log size, and share of nulls and zeros, by keys [n] with enough requests."""
        numbers = {name: values for name, values in self.columns.items() if name not in self.categorical}
        frame = pd.DataFrame(numbers).abs()
        groups = frame.where(frame != 0).groupby(list(keys))
        enough = pd.Series(self.requests).groupby(list(keys)).nunique() >= _LEAST_ROWS
        filled = groups.count()
        return {
            "scale": groups.median().where(filled >= _LEAST_ROWS)[enough].apply(np.log),
            "empty": (1 - filled.div(groups.size(), axis=0))[enough],
        }


def release_inputs(
    snapshot: Snapshot,
    heads: Sequence[Head],
    pins: Mapping[str, tuple[PinnedPart, PinnedPart]],
    test: DaySlice,
    policy: UtilitySpec,
) -> list[HeadInputs]:
    """Compare the features of each head, and what the policy weighs by, on its train days with later days."""
    trained: dict[str, Spans] = {
        head.task: (pins[head.task][0].slices["train"], pins[head.task][1].slices["calibrate"])
        for head in heads
    }
    first = min(train for train, _ in trained.values())[0]
    weighing = policy.weighing_columns
    (rows,) = InputRows.encode([_sample(snapshot, heads, first, weighing)], heads, weighing)
    newest = rows.on(snapshot.last_day - NEWEST + timedelta(days=1), snapshot.last_day)
    shared: dict[ComparedDays, InputRows] = {"test": rows.on(test.first, test.last), "newest": newest}
    compared: dict[Spans, list[InputChange]] = {}
    for train, calibrate in dict.fromkeys(trained.values()):
        later: dict[ComparedDays, InputRows] = {"calibrate": rows.on(*calibrate), **shared}
        compared[train, calibrate] = list(find_changes(rows.on(*train), later))
    return [
        _head_inputs(head, policy, compared[trained[head.task]], rows.on(*trained[head.task][0]))
        for head in heads
    ]


def served_inputs(
    workspace: Workspace,
    manifest: Manifest,
    heads: Sequence[Head],
    policy: UtilitySpec,
    candidates: pd.DataFrame,
) -> list[HeadInputs]:
    """Compare the features of each head, and what the policy weighs by, with those logged in serving.

    Parameters
    ----------
    candidates : candidates of a day, only the shown ones if logged, because heads learn from shown items.
    """
    trained = {head.task: manifest.part(Role.TASK, head.task).slices["train"] for head in heads}
    shown = candidates[SHOWN].fillna(value=False).astype(bool) if SHOWN in candidates else slice(None)
    try:
        snapshot = LabelStore(workspace.store, workspace.surface).snapshot(manifest.snapshot.id)
        sample = _sample(snapshot, heads, min(trained.values())[0], policy.weighing_columns)
    except (DataError, StoreError) as error:
        return [_head_inputs(head, policy, [], None, reason=str(error)) for head in heads]
    served_frame = candidates[shown].assign(**{DAY: snapshot.last_day + timedelta(days=1)})
    rows, served = InputRows.encode([sample, served_frame], heads, policy.weighing_columns)
    compared = {
        train: list(find_changes(rows.on(*train), {"served": served})) for train in {*trained.values()}
    }
    return [
        _head_inputs(head, policy, compared[trained[head.task]], rows.on(*trained[head.task]))
        for head in heads
    ]


def find_changes(learned: InputRows, later: Mapping[ComparedDays, InputRows]) -> Iterator[InputChange]:
    """Yield the figures that exceed their bounds on later days, feature by feature."""
    if not learned.days.size:
        return
    lengths = {days: min(_WEEK, _span(rows.days)) for days, rows in later.items() if rows.days.size}
    blocks = {length: _blocks(learned.days, length) for length in {*lengths.values()}}
    blocks_later = {
        days: _blocks_between(learned.days, blocks[length], later[days].days.min())
        for days, length in lengths.items()
    }
    unchanged = defaultdict[ComparedDays, list[str]](list)
    for name, values in learned.columns.items():
        features = {n: Learned(name, name in learned.categorical, values, of) for n, of in blocks.items()}
        for days, length in lengths.items():
            other = later[days].columns[name]
            found = list(features[length].changes(days, other, later=blocks_later[days]))
            if not found and name not in learned.categorical:
                unchanged[days].append(name)
            yield from found
    for days, names in unchanged.items():
        yield from _find_in_categories(learned, blocks[lengths[days]], days, later[days], names)


def _find_in_categories(
    learned: InputRows, blocks: Indices, days: ComparedDays, later: InputRows, names: list[str]
) -> Iterable[InputChange]:
    """Return for each number and figure the category furthest beyond its bound."""
    found = list[tuple[float, InputChange]]()
    for column in [name for name in learned.by_category if name in later.by_category]:
        for kind, least in _IN_CATEGORY.items():
            before, now = (rows.by_category[column][kind][names] for rows in (learned, later))
            change = (now - before).abs()
            if not (change > least).any(axis=None):
                continue
            weeks = learned.figures(learned.columns[column], blocks)[kind][names]
            among = (weeks - before.loc[weeks.index.get_level_values(0)].to_numpy()).abs()
            bound = least + among.groupby(level=0).max().reindex(change.index).fillna(0.0)
            beyond, unit = change - bound, math.exp if kind == "scale" else float
            for name in beyond.columns[(beyond > 0).any()]:
                row = int(beyond[name].argmax())
                most, observed, limit = (float(one[name].iloc[row]) for one in (beyond, change, bound))
                category = Segment(column, learned.categorical[column][int(change.index[row])])
                figures = {"observed": unit(observed), "bound": unit(limit)}
                found.append(
                    (most, InputChange(feature=name, days=days, kind=kind, category=category, **figures))
                )
    return {(one.kind, one.feature): one for _, one in sorted(found, key=itemgetter(0))}.values()


@dataclass(frozen=True)
class TrainRows:
    """Train days of a release's heads, as the reference for later days.

    Attributes
    ----------
    gains : each feature's share of the gain, by task.
    """

    heads: Sequence[Head]
    trained: Mapping[str, Days]
    gains: Mapping[str, Mapping[str, float]]
    sample: pd.DataFrame

    @classmethod
    def read(cls, snapshot: Snapshot, manifest: Manifest, heads: Sequence[Head]) -> "TrainRows":
        """Read a sample of the heads' train days, with the snapshot's labels."""
        trained = {head.task: manifest.part(Role.TASK, head.task).slices["train"] for head in heads}
        last = max(last for _, last in trained.values())
        sample = _sample(snapshot, heads, min(trained.values())[0], {})
        gains = {head.task: gains_of(head) for head in heads}
        return cls(heads, trained, gains, sample[sample[DAY] <= last])

    @property
    def last_day(self) -> date:
        """Last train day of any head."""
        return max(last for _, last in self.trained.values())

    def distances(self, later: pd.DataFrame) -> dict[date, dict[str, dict[str, tuple[float, float]]]]:
        """Return the divergence of each feature from each task's train days, with its bound, by day.

        Parameters
        ----------
        later : rows of later days, with their day.
        """
        rows, now = InputRows.encode([self.sample, later], self.heads, {})
        days = [(day, now.on(day, day).columns) for day in np.unique(now.days)]
        by_span: dict[Days, dict[date, dict[str, tuple[float, float]]]] = {}
        for span in dict.fromkeys(self.trained.values()):
            own, found = rows.on(*span), {day: dict[str, tuple[float, float]]() for day, _ in days}
            blocks = _blocks(own.days, 1) if own.days.size else np.zeros(0, dtype=np.intp)
            for name, values in own.columns.items():
                learned = Learned(name, name in own.categorical, values, blocks)
                for day, columns in days:
                    if (distance := learned.distance(columns[name])) is not None:
                        found[day][name] = distance
            by_span[span] = found
        return {day: {task: by_span[span][day] for task, span in self.trained.items()} for day, _ in days}


def gains_of(head: Head) -> dict[str, float]:
    """Return each feature's share of the gain of all splits of a head, largest first."""
    gains = dict(zip(head.encoder.names, head.booster.feature_importance("gain").tolist(), strict=True))
    total = sum(gains.values()) or 1.0
    return {name: gain / total for name, gain in sorted(gains.items(), key=lambda one: -one[1])}


def _sample(
    snapshot: Snapshot, heads: Iterable[Head], first: date, weighing: Collection[str]
) -> pd.DataFrame:
    """Read a sample of requests from a day on, with the features and columns that the snapshot has."""
    present = {*snapshot.schema().names}
    wanted = (*(name for head in heads for name in _features(head)), *weighing)
    names = dict.fromkeys(name for name in wanted if name in present)
    rows = sum(day["rows"] for day in snapshot.days().to_pylist() if day[DAY] >= first)
    sampled = f"hash({REQUEST_ID}) % {max(1, rows // SAMPLE)} = 0"
    return snapshot.read([DAY, REQUEST_ID, *names], first_day=first, where=sampled).to_pandas()


def _features(head: Head) -> list[str]:
    """Return the features of a head, except those that scoring holds constant."""
    return [name for name in head.encoder.names if name not in head.held]


def _head_inputs(
    head: Head,
    policy: UtilitySpec,
    changes: Iterable[InputChange],
    learned: InputRows | None,
    *,
    reason: str = "",
) -> HeadInputs:
    """Return a head's features, their changes, and the reason why no comparison was possible."""
    gains, weighing = gains_of(head), tuple(policy.weighing_columns if head.task in policy.heads else ())
    if learned is not None:
        missing = [name for name in _features(head) if name not in learned.columns]
        few = learned.days.size < _LEAST_ROWS
        reason = f"{learned.days.size} rows of its train days are left" if few else ""
        reason = f"not logged on all of these days: {', '.join(missing)}" if missing else reason
    own = tuple(change for change in changes if change.feature in {*gains, *weighing})
    return HeadInputs(task=head.task, gains=gains, weighing=weighing, changes=own, reason=reason)


def _span(days: npt.NDArray[np.object_]) -> int:
    """Return the number of days from the first to the last."""
    number: int = (days.max() - days.min()).days + 1
    return number


def _blocks_between(days: npt.NDArray[np.object_], blocks: Indices, later: date) -> int:
    """Return the number of blocks by which a later day follows the newest block, at least 1."""
    number, ahead = int(blocks.max()) + 1, (later - days.max()).days - 1
    return 1 + math.ceil(max(ahead, 0) * number / _span(days))


def _blocks(days: npt.NDArray[np.object_], length: int) -> Indices:
    """Assign each row to a block of ``length`` days, counted from the last day, shape [n].

    If this gives fewer than three blocks, the days are split evenly into at most four blocks.

    Examples
    --------
    >>> days = np.array([date(2026, 5, day) for day in (1, 1, 2, 3, 4, 5)])
    >>> _blocks(days, 2).tolist(), _blocks(days, 7).tolist()
    ([2, 2, 1, 1, 0, 0], [3, 3, 3, 2, 1, 0])
    """
    codes, known = pd.factorize(days, sort=True)
    block = np.array([(known[-1] - day).days // length for day in known], dtype=np.intp)
    if np.unique(block).size < _LEAST_BLOCKS:
        parts = np.array_split(known, min(_BLOCKS, len(known)))
        block = np.concatenate([np.full(len(part), len(parts) - 1 - n) for n, part in enumerate(parts)])
    return np.asarray(block[codes], dtype=np.intp)


def _unseen_share(values: Floats, known: Floats) -> float:
    return float(1 - np.isin(values, known).mean())


def _known(values: Floats) -> Floats:
    return values[~np.isnan(values)]


def _nulls(values: Floats) -> float:
    return float(np.isnan(values).mean())


def _largest_share(values: Floats) -> float:
    return float(np.unique(values, return_counts=True)[1].max() / values.size)


def _size(values: Floats) -> float:
    """Return the median absolute value of nonzero values; NaN for too few."""
    sizes = np.abs(values[values != 0])
    return float(np.median(sizes)) if sizes.size >= _LEAST_ROWS else float("nan")


def _factor(one: float, other: float) -> float:
    """Return the ratio of the larger to the smaller value, 1 if one is NaN."""
    return 1.0 if np.isnan(one) or np.isnan(other) else max(one / other, other / one)


def _quantiles(values: Floats) -> list[float]:
    return np.quantile(values, _TENTHS).tolist() if values.size else []
