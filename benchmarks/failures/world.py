"""The world that all ten failures share: a champion in service, and what naive teams learn from the same log.

::

    home_feed, simulated      logs, and the true probability of every candidate (tasks/datasets/world)
    two retrains              champion and challenger, a week apart (benchmarks/operating_worlds)
    naive heads               learned from the challenger's days by the recipes of `naive_heads`
    test slice                9 days that no head has learned from: slates, the whole gate, true rates
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from benchmarks.failures.naive_heads import EarlyLabels, NaiveHeads, early_labels
from benchmarks.operating_worlds.gate import Gate
from benchmarks.operating_worlds.head_figures import HeadFigures
from benchmarks.operating_worlds.policies import Candidate, ranked, true_utility
from benchmarks.operating_worlds.scored_slice import Floats, Predictions, ScoredSlice, score_slice
from benchmarks.operating_worlds.truth import change, looks, weighted_mean
from benchmarks.operating_worlds.worlds import Size, World
from tasks import columns as c
from tasks.contracts.utility import UtilitySpec
from tasks.evaluation.subjects import ALL, Segment
from tasks.reports.phrases import Vocabulary, vocabulary

NAIVE: Final = "naive release"
SEED: Final = 1
_TRAIN_DAYS, _CALIBRATE_DAYS = 14, 7
SIZE: Final = Size(
    requests_per_day=300,
    test_days=9,
    tasks=("click_30m", "purchase_7d", "satisfied_7d", "hide_7d", "report_7d", "return_30d"),
    split=(("train", f"P{_TRAIN_DAYS}D"), ("calibrate", f"P{_CALIBRATE_DAYS}D")),
)
PARAMETERS: Final = (
    ("contracts", "`surfaces/home_feed`, without carts, surveys and dwell seconds"),
    ("requests a day", f"{SIZE.requests_per_day}, few, so that the page is made quickly"),
    ("train, calibrate, test", f"{_TRAIN_DAYS}, {_CALIBRATE_DAYS}, {SIZE.test_days} days"),
    ("champion", "the same recipe a week earlier"),
)
"""What the world is made of: parameter and value."""


@dataclass(frozen=True)
class Measure:
    """A true figure of a policy's slots: the rate of a task, or utility, in all rows or in a segment.

    ``name`` is its noun; ``task`` is a task, a column of the candidates that is 0 or 1, or empty for utility.
    """

    name: str
    task: str = ""
    segment: Segment = ALL


def write_share(change: float) -> str:
    """Write a relative change in whole percent.

    Examples
    --------
    >>> write_share(-0.001), write_share(0.126)
    ('+0 %', '+13 %')
    """
    return f"{round(100 * change):+d} %"


@dataclass(frozen=True)
class TrueFigure:
    """A measure under the champion and under a naive release."""

    measure: Measure
    champion: float
    naive: float

    @property
    def change(self) -> float:
        """The relative change; NaN where the champion has none."""
        return change(self.naive, self.champion)

    def __str__(self) -> str:
        if self.champion > 0:
            return f"{self.measure.name} {write_share(self.change)}"
        return f"{self.measure.name} {1e4 * self.champion:.0f} -> {1e4 * self.naive:.0f} in 10,000 slots"


@dataclass(frozen=True)
class FailureWorld:
    """A world in which releases are judged and truly measured.

    Attributes
    ----------
    data : the test slice with the predictions of champion and challenger.
    naive : predictions of naive heads by recipe, which replace those of the challenger.
    early : the labels of a pipeline without maturity.
    """

    data: ScoredSlice
    naive: Mapping[str, Predictions]
    early: EarlyLabels

    @classmethod
    def make(cls, folder: Path) -> "FailureWorld":
        """Generate the logs into a folder, and train every head."""
        world = World(SIZE, SEED, folder)
        earlier, later = world.retrain_twice()
        data = score_slice(world, earlier, later)
        early = early_labels(world, later)
        heads = NaiveHeads(world.workspace, later, data.candidates)
        naive = {
            "shared trees": heads.shared_trees(),
            "balanced classes": heads.balanced("purchase_7d"),
            "early labels": heads.learned_from("return_30d", early.table),
        }
        return cls(data, naive, early)

    @cached_property
    def gate(self) -> Gate:
        """The gates of a retrain."""
        return Gate(HeadFigures(self.data), self.data.declared_examination())

    @cached_property
    def champion(self) -> Candidate:
        """The release in service."""
        return ranked(self.data, "champion", self.data.champion)

    @cached_property
    def challenger(self) -> Candidate:
        """The release that Equipoise's own retrain makes in the same week."""
        return ranked(self.data, "challenger", self.data.challenger)

    @cached_property
    def words(self) -> Vocabulary:
        """The words of the surface."""
        return vocabulary(self.data.contracts, champion=1)

    def with_policy(self, policy: UtilitySpec) -> Candidate:
        """Return a release with the challenger's heads and another utility policy."""
        return ranked(self.data, NAIVE, self.data.challenger, policy=policy)

    def ordered(self, by: Floats) -> Candidate:
        """Return a release that ranks by a figure [n] of at least 0, under the same constraints."""
        return ranked(self.data, NAIVE, self.data.challenger, order=by / by.max())

    def with_heads(self, recipe: str) -> Candidate:
        """Return a release with the heads of a naive recipe."""
        naive = self.naive[recipe]
        altered = frozenset(task for task in self.data.tasks if c.probability(task) in naive)
        return ranked(self.data, recipe, {**self.data.challenger, **naive}, altered=altered)

    def compare(self, measure: Measure, naive: Candidate) -> TrueFigure:
        """Measure the slots of the champion and of a naive release by the truth."""
        values, within = self._truth(measure), self._rows(measure)
        old, new = (weighted_mean(values, looks(one.served), within) for one in (self.champion, naive))
        return TrueFigure(measure, old, new)

    def _truth(self, measure: Measure) -> Floats:
        if not measure.task:
            return self._utility
        if measure.task not in self.data.tasks:
            return self.column(measure.task)
        return self.data.truth[c.probability(measure.task)]

    def column(self, name: str) -> Floats:
        """Return a column of the candidates as floats [n]."""
        return self.data.candidates[name].to_numpy(dtype=np.float64)

    def _rows(self, measure: Measure) -> npt.NDArray[np.bool_] | None:
        if measure.segment == ALL:
            return None
        return (self.data.candidates[measure.segment.column] == measure.segment.value).to_numpy(dtype=bool)

    @cached_property
    def _utility(self) -> Floats:
        return true_utility(self.data)
