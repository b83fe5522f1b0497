"""Two policies on one log, with the rows, segments and caveats that all their metrics share."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import numpy as np

from tasks.arrays import Flags, Floats, Indices
from tasks.evaluation.binary import divide
from tasks.evaluation.clustered import RowClusters
from tasks.evaluation.observations import Grouping
from tasks.evaluation.subjects import ALL
from tasks.replay.inclusion import refuse_slot_weights
from tasks.replay.log import CandidateLog, PolicySlates
from tasks.replay.metrics import REORDERING, SegmentedRows, examined_by, group_by_segment

_CERTAIN: Final = 1 + 1e-6
"""A probability of 1 stored as a 32-bit float."""
BIASED = "the log holds candidates without propensities, so the figure favours what its ranker favoured"


@dataclass(frozen=True)
class ComparedPolicies:
    """A policy and its baseline on the same candidates."""

    log: CandidateLog
    policy: PolicySlates
    baseline: PolicySlates
    _known_caveats: dict[str, str] = field(default_factory=dict, init=False)
    _labelled_shares: dict[str, float] = field(default_factory=dict, init=False)
    _segmentations: dict[tuple[str | None, str | None], Grouping] = field(default_factory=dict, init=False)
    _distinct: dict[tuple[object, ...], Grouping] = field(default_factory=dict, init=False)
    _rows: dict[tuple[object, ...], SegmentedRows] = field(default_factory=dict, init=False)

    def caveat(self, task: str) -> str:
        """Return why outcomes of a task cannot be compared for these policies, or an empty string."""
        if task not in self._known_caveats:
            self._known_caveats[task] = self._find_caveat(task)
        return self._known_caveats[task]

    def _find_caveat(self, task: str) -> str:
        log = self.log
        if not log.complete:
            return REORDERING
        if log.inclusion is None:
            return BIASED
        if log.propensity is not None and np.nanmax(log.propensity, initial=0.0) > _CERTAIN:
            return "the logged propensities are wrong: some are above 1"
        unseen = log.outcomes[task].unseen
        for slates in (self.policy, self.baseline):
            weights, possible = log.inclusion, log.possible
            if slates.follows_log:
                if unseen is None:
                    continue
                weights, possible = log.shown.astype(np.float64), log.shown
            examined = examined_by(log, slates)
            if reason := refuse_slot_weights(log.requests, examined, weights, possible, unseen):
                return f"{slates.name}: {reason}"
        return ""

    def labelled_share(self, task: str) -> float:
        """Return the share of the policy's examined impressions with a known outcome of a task; cached."""
        if task not in self._labelled_shares:
            examined = examined_by(self.log, self.policy)
            known = np.sum(examined, where=self.log.outcomes[task].known)
            self._labelled_shares[task] = float(divide(known, examined.sum()))
        return self._labelled_shares[task]

    def segmentation(self, name: str | None, task: str | None) -> Grouping:
        """Return the segments of a column, with sparse values pooled; None is the whole log.

        Parameters
        ----------
        task : the task whose outcomes are measured; None for other metrics.
        """
        key = (name, task if name is not None else None)
        if key not in self._segmentations:
            made = self._segment(*key)
            # most tasks have the same sparse values: their rows are stored once
            self._segmentations[key] = self._distinct.setdefault(_content(made), made)
        return self._segmentations[key]

    def place(self, *, everything: bool) -> Indices:
        """Return the positions of the rows that a metric sums: rows in slots, or every row."""
        return self._everywhere if everything else self._in_slots

    def rows(self, segmentation: Grouping, *, everything: bool) -> SegmentedRows:
        """Return the rows that a metric sums, in segments: rows in slots, or every row."""
        key = (*_content(segmentation), everything)
        if key in self._rows:
            return self._rows[key]
        place = self.place(everything=everything)
        made = SegmentedRows.of(segmentation, place, _at(self.log.clusters, place))
        if not everything or segmentation.names == (ALL,):
            self._rows[key] = made  # only the recall of one task reads every row in segments
        return made

    @cached_property
    def _everywhere(self) -> Indices:
        return np.arange(len(self.log.requests), dtype=np.int32)

    @cached_property
    def _in_slots(self) -> Indices:
        return np.flatnonzero((self.policy.slot > 0) | (self.baseline.slot > 0))

    @cached_property
    def _filled_slots(self) -> Floats:
        """The number of slots that each row fills, shape (n,)."""
        return (self.policy.slot > 0).astype(float) + (self.baseline.slot > 0)

    def _segment(self, name: str | None, task: str | None) -> Grouping:
        if name is None:
            return Grouping.whole(len(self.log.requests))
        return group_by_segment(
            name,
            self.log.segments[name],
            weights=self._filled_slots,
            users=self.log.users,
            positives=self._positives(task),
        )

    def _positives(self, task: str | None) -> Flags | None:
        """Return the positive outcomes in slots, for the policy that has fewer of them, shape (n,)."""
        if task is None or task not in self.log.outcomes:
            return None
        outcome = self.log.outcomes[task]
        positive = outcome.known & (outcome.value > 0)
        each = [positive & (slates.slot > 0) for slates in (self.policy, self.baseline)]
        return min(each, key=np.count_nonzero)


def _content(segmentation: Grouping) -> tuple[object, ...]:
    """Return a key of a segmentation of this log: its segments, and the values that they pool."""
    return segmentation.names, tuple(segmentation.pooled.items())


def _at(clusters: RowClusters, place: Indices) -> RowClusters:
    if len(place) == len(clusters.users):  # every row: no copy is needed
        return clusters
    return RowClusters(clusters.users[place], clusters.items[place], clusters.days[place])
