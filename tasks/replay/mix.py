"""Of what kinds the slots are: shares, entropy and Gini index of the columns that a policy can move.

::

    source                                   where the candidates have it
    max_per, diversity, decay of the slate   the columns that its rules speak of: category, creator ...
    segments without bins                    as far as the candidates of one request differ in them

Shares are of the most frequent values of a column; entropy and Gini index are of all.
"""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pandas as pd

from tasks.contracts import Contracts
from tasks.contracts.metrics import Metric, MetricKind, mix_columns
from tasks.replay.log import CandidateLog

MOST_SHARES: Final = 10
"""Values of a column whose shares are shown."""


def mix_metrics(contracts: Contracts, log: CandidateLog) -> Iterator[Metric]:
    """Yield the metrics of each column in which the candidates of one request differ."""
    for name in mix_columns(contracts.surface, contracts.slate):
        if name in log.segments and _differs_within_requests(log, log.segments[name]):
            yield Metric(MetricKind.ENTROPY, name)
            yield Metric(MetricKind.GINI, name)
            yield from (Metric(MetricKind.SHARE, name, value) for value in _frequent(log.segments[name]))


def _differs_within_requests(log: CandidateLog, column: "pd.Categorical[Any]") -> bool:
    first = np.zeros(log.request_count, dtype=column.codes.dtype)
    first[log.requests] = column.codes
    return bool((first[log.requests] != column.codes).any())


def _frequent(column: "pd.Categorical[Any]") -> list[str]:
    counts = np.bincount(column.codes, minlength=len(column.categories))
    order = np.argsort(-counts, kind="stable")[:MOST_SHARES]
    return [str(column.categories[place]) for place in np.sort(order[counts[order] > 0])]
