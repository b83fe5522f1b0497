"""The logged candidates of a test slice, and the slates that releases, policies and baselines make of it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks import columns as c
from tasks.contracts import Contracts, UtilitySpec, canonical
from tasks.errors import DataError, unknown
from tasks.evaluation.segments import segment_values
from tasks.ranking.decide import decide
from tasks.ranking.examination import Examination
from tasks.ranking.policy import SlatePolicy, UtilityPolicy
from tasks.ranking.utility import compute_utilities
from tasks.release.loading import LoadedRelease
from tasks.replay.log import CandidateLog, Slates, candidate_log, column_slates, logged_slates
from tasks.replay.logged_candidates import labelled_candidates
from tasks.stores.manifest import Manifest, Role
from tasks.stores.policies import POLICY_FILE
from tasks.stores.registry import Registry
from tasks.stores.workspace import Workspace
from tasks.training import examination

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Scored:
    """A release's own slates, the scored candidates, and by column the predictions behind them."""

    slates: Slates
    frame: pd.DataFrame
    predictions: Mapping[str, Floats]


@dataclass(frozen=True)
class TestSlice:
    """The candidates of a release's test slice with the labels of what was shown."""

    workspace: Workspace
    candidates: pd.DataFrame
    complete: bool
    examination: Examination | None = None

    @classmethod
    def of(cls, workspace: Workspace, manifest: Manifest) -> "TestSlice":
        """Read the candidates of the slice that the release was not trained on.

        Raises
        ------
        DataError
            The slice holds no candidate.
        """
        first, last = manifest.test
        frame = labelled_candidates(workspace, snapshot=manifest.snapshot.id, first_day=first, last_day=last)
        if frame.empty:
            raise DataError(
                f"No candidate from {first} to {last}: there is nothing to rehearse the decision on"
            )
        complete = workspace.contracts.surface.sources.candidates is not None
        return cls(workspace, frame, complete, release_examination(workspace, manifest))

    @property
    def contracts(self) -> Contracts:
        """The surface's contracts."""
        return self.workspace.contracts

    @cached_property
    def log(self) -> CandidateLog:
        """The candidates as the simulation reads them."""
        surface, curve = self.contracts.surface, self.examination
        return candidate_log(
            self.candidates,
            tasks=tuple(self.contracts.tasks.tasks),
            segments=segment_values(self.candidates, surface.segments),
            examination=None
            if curve is None
            else np.asarray(curve.by_position) / curve.at([curve.reference]),
            complete=self.complete,
        )

    def slates_of(self, release: LoadedRelease, name: str) -> Scored:
        """Return the slates that a release makes with the code and policies that it brought."""
        scored = release.score(self.candidates)
        policy = release_policy(self.workspace, release.manifest)
        predictions = _predictions(scored, release.manifest.tasks)
        slates = Slates(
            name=name,
            slot=scored[c.SLATE_POSITION].fillna(0).to_numpy(dtype=np.int64),
            predictions=self._by_task(scored),
            where_shown=self._where_shown(scored),
            utility=scored[c.UTILITY].to_numpy(dtype=float, na_value=np.nan),
            contributions=compute_utilities(self.candidates, predictions, policy).contributions,
        )
        return Scored(slates, scored, predictions)

    def slates_under(self, policy: UtilitySpec, scored: Scored, name: str) -> Slates:
        """Return the slates that another utility policy makes of the same predictions."""
        slate = SlatePolicy.from_json(canonical(self.contracts.slate))
        decided = decide(
            self.candidates,
            scored.predictions,
            UtilityPolicy.from_json(canonical(policy)),
            slate,
        )
        return Slates(
            name=name,
            slot=decided.slate_position.astype(np.int64),
            predictions=scored.slates.predictions,
            where_shown=scored.slates.where_shown,
            utility=decided.utility,
            contributions=decided.contributions,
        )

    def first_baseline(self) -> Slates:
        """Return the slates that stand in where there is no champion.

        Raises
        ------
        DataError
            The surface names a column that the candidates do not have, or a logged order that is not logged.
        """
        first, length = self.contracts.surface.gates.decision.first, self.contracts.slate.length
        if first == "logged":
            return logged_slates(self.log, length=length)
        if first.column not in self.candidates:
            known = map(str, self.candidates.columns)
            raise DataError(
                unknown("column", first.column, known, where="the candidates (gates.decision.first)")
            )
        values = self.candidates[first.column].to_numpy(dtype=float, na_value=np.nan)
        return column_slates(self.log, values, column=first.column, length=length)

    def _columns(self) -> dict[str, str]:
        return {
            task: c.predicted(task, kind)
            for task in self.contracts.tasks.tasks
            if (kind := self.contracts.head_kind(task)) in {"binary", "value"}
        }

    def _by_task(self, scored: pd.DataFrame) -> dict[str, Floats]:
        return {
            t: scored[name].to_numpy(dtype=float) for t, name in self._columns().items() if name in scored
        }

    def _where_shown(self, scored: pd.DataFrame) -> dict[str, Floats]:
        named = {task: c.at_position(name) for task, name in self._columns().items()}
        return {t: scored[name].to_numpy(dtype=float) for t, name in named.items() if name in scored}


def release_examination(workspace: Workspace, manifest: Manifest) -> Examination | None:
    """Return the examination curve that a release pins, None where it pins none."""
    pinned = manifest.find(Role.EXAMINATION)
    if pinned is None:
        return None
    return examination.read_curve(workspace, pinned)


def release_policy(workspace: Workspace, manifest: Manifest) -> UtilityPolicy:
    """Return the utility policy that a release pins."""
    pinned = manifest.part(Role.UTILITY_POLICY)
    folder = Registry(workspace.home).fetch(pinned)
    return UtilityPolicy.from_json(json.loads((folder / POLICY_FILE).read_bytes()))


def _predictions(scored: pd.DataFrame, tasks: Sequence[str]) -> dict[str, Floats]:
    """Return what a utility adds up, by column: probabilities and expected values."""
    names = [name for task in tasks for name in (c.probability(task), c.expected_value(task))]
    return {name: scored[name].to_numpy(dtype=float) for name in names if name in scored}
