"""The test slice of a world: its candidates, what is truly likely of each, and what both releases predict.

It is kept in one Parquet file, so that a gate that has changed judges the same worlds again in a minute. The
logs and labels that it was made from are removed.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.operating_worlds.heads import Retrained
from benchmarks.operating_worlds.worlds import World
from tasks import columns as c
from tasks.contracts import Contracts
from tasks.contracts.slate import SlateSpec
from tasks.contracts.utility import UtilitySpec
from tasks.datasets.world.entities import EXAMINATION
from tasks.ranking.candidates import CandidateSets
from tasks.ranking.examination import Examination
from tasks.replay.logged_candidates import labelled_candidates
from tasks.stores.workspace import Workspace
from tasks.training.examination import estimate_examination

Floats = npt.NDArray[np.float64]
Predictions = Mapping[str, Floats]
"""Probabilities of n candidates by column (``p_<task>``)."""

_NEWEST: Final = b"newest_training_days"
_HARVESTED: Final = ("click_30m", c.POSITION, c.PROPENSITY)


@dataclass(frozen=True)
class ScoredSlice:
    """The n candidates of a world's test slice.

    Attributes
    ----------
    workspace : names the contracts; both releases have their policies.
    candidates : [n] as logged, with the labels of what was shown.
    truth : true probabilities at the first position.
    champion, challenger : what the heads of either retrain say.
    newest_training_days : of the challenger's heads, by task.
    serving : the slate policy of both releases; None is the surface's.
    """

    workspace: Workspace
    candidates: pd.DataFrame
    truth: Predictions
    champion: Predictions
    challenger: Predictions
    newest_training_days: Mapping[str, date]
    serving: SlateSpec | None = None

    @property
    def contracts(self) -> Contracts:
        """The surface's contracts."""
        return self.workspace.contracts

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks that heads predict."""
        return tuple(self.contracts.tasks.tasks)

    @cached_property
    def known_tasks(self) -> tuple[str, ...]:
        """The tasks of which labels are known; those of a slow task mature after the slice is read."""
        return tuple(task for task in self.tasks if self.candidates[task].notna().any())

    @cached_property
    def utility(self) -> UtilitySpec:
        """The utility policy of both releases."""
        return self.contracts.utility

    @cached_property
    def slate(self) -> SlateSpec:
        """The slate policy of both releases."""
        return self.serving or self.contracts.slate

    @cached_property
    def sets(self) -> CandidateSets:
        """The candidates by request."""
        return CandidateSets.of(self.candidates)

    @cached_property
    def requests(self) -> npt.NDArray[np.int64]:
        """Code of each candidate's request, shape [n]."""
        return pd.factorize(self.candidates[c.REQUEST_ID])[0].astype(np.int64)

    @cached_property
    def shown(self) -> npt.NDArray[np.bool_]:
        """Whether each candidate was shown, shape [n]."""
        return self.candidates[c.SHOWN].fillna(value=False).to_numpy(dtype=bool)

    def declared_examination(self) -> Examination | None:
        """Return the curve that the surface declares; None where it says nothing of one."""
        surface = self.contracts.surface
        curve = surface.examination_curve
        return None if curve is None else Examination(tuple(curve), surface.reference_position)

    def estimated_examination(self) -> Examination:
        """Return the curve that the slice's own clicks and propensities tell.

        Raises
        ------
        ImmatureLabels
            There are too few clicks at the first two positions.
        """
        shown = self.candidates[self.shown]
        estimated = estimate_examination(
            *(shown[name].to_numpy(dtype=np.float64, na_value=np.nan) for name in _HARVESTED),
            requests=self.requests[self.shown],
            users=pd.factorize(shown[c.USER_ID])[0].astype(np.int64),
        )
        return Examination(estimated.by_position, self.contracts.surface.reference_position)

    @cached_property
    def mean_looks(self) -> float:
        """How much the places with known labels are examined on average: heads speak of such places."""
        known = self.shown & self.candidates[[*self.tasks]].notna().any(axis=1).to_numpy()
        positions = self.candidates.loc[known, c.POSITION].to_numpy(dtype=np.int64)
        return float(np.asarray(EXAMINATION)[positions - 1].mean())

    def only(self, rows: npt.NDArray[np.bool_]) -> "ScoredSlice":
        """Return some of the candidates."""
        parts = {part: {name: each[rows] for name, each in of.items()} for part, of in self._parts().items()}
        return replace(
            self,
            candidates=self.candidates[rows].reset_index(drop=True),
            truth=parts["truth"],
            champion=parts["champion"],
            challenger=parts["challenger"],
        )

    def write(self, file: Path) -> None:
        """Write the slice into a file, which appears only when it is whole."""
        table = _as_table(self.candidates)
        for part, columns in self._parts().items():
            for name, values in columns.items():
                table = table.append_column(f"{part}:{name}", pa.array(values))
        days = {task: day.isoformat() for task, day in self.newest_training_days.items()}
        table = table.replace_schema_metadata({**(table.schema.metadata or {}), _NEWEST: json.dumps(days)})
        unfinished = file.with_suffix(".unfinished")
        pq.write_table(table, unfinished)
        unfinished.rename(file)

    @classmethod
    def read(cls, file: Path, workspace: Workspace) -> "ScoredSlice":
        """Read what `write` wrote."""
        table = pq.read_table(file)
        parts: dict[str, dict[str, Floats]] = {"truth": {}, "champion": {}, "challenger": {}}
        for name in table.column_names:
            part, _, column = name.partition(":")
            if column:
                parts[part][column] = table[name].to_numpy()
        logged = table.select([name for name in table.column_names if ":" not in name])
        days = json.loads(table.schema.metadata[_NEWEST])
        newest = {task: date.fromisoformat(day) for task, day in days.items()}
        heads = (parts["truth"], parts["champion"], parts["challenger"])
        return cls(workspace, logged.to_pandas(), *heads, newest_training_days=newest)

    def _parts(self) -> dict[str, Predictions]:
        return {"truth": self.truth, "champion": self.champion, "challenger": self.challenger}


def _as_table(frame: pd.DataFrame) -> pa.Table:
    """Return a frame as an Arrow table; pyarrow's own conversion of instants is on its way out of pandas."""
    instants = frame.select_dtypes("datetimetz").columns
    plain = frame.assign(**{name: frame[name].dt.tz_convert(None) for name in instants})
    table = pa.Table.from_pandas(plain, preserve_index=False)
    for name in instants:
        place = table.schema.get_field_index(name)
        table = table.set_column(place, name, table[name].cast(pa.timestamp("us", "UTC")))
    return table


def read_or_make(world: World) -> ScoredSlice:
    """Read the test slice of a world; where it is not there yet, make the world and its heads first."""
    file = world.folder / "test_slice.parquet"
    if not file.exists():
        score_slice(world, *world.retrain_twice()).write(file)
        world.remove_logs()
    return ScoredSlice.read(file, world.workspace)


def score_slice(world: World, earlier: Retrained, later: Retrained) -> ScoredSlice:
    """Score the later retrain's test slice by the heads of both."""
    contracts, days = world.workspace.contracts, later.slices.test
    candidates = labelled_candidates(
        world.workspace, snapshot=later.snapshot.id, first_day=days.first, last_day=days.last
    )
    return ScoredSlice(
        workspace=world.workspace,
        candidates=candidates,
        truth=read_truth(world.truth, candidates[[*c.IMPRESSION_KEY]], contracts.tasks.tasks),
        champion=earlier.scorer.predict(candidates),
        challenger=later.scorer.predict(candidates),
        newest_training_days={task: slices.train.last for task, slices in later.slices.tasks.items()},
    )


def read_truth(file: Path, keys: pd.DataFrame, tasks: Iterable[str]) -> dict[str, Floats]:
    """Read the true probabilities of some candidates, in the order of their keys, by column."""
    names = [c.probability(task) for task in tasks]
    oldest = str(keys[c.REQUEST_ID].min())
    table = pq.read_table(file, columns=[*c.IMPRESSION_KEY, *names], filters=[(c.REQUEST_ID, ">=", oldest)])
    truth = keys.merge(table.to_pandas(), on=[*c.IMPRESSION_KEY], how="left", validate="one_to_one")
    return {name: truth[name].to_numpy(dtype=np.float64) for name in names}
