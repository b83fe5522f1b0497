"""The days on which weights are tuned, and their two halves of users.

::

    train ........ | calibrate, embargo     | test
    trees learn    | weights are tuned here | the gate replays here

    half of the users   searching: every trial is measured on it
    the other half      confirming: the chosen weights are measured on it, and nothing is chosen

No day of the slice trained a tree, and none is in the test slice, which only the gate reads: weights chosen
on the test slice would be evaluated on the data that chose them. Calibration maps were fitted on these days,
but they are monotone maps with few parameters and the same for every policy. Users are split by a salted
hash that is the same for every run, so the confirming half is never seen by a search.

Candidates are scored block by block, as in a simulation. Each trial decides on the blocks again, so the
predictions and the columns that a policy reads are kept for every candidate; features are dropped.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cached_property
from typing import Final

import numpy as np
import pyarrow as pa

from tasks import columns as c
from tasks.arrays import Flags
from tasks.contracts import Contracts, UtilitySpec
from tasks.contracts.metrics import MetricKind
from tasks.errors import DataError
from tasks.evaluation.resampling import users_of
from tasks.release.view import release_policy
from tasks.replay import decided_slice
from tasks.replay.evaluate import OfflineEvaluation
from tasks.replay.log import PolicySlates
from tasks.replay.replay_policies import Replay
from tasks.replay.slate_checks import refuse_leaks
from tasks.replay.slates import Scored, TestSlice, log_reading, release_examination
from tasks.stores.manifest import Manifest, Role
from tasks.stores.workspace import Workspace
from tasks.training.sampling import hold_out_users
from tasks.tuning.goal import ReplayedWeights, WeightGoal, Weights
from tasks.tuning.search import WeightSpace

_SALT: Final = "tuning: who searches"
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True)
class TuningHalf:
    """Candidates of half of the users, with the decisions of the release and its baseline.

    Attributes
    ----------
    decided : the log, and the decisions of both; the release's predictions are used for every policy.
    blocks : its candidates in order, in whole requests, with only the columns that policies read.
    policy : the release's policy.
    """

    decided: decided_slice.DecidedSlice
    blocks: tuple[TestSlice, ...]
    policy: UtilitySpec

    def slates(self, policy: UtilitySpec, *, composed: bool = True) -> PolicySlates:
        """Return the slates of a policy, decided block by block."""
        name = f"version {policy.version}"
        made = decided_slice.GrowingSlates(PolicySlates(name, np.zeros(0, dtype=np.int32)))
        for block, scored in self._scored_blocks():
            one = block.slates_by(policy, scored, name)
            kept = one.contributions if composed else {}
            one = replace(one, slot=one.slot.astype(np.int32), contributions=kept)
            made.add(replace(one, predictions={}, where_shown={}, worth={}))
        none, own = np.zeros(0, dtype=np.intp), self.decided.policy
        whole = made.build(none, none, evaluated=True)
        return replace(whole, predictions=own.predictions, where_shown=own.where_shown)

    def _scored_blocks(self) -> Iterator[tuple[TestSlice, Scored]]:
        """Yield each block with the release's predictions of its rows, as views."""
        kind, first = self.decided.contracts.require_trained, 0
        for block in self.blocks:
            rows = slice(first, first := first + len(block.candidates))
            by_task = {task: column[rows] for task, column in self.decided.policy.predictions.items()}
            slates = replace(self.decided.policy, predictions=by_task)
            predictions = {c.predicted(task, kind(task)): column for task, column in by_task.items()}
            yield block, Scored(slates, block.candidates, predictions, self.policy)

    @cached_property
    def replay(self) -> Replay:
        """The replay of this half, with the release's predictions in the rates of all policies."""
        return replace(self.evaluation(self.decided.contracts).replay, compared_at_once=1)

    def evaluation(self, contracts: Contracts) -> OfflineEvaluation:
        """Return an evaluation of the release's slates by given contracts."""
        return OfflineEvaluation(contracts, self.decided.log, self.decided.policy, self.decided.baseline)

    def replayed(self, goal: WeightGoal, space: WeightSpace) -> ReplayedWeights:
        """Return the measuring of weights on this half, with only the slate columns that the goal reads."""
        composed = any(one.kind is MetricKind.COMPONENT_SHARE for one in goal.metrics.values())

        def slates(weights: Weights) -> PolicySlates:
            return self.slates(space.policy_with(weights), composed=composed)

        return ReplayedWeights(self.replay, self.decided.baseline, goal, slates)


@dataclass(frozen=True)
class TuningSlice:
    """The days of a tuning, inclusive, and both halves of their candidates."""

    days: tuple[date, date]
    search: TuningHalf
    confirm: TuningHalf

    @classmethod
    def of(
        cls, workspace: Workspace, entrants: decided_slice.Entrants, *, rows: int = decided_slice.BLOCK_ROWS
    ) -> "TuningSlice":
        """Read and score the days between training and test."""
        manifest = entrants.under_test.release.manifest
        beside = [entrants.baseline] if isinstance(entrants.baseline, decided_slice.Entrant) else []
        days = tuning_days(manifest, *(one.release.manifest for one in beside))
        read = frozenset(
            {*c.IMPRESSION_KEY, *workspace.contracts.utility.columns, *workspace.contracts.slate.columns}
        )
        search, confirm = (_GrowingHalf(replace(entrants, later=True), read) for _ in range(2))
        for block in decided_slice.slice_blocks(workspace, manifest, days, rows=rows):
            users = users_of(block.candidates)
            # with null users among them, not all ids are numbers
            named = pa.array(users.astype(str) if users.dtype == object else users)
            searches = hold_out_users(pa.chunked_array([named]), share=0.5, salt=_SALT)
            search.add(block, searches)
            confirm.add(block, ~searches)
        first, last = days
        if search.empty and confirm.empty:
            raise DataError(f"No candidate from {first} to {last}: there is nothing to tune on")
        if search.empty or confirm.empty:
            raise DataError(f"All candidates from {first} to {last} are of one half of the users")
        return cls(days, search.build(workspace), confirm.build(workspace))


class _GrowingHalf:
    """A half that collects the rows of its users, block by block."""

    def __init__(self, entrants: decided_slice.Entrants, read: Collection[str]) -> None:
        self._entrants, self._read = entrants, read
        self._decided = decided_slice.SliceBuilder()
        self._blocks: list[TestSlice] = []

    @property
    def empty(self) -> bool:
        return self._decided.empty

    def add(self, block: TestSlice, rows: Flags) -> None:
        """Decide on the marked rows, which are whole requests, for release and baseline."""
        if not rows.any():
            return
        own = replace(block, candidates=block.candidates[rows].reset_index(drop=True))
        decided = decided_slice.decide_block(own, self._entrants)
        # contributions are read only for trials
        slates = {key: replace(one, contributions={}) for key, one in decided.slates.items()}
        self._decided.add(replace(decided, slates=slates))
        kept = own.drawn_anew[[name for name in own.drawn_anew if name in self._read]]
        words = [name for name in kept if kept[name].dtype == "str"]
        coded = kept.astype(dict.fromkeys(words, "category")).copy()  # a view would keep the features
        self._blocks.append(replace(own, candidates=coded))

    def build(self, workspace: Workspace) -> TuningHalf:
        """Return the half."""
        own = self._entrants.under_test
        curve = release_examination(workspace, own.release.manifest)
        decided = self._decided.build(workspace.contracts, log_reading(workspace.contracts, curve))
        refuse_leaks(decided.leaks[own.name], name=own.name)
        return TuningHalf(decided, tuple(self._blocks), release_policy(workspace, own.release.manifest))


def tuning_days(release: Manifest, *others: Manifest) -> tuple[date, date]:
    """Return the days after every head's training and before the release's test slice, inclusive."""
    heads = [part for one in (release, *others) for part in one.parts if part.role is Role.TASK]
    trained = max(part.trained_until() for part in heads)
    first, last = trained + _DAY, release.test[0] - _DAY
    if first > last:
        raise DataError(
            f"No day is left to tune on: a head learned until {trained}, and the test slice begins on "
            f"{release.test[0]}. Tune a release whose heads learned from earlier days"
        )
    return first, last
