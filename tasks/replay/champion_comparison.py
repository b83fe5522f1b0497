"""Compares predictions of a release with the champion's, task by task, on the same rows.

::

    order         AUC by request        of the joint probability, which ranks the candidates of a request
    probability   normalized entropy    of the conditional probability where the parent is positive, if both
                                        releases have it
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tasks import columns as c
from tasks.arrays import Floats
from tasks.contracts import Contracts
from tasks.contracts.tasks import join_outcomes
from tasks.evaluation.compared_rows import ComparedRows, compare_rows
from tasks.evaluation.evidence import ChampionComparison
from tasks.evaluation.paired import PairedRows
from tasks.replay.log import CandidateLog
from tasks.training.rows import mark_first_rows


@dataclass(frozen=True)
class _Comparing:
    """The test slice under both releases."""

    contracts: Contracts
    log: CandidateLog
    challenger: Mapping[str, Floats]
    champion: Mapping[str, Floats]

    def comparison(self, task: str) -> ChampionComparison | None:
        """Compare one task; None where a release does not predict it or no outcome is known."""
        given, joint = c.given(task), c.probability(task)
        if not self._both(joint):
            return None
        conditional = self._both(given)
        links = [task] if conditional else self.contracts.tasks.chain(task)
        calibrated = self._rows(task, given if conditional else joint, links)
        if calibrated is None:
            return None
        by_request = self.contracts.tasks.tasks[task].level != "request"
        ranked = self._rows(task, joint, self.contracts.tasks.chain(task)) if by_request else None
        return compare_rows(task, calibrated.rows, ranked=ranked, calibrated=calibrated)

    def _both(self, column: str) -> bool:
        return column in self.challenger and column in self.champion

    def _rows(self, task: str, column: str, links: Sequence[str]) -> ComparedRows | None:
        """Return the rows with a known joint outcome; one per request for a request-level task."""
        log = self.log
        label = join_outcomes(log.labels, links)
        if self.contracts.tasks.tasks[task].level == "request":
            label = np.where(mark_first_rows(log.requests, np.isfinite(label)), label, np.nan)
        known = np.isfinite(label)
        if not known.any():
            return None
        old, new = (side[column][known] for side in (self.champion, self.challenger))
        segments = {name: np.asarray(values[known]) for name, values in log.segments.items()}
        rows = PairedRows(label[known], old, new, log.users[known], log.requests[known])
        return ComparedRows.of(rows, segments)


def comparisons(
    contracts: Contracts, log: CandidateLog, ours: Mapping[str, Floats], champion: Mapping[str, Floats]
) -> Iterator[ChampionComparison]:
    """Compare each probability with the champion's on the rows with a known outcome, paired.

    The order within requests is measured by the joint probability, which ranks. The normalized entropy of a
    conditional probability is measured on the rows with a positive parent. If a release has no conditional
    probability, because it learned the joint event, the joint probabilities are compared on the chain's
    outcome.

    Parameters
    ----------
    log : n candidates of the test slice.
    ours, champion : predictions of both releases by column, [n], at the positions where items were shown.
    """
    comparing = _Comparing(contracts, log, ours, champion)
    for name, task in contracts.tasks.tasks.items():
        comparison = comparing.comparison(name) if task.kind == "binary" else None
        if comparison is not None:
            yield comparison
