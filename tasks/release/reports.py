"""What a release's tasks have to do with each other: its proxies and its conflicts, on its test days.

::

    test days of a slow task    -> its outcome along the tenths of its proxy   (rows where both are known)
    shared test days            -> rank correlations of every pair of tasks, top tenths that coincide

A slow task's test days lie before the shared ones, where the fast task's model may have learned: then its
predictions know something of the fast outcome, which the report says. A fast task that is the slow one's
parent is taken from the chain that judges the slow one, which knows nothing of these days.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from tasks.arrays import Flags, Floats
from tasks.columns import REQUEST_ID
from tasks.contracts.surface import Proxy
from tasks.evaluation.conflicts import ConflictEvidence, measure_conflicts
from tasks.evaluation.proxies import proxy_report
from tasks.evaluation.release_evidence import ProxyEvidence
from tasks.ranking.heads import Heads
from tasks.release.parts import Pins
from tasks.release.release_days import HeadScores, ReleaseDays, users_of
from tasks.training.rows import mark_first_rows
from tasks.training.slices import DaySlice

_COSTS = ("negative", "safety")


@dataclass(frozen=True)
class Reports:
    """The reports of one release: its heads' scores on the days that it was not trained on."""

    release_days: ReleaseDays
    scores: HeadScores
    pins: Pins

    def proxies(self) -> list[ProxyEvidence]:
        """Report on each declared pair, in the contract's order."""
        return [self._proxy(pair) for pair in self.release_days.workspace.contracts.surface.proxies]

    def conflicts(self, days: DaySlice) -> ConflictEvidence:
        """Report on every pair of tasks on the shared test days."""
        heads = self.scores.heads
        tasks = list(heads.heads)
        frame = self._frame(heads, days, tasks)
        predicted = self.scores.of(tasks, days, frame)
        return measure_conflicts(
            {task: predicted[task] for task in tasks},
            {task: self.release_days.outcomes(frame, task) for task in tasks},
            users_of(frame),
            costs=[task for task in tasks if self._cost(task)],
        )

    def _proxy(self, pair: Proxy) -> ProxyEvidence:
        days = min((self.release_days.slices[t].test for t in (pair.fast, pair.slow)), key=lambda d: d.first)
        predicted, frame, learned = self._predict_fast(pair, days)
        fast, slow = (_label(frame, task) for task in (pair.fast, pair.slow))
        known = self._own_rows(frame, pair.slow, np.isfinite(fast) & np.isfinite(slow))
        report = proxy_report(
            predicted[known],
            slow[known],
            users_of(frame)[known],
            cost=self._cost(pair.slow),
        )
        return ProxyEvidence(
            fast=pair.fast,
            slow=pair.slow,
            days=(days.first, days.last),
            cost=self._cost(pair.slow),
            learned=learned,
            **vars(report),
        )

    def _predict_fast(self, pair: Proxy, days: DaySlice) -> tuple[Floats, pd.DataFrame, bool]:
        """Return predictions of the fast task, their rows, and whether its model learned from them."""
        factor_heads = self.scores.factor_heads.get(pair.slow)
        if factor_heads is not None and pair.fast in factor_heads.heads:
            frame = self._frame(factor_heads, days, [pair.fast, pair.slow])
            return self.scores.of_factor_models(pair.slow, days, frame)[pair.fast], frame, False
        learned = any(part.trained_until() >= days.first for part in self.pins[pair.fast])
        frame = self._frame(self.scores.heads.of([pair.fast]), days, [pair.fast, pair.slow])
        return self.scores.of([pair.fast], days, frame)[pair.fast], frame, learned

    def _frame(self, heads: Heads, days: DaySlice, tasks: list[str]) -> pd.DataFrame:
        return self.release_days.days(days, (*heads.columns, *heads.optional), tasks)

    def _own_rows(self, frame: pd.DataFrame, task: str, known: Flags) -> Flags:
        """Return which of the known rows count: of a request-level outcome, one a request."""
        if self.release_days.workspace.contracts.tasks.tasks[task].level == "request":
            return mark_first_rows(frame[REQUEST_ID].to_numpy(), known)
        return known

    def _cost(self, task: str) -> bool:
        return self.release_days.workspace.contracts.tasks.tasks[task].family in _COSTS


def _label(frame: pd.DataFrame, task: str) -> Floats:
    """Return a task's own label, NaN where it is not observed: of a return, where there was a purchase."""
    return frame[task].to_numpy(dtype=np.float64, na_value=np.nan)
