"""Moves of candidates between two policies, and their effect on predicted negatives.

::

    place under A   1  2  3  -        under B   2  1  -  3
    moves           down  up  down (leaves the slate)  up (enters it)

The examples of a shadow are the requests on which challenger and champion differ most, with the reason.

::

    slot   champion   challenger
    1      tea        soup         soup was at 3; purchase_7d adds 0.12 more to it
    2      bread      bread
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks import columns as c
from tasks.arrays import Floats, Indices, Integers
from tasks.contracts.metrics import Metric, MetricKind
from tasks.evaluation.clustered import Ratio
from tasks.evaluation.observations import Grouping
from tasks.evaluation.subjects import Segment
from tasks.evaluation.verdicts import Estimate
from tasks.ranking.explain import CONTRIBUTION, TASK
from tasks.replay.compared import ComparedPolicies
from tasks.replay.evidence import (
    ExampleRequest,
    ExampleSlot,
    MovedItem,
    NegativesChange,
    ShadowExample,
    ValueChange,
)
from tasks.replay.grouped import PairedEstimates, grouped_ratio, paired_estimates
from tasks.replay.log import PolicySlates
from tasks.replay.metrics import examined_by, per_examined
from tasks.replay.replay_policies import Replay

MOST_VALUES: Final = 8
"""Number of listed values of a column: those whose exposure changes most."""
MOST_EXAMPLES: Final = 10
PER_SLOTS: Final = 1000
EXAMPLES_RULE: Final = (
    "the requests in which most slots hold an item that the first policy leaves out; ties by the largest "
    "change of exposure, then by the smaller request_id"
)


@dataclass(frozen=True)
class Pair:
    """Two policies on one log: ``before`` is the first that was named, ``after`` the second."""

    replay: Replay
    before: PolicySlates
    after: PolicySlates

    @property
    def compared(self) -> ComparedPolicies:
        """The second policy with the first as its baseline."""
        return ComparedPolicies(self.replay.log, self.after, self.before)

    def replaced(self) -> Estimate:
        """Return the share of slots whose item is not on the first policy's slate."""
        filled = self.after.slot > 0
        return self._paired(Ratio((filled & (self.before.slot == 0)).astype(float), filled.astype(float)))

    def _paired(self, ratio: Ratio) -> Estimate:
        log = self.replay.log
        rows = self.compared.rows(Grouping.whole(len(log.requests)), everything=True)
        (made,) = paired_estimates(grouped_ratio(ratio, rows.grouped), None, rows.grouped)
        return made.policy

    def value_changes(self, columns: Sequence[str]) -> Iterator[ValueChange]:
        """Yield, for each column of the log, the values whose exposure changes most, the greatest first."""
        log = self.replay.log
        was, now = (np.where(slot > 0, slot, np.inf) for slot in (self.before.slot, self.after.slot))
        up, down = now < was, now > was
        change = examined_by(log, self.after) - examined_by(log, self.before)
        for name in (one for one in dict.fromkeys(columns) if one in log.segments):
            codes, values = np.asarray(log.segments[name].codes), log.segments[name].categories
            counts = [np.bincount(codes, each, len(values)) for each in (np.ones(len(codes)), up, down)]
            moved = np.abs(np.bincount(codes, change, len(values)))
            order = [place for place in np.lexsort((-counts[0], -moved)) if counts[0][place]]
            for place in order[:MOST_VALUES]:
                share = Metric(MetricKind.SHARE, name, str(values[place]))
                (seen,) = self.replay.measure(share, self.after, self.before, ())
                yield ValueChange(
                    column=name,
                    value=str(values[place]),
                    candidates=int(counts[0][place]),
                    up=int(counts[1][place]),
                    down=int(counts[2][place]),
                    before=seen.baseline,
                    after=seen.policy,
                    relative=seen.relative,
                )

    def negatives(self, tasks: Sequence[str], segments: Sequence[str]) -> Iterator[NegativesChange]:
        """Yield the predicted outcomes per 1,000 slots of each task, on the whole and by segment."""
        compared = self.compared
        for task in tasks:
            prediction = per_examined(self.replay.log, self.after, task)
            if prediction is None:
                continue
            for name in (None, *segments):
                segmentation = compared.segmentation(name, None)
                for segment, made in self._per_slots(compared, segmentation, prediction):
                    if made.baseline is not None:
                        yield NegativesChange(
                            task=task,
                            segment=segment,
                            before=made.baseline,
                            after=made.policy,
                            relative=made.relative,
                            pooled=segmentation.pooled.get(segment, ()),
                        )

    def _per_slots(
        self, compared: ComparedPolicies, segmentation: Grouping, prediction: Floats
    ) -> Iterator[tuple[Segment, PairedEstimates]]:
        rows = compared.rows(segmentation, everything=False)
        after, before = (
            grouped_ratio(
                Ratio(
                    PER_SLOTS * (examined_by(compared.log, slates) * prediction)[rows.place],
                    (slates.slot > 0).astype(float)[rows.place],
                ),
                rows.grouped,
            )
            for slates in (self.after, self.before)
        )
        yield from zip(segmentation.names, paired_estimates(after, before, rows.grouped), strict=True)

    def examples(self, requests: Sequence[object], items: Sequence[object]) -> Iterator[ExampleRequest]:
        """Yield the requests that change most, with both slates; see `EXAMPLES_RULE`.

        Parameters
        ----------
        requests, items : request_id and item_id of each code of the log.
        """
        log, names = self.replay.log, np.array([str(request) for request in requests])
        before, after = self.before.slot, self.after.slot
        change = np.abs(examined_by(log, self.after) - examined_by(log, self.before))
        for name, replaced, rows in _most_changed(log.requests, names, before, after, change):
            named = {row: items[log.items[row]] for row in rows.tolist()}
            slots = tuple(side_by_side(rows, before, after, named))
            yield ExampleRequest(request=name, replaced=replaced, slots=slots)


def _most_changed(
    requests: Indices, names: npt.NDArray[np.str_], before: Integers, after: Integers, change: Floats
) -> Iterator[tuple[str, int, Indices]]:
    """Yield the requests with most slots whose item is not on the other slate; ties by change, then by name.

    Parameters
    ----------
    requests, before, after, change : codes, slots under both policies, and change of each row, [n].
    names : name of each code.

    Yields
    ------
    The name, the number of these slots, and the rows of the request.
    """
    replaced = np.bincount(requests, (after > 0) & (before == 0), len(names))
    changed = np.bincount(requests, change, len(names))
    order = np.lexsort((names, -changed.round(9), -replaced))
    for code in [one for one in order[:MOST_EXAMPLES] if changed[one] > 0]:
        yield str(names[code]), int(replaced[code]), np.flatnonzero(requests == code)


def side_by_side(
    rows: Indices,
    before: Integers,
    after: Integers,
    items: Sequence[object] | Mapping[int, object],
) -> Iterator[ExampleSlot]:
    """Yield each position of a request with the items of both policies, looked up by row."""
    was, now = ({int(slot[row]): row for row in rows if slot[row]} for slot in (before, after))
    for place in sorted({*was, *now}):
        item = now.get(place)
        yield ExampleSlot(
            place=place,
            before=None if place not in was else str(items[was[place]]),
            after=None if item is None else str(items[item]),
            place_before=None if item is None or not before[item] else int(before[item]),
        )


Explain = Callable[[str], pd.DataFrame]
"""Returns the utility terms of a request's candidates, one row per candidate and term."""


def shadow_examples(
    challenger: pd.DataFrame, champion: pd.DataFrame, explained: tuple[Explain, Explain]
) -> Iterator[ShadowExample]:
    """Yield the requests with the most slots whose item is not on the champion's slate.

    Ties are broken by the number of slots with another item, then by request_id.

    Parameters
    ----------
    challenger, champion : n scored candidates each, with the same keys in the same order.
    explained : the explain functions of both releases.
    """
    of_challenger, of_champion = (
        frame[c.SLATE_POSITION].fillna(0).to_numpy(dtype=np.int64) for frame in (challenger, champion)
    )
    requests, known = pd.factorize(challenger[c.REQUEST_ID].astype(str))
    names, items = np.asarray(known, dtype=str), challenger[c.ITEM_ID].astype(str).tolist()
    moved = ((of_challenger != of_champion) & (of_challenger > 0)).astype(np.float64)
    for request, replaced, rows in _most_changed(requests, names, of_champion, of_challenger, moved):
        slots = tuple(side_by_side(rows, of_champion, of_challenger, items))
        yield ShadowExample(
            request=request,
            replaced=replaced,
            slots=slots,
            moved=_why(slots, *(explain(request) for explain in explained)),
        )


def _why(
    slots: Sequence[ExampleSlot], of_challenger: pd.DataFrame, of_champion: pd.DataFrame
) -> MovedItem | None:
    """Return the term that moved the first new or risen item; None if no item rose or no term changed."""
    risen = next((slot for slot in slots if slot.moved in {"new", "up"}), None)
    if risen is None or risen.after is None:
        return None
    after, before = (_contributions(frame, risen.after) for frame in (of_challenger, of_champion))
    change = after.sub(before, fill_value=0.0).dropna()
    if change.empty or not change.abs().max() > 0:
        return None
    task = str(change.abs().idxmax())
    return MovedItem(
        item=risen.after,
        place=risen.place,
        place_before=risen.place_before,
        task=task,
        before=float(before.get(task, 0.0)),
        after=float(after.get(task, 0.0)),
    )


def _contributions(explained: pd.DataFrame, item: str) -> "pd.Series[float]":
    mine = explained[explained[c.ITEM_ID].astype(str) == item]
    return mine.set_index(TASK)[CONTRIBUTION].astype(float)
