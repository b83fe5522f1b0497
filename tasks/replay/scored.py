"""Candidates as a release scored them: its slates, and the predictions behind them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks import columns as c
from tasks.contracts.utility import UtilitySpec
from tasks.evaluation.replay_evidence import ConstraintLeak
from tasks.replay.log import Slates

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Scored:
    """A release's slates, the scored candidates, the predictions behind them by column, and its policy.

    ``leaks``: what the slates hold that a hard constraint of the policy keeps out.
    """

    slates: Slates
    frame: pd.DataFrame
    predictions: Mapping[str, Floats]
    policy: UtilitySpec
    leaks: tuple[ConstraintLeak, ...] = ()

    @property
    def where_logged(self) -> "WhereLogged":
        """Predictions by column, where the items stood if the release tells that apart."""
        return WhereLogged(self.frame)


@dataclass(frozen=True, eq=False)
class WhereLogged(Mapping[str, Floats]):
    """Columns of scored candidates, each [n]: at the logged position where there is such a figure."""

    frame: pd.DataFrame

    def __getitem__(self, column: str) -> Floats:
        """Return a column; raises KeyError as a frame does."""
        anywhere = self.frame[column].to_numpy(dtype=float)
        shown = self.frame.get(c.at_position(column))
        return anywhere if shown is None else np.where(shown.isna(), anywhere, shown)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names."""
        return map(str, self.frame.columns)

    def __len__(self) -> int:
        """Count the columns."""
        return self.frame.shape[1]
