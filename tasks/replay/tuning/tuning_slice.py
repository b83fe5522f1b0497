"""The days on which weights are tuned, and their two halves.

::

    train ........ | calibrate, embargo     | test
    trees learn    | weights are tuned here | the gate rehearses here

    half of the users   searches: every trial is measured on it
    the other half      confirms: measures what was chosen, and chooses nothing

No day of it trained a tree, and none is of the test slice, which the gate alone reads: weights chosen on the
test slice would be judged by what chose them. Calibration maps were fitted on these days. They are monotone
maps of a few parameters and the same for every policy, so they move all of them alike. Users are halved by a
salted hash that is the same for every run: the confirming half stays unseen by any search.
"""

from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cached_property
from typing import Final

import pyarrow as pa

from tasks.contracts import UtilitySpec
from tasks.errors import DataError
from tasks.release.loading import LoadedRelease
from tasks.replay.log import Slates
from tasks.replay.orders import baseline_order
from tasks.replay.replay_policies import Replay
from tasks.replay.scored import Scored
from tasks.replay.slates import TestSlice
from tasks.replay.tuning.goal import GoalMeter, WeightGoal
from tasks.replay.tuning.rehearsed_weights import RehearsedWeights
from tasks.replay.tuning.space import WeightSpace
from tasks.replay.users import users_of
from tasks.stores.manifest import Manifest, Role
from tasks.stores.workspace import Workspace
from tasks.training.sampling import hold_out_users

_SALT: Final = "tuning: who searches"
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True)
class Rivals:
    """The release whose weights are tuned, and what it is held against: another release, or an order.

    An ``order`` of None without a champion is what stands in for one by the surface's contract.
    """

    name: str
    release: LoadedRelease
    champion_name: str = ""
    champion: LoadedRelease | None = None
    order: str | None = None


@dataclass(frozen=True)
class TuningHalf:
    """Candidates of half of the users, under the release's predictions and beside the baseline's slates."""

    test: TestSlice
    scored: Scored
    baseline: Slates

    @classmethod
    def of(cls, test: TestSlice, rivals: Rivals, current: UtilitySpec) -> "TuningHalf":
        """Score a half; an order is worth what the current weights say."""
        scored = test.slates_of(rivals.release, rivals.name)
        if rivals.champion is None:
            baseline = baseline_order(test, scored, rivals.order)
            worth = test.slates_under(current, scored, "current weights").worth
            return cls(test, scored, replace(baseline, worth=worth))
        return cls(test, scored, test.slates_of(rivals.champion, rivals.champion_name).slates)

    def slates(self, policy: UtilitySpec) -> Slates:
        """Return the slates of a policy."""
        return self.test.slates_under(policy, self.scored, f"version {policy.version}")

    @cached_property
    def replay(self) -> Replay:
        """The replay of this half, with the release's predictions in the rates of all."""
        tasks = self.test.contracts.tasks.tasks
        fixed = frozenset(name for name, task in tasks.items() if task.level == "request")
        return Replay(self.test.log, self.scored.slates, fixed, self.baseline)

    def rehearsed(self, goal: WeightGoal, space: WeightSpace) -> RehearsedWeights:
        """Return what weights lead to on this half."""
        meter = GoalMeter(self.replay, self.baseline, goal)
        return RehearsedWeights(meter, lambda weights: self.slates(space.policy_with(weights)))


@dataclass(frozen=True)
class TuningSlice:
    """The days of a tuning, inclusive, and both halves of their candidates."""

    days: tuple[date, date]
    search: TuningHalf
    confirm: TuningHalf

    @classmethod
    def of(cls, workspace: Workspace, rivals: Rivals) -> "TuningSlice":
        """Read and score the days between training and test.

        Raises
        ------
        DataError
            There is no such day, no candidate on them, or a half without a user.
        """
        manifest = rivals.release.manifest
        others = [] if rivals.champion is None else [rivals.champion.manifest]
        days = tuning_days(manifest, *others)
        whole = TestSlice.of_days(workspace, manifest, days)
        frame = whole.candidates
        users = users_of(frame)
        # beside nobody, not all ids are numbers
        named = users.astype(str) if users.dtype == object else users
        searches = hold_out_users(pa.chunked_array([pa.array(named)]), share=0.5, salt=_SALT)
        if searches.all() or not searches.any():
            raise DataError(f"All candidates from {days[0]} to {days[1]} are of one half of the users")
        current = workspace.contracts.utility
        halves = [
            TuningHalf.of(replace(whole, candidates=frame[rows].reset_index(drop=True)), rivals, current)
            for rows in (searches, ~searches)
        ]
        return cls(days, *halves)


def tuning_days(release: Manifest, *others: Manifest) -> tuple[date, date]:
    """Return the days after every head's training and before the release's test slice, inclusive.

    Raises
    ------
    DataError
        There is none.
    """
    heads = [part for one in (release, *others) for part in one.parts if part.role is Role.TASK]
    trained = max(part.trained_until() for part in heads)
    first, last = trained + _DAY, release.test[0] - _DAY
    if first > last:
        raise DataError(
            f"No day is left to tune on: a head learned until {trained}, and the test slice begins on "
            f"{release.test[0]}. Tune a release whose heads learned from earlier days"
        )
    return first, last
