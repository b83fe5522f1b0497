"""What a release predicts against what the champion predicts, task by task, on the same rows."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks import columns as c
from tasks.contracts import Contracts
from tasks.contracts.chains import chain, join_outcomes
from tasks.evaluation.intervals import auc_drop, normalized_entropy_rise
from tasks.evaluation.replay_evidence import ChampionComparison
from tasks.replay.slates import Scored, TestSlice


def comparisons(
    contracts: Contracts, test: TestSlice, ours: Scored, champion: Scored
) -> Iterator[ChampionComparison]:
    """Compare each probability with the champion's where the outcome is known: same rows, paired.

    A conditional probability is held against the label where the parent is positive; where either side has
    none, since it learned the joint event, the joint ones are held against what the chain led to.
    """
    users = test.log.users
    for name, task in contracts.tasks.tasks.items():
        conditional = c.given(name) in ours.frame and c.given(name) in champion.frame
        column = c.given(name) if conditional else c.probability(name)
        if task.kind != "binary" or any(column not in side.frame for side in (champion, ours)):
            continue
        links = [name] if conditional else chain(contracts.tasks, name)
        label = join_outcomes(test.log.labels, links)
        known = np.isfinite(label)
        if not known.any():
            continue
        old, new = (_where_shown(side.frame, column)[known] for side in (champion, ours))
        drop = auc_drop(label[known], users[known], champion=old, challenger=new)
        rise = normalized_entropy_rise(label[known], users[known], champion=old, challenger=new)
        yield ChampionComparison(task=name, auc_drop=drop, normalized_entropy_rise=rise)


def _where_shown(frame: pd.DataFrame, column: str) -> npt.NDArray[np.float64]:
    """Return what a release predicts where the items stood, if it tells that apart."""
    anywhere = frame[column].to_numpy(dtype=float)
    shown = frame.get(c.at_position(column))
    return anywhere if shown is None else np.where(shown.isna(), anywhere, shown)
