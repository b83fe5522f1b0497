"""The logged candidates of a test slice, and the slates of releases and policies on them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from tasks import columns as c
from tasks.arrays import Floats
from tasks.contracts import Contracts, SlateSpec, UtilitySpec
from tasks.contracts.metrics import OF_COLUMNS, metric_columns, mix_columns, named_metrics, parse_metric
from tasks.contracts.slate import Boosts
from tasks.contracts.surface import SegmentSpec
from tasks.errors import ContractError
from tasks.evaluation.segments import segment_values
from tasks.ranking.candidates import CandidateSets
from tasks.ranking.decide import decide
from tasks.ranking.examination import Examination
from tasks.ranking.utility import compute_utilities, worth_of_outcomes
from tasks.release.loading import LoadedRelease
from tasks.release.view import release_policy
from tasks.replay.evidence import ConstraintLeak
from tasks.replay.joined_columns import OnDemand
from tasks.replay.log import CandidateLog, PolicySlates
from tasks.replay.read_log import NUMBERS, WORDS, LogReading, candidate_log
from tasks.replay.slate_checks import count_leaks, refuse_leaks
from tasks.stores.manifest import Manifest, Role
from tasks.stores.workspace import Workspace
from tasks.training import examination


def with_fresh_draws(candidates: pd.DataFrame) -> pd.DataFrame:
    """Return the candidates under new request ids; unchanged if no propensity is logged.

    Examples
    --------
    >>> log = pd.DataFrame({"request_id": [7, 7, 8], "propensity": [0.5, 0.5, 1.0]})
    >>> with_fresh_draws(log)["request_id"].tolist()
    ['replay of 7', 'replay of 7', 'replay of 8']
    """
    if c.PROPENSITY not in candidates:
        return candidates
    codes, requests = pd.factorize(candidates[c.REQUEST_ID])
    renamed = np.array([*(f"replay of {request}" for request in requests), None], dtype=object)
    return candidates.assign(**{c.REQUEST_ID: pd.array(renamed[codes], dtype="str")})


@dataclass(frozen=True)
class Scored:
    """A release's slates, the scored candidates, the predictions by column, and its policy.

    ``leaks``: items in the slates that break a hard constraint of the policy; ``boosts``: boosts of groups in
    force for the release and for the policies replayed on its predictions.
    """

    slates: PolicySlates
    frame: pd.DataFrame
    predictions: Mapping[str, Floats]
    policy: UtilitySpec
    leaks: tuple[ConstraintLeak, ...] = ()
    boosts: Boosts = field(default_factory=dict)

    @property
    def where_logged(self) -> Mapping[str, Floats]:
        """Predictions by column [n], at the logged positions if the release distinguishes them."""
        return OnDemand(self.frame.columns, self._where_logged)

    def _where_logged(self, column: str) -> Floats:
        anywhere = self.frame[column].to_numpy(dtype=float)
        shown = self.frame.get(c.at_position(column))
        return anywhere if shown is None else np.where(shown.isna(), anywhere, shown)


@dataclass(frozen=True)
class TestSlice:
    """The candidates of a release's test slice with the labels of shown items."""

    workspace: Workspace
    candidates: pd.DataFrame
    complete: bool
    examination: Examination | None = None

    @property
    def contracts(self) -> Contracts:
        """The surface's contracts."""
        return self.workspace.contracts

    @cached_property
    def log(self) -> CandidateLog:
        """The candidates as a log."""
        return candidate_log(self.candidates, self.reading)

    @property
    def reading(self) -> LogReading:
        """Options for reading the candidates as a log."""
        surface, mix = self.contracts.surface, self._mix_columns()
        return replace(
            log_reading(self.contracts, self.examination),
            segments={**mix, **segment_values(self.candidates, surface.segments)},
            kinds={name: self._segment_kind(name) for name in mix}
            | {one.name: self._segment_kind(one.column) for one in surface.segments},
            complete=self.complete,
        )

    def _segment_kind(self, column: str) -> str:
        values = self.candidates[column]
        counted = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
        return NUMBERS if counted else WORDS

    def _mix_columns(self) -> "Mapping[str, pd.Categorical[Any]]":
        """Return the columns whose mix a report or a guardrail names, if the candidates have them.

        Values are formatted as in segments: a null in an integer column does not turn 3 into 3.0.
        """
        surface, slate, tasks = self.contracts.surface, self.contracts.slate, self.contracts.tasks.tasks
        columns = metric_columns(surface, slate)
        named = (name for _, name in named_metrics(self.contracts.utility))
        metrics = [parse_metric(name, tasks=tasks, columns=columns) for name in named]
        subjects = {one.subject for one in metrics if one is not None and one.kind in OF_COLUMNS}
        subjects |= {*mix_columns(surface, slate)}
        held = sorted(map(str, subjects & {*self.candidates.columns}))
        return segment_values(
            self.candidates, [SegmentSpec.model_validate({"name": name, "from": name}) for name in held]
        )

    def slates_of(self, release: LoadedRelease, name: str, *, served_as: int | None = None) -> Scored:
        """Return a release's slates by its packaged code and policies, and their leaks.

        Parameters
        ----------
        served_as : the release's version in the log.
        """
        scored = release.score(self.drawn_anew, certificate=True)
        policy = release_policy(self.workspace, release.manifest)
        predictions = _predictions(scored, release.manifest.tasks)
        slot = scored[c.SLATE_POSITION].fillna(0).to_numpy(dtype=np.int64)
        slates = PolicySlates(
            name=name,
            slot=slot,
            predictions={
                t: scored[name].to_numpy(dtype=float) for t, name in self._columns().items() if name in scored
            },
            where_shown=self._where_shown(scored),
            utility=scored[c.UTILITY].to_numpy(dtype=float, na_value=np.nan),
            contributions=compute_utilities(self.candidates, predictions, policy).weighted_contributions,
            worth=worth_of_outcomes(self.candidates, predictions, policy),
            rank=scored[c.RANK].fillna(0).to_numpy(dtype=np.int64),
            release=served_as,
        )
        leaks = count_leaks(self.candidates, slot, policy)
        return Scored(slates, scored, predictions, policy, leaks, release.boosts)

    def slates_by(
        self, utility: UtilitySpec, scored: Scored, name: str, *, slate: SlateSpec | None = None
    ) -> PolicySlates:
        """Return the slates of a policy on the same predictions.

        Parameters
        ----------
        slate : its slate policy; by default the surface's.

        Raises
        ------
        ContractError
            The slate policy has a decay, which would raise a negative utility of this policy.
        """
        slate = (slate or self.slate).boosted(scored.boosts)
        if slate.decay is not None and utility.offset is None:
            raise ContractError(
                f"{name} has no offset, and its slate policy has a decay, by which a negative utility "
                "would rise. Compare it with a slate.yaml without a decay"
            )
        decided = decide(self.drawn_anew, scored.predictions, utility, slate, sets=self._sets)
        slot = decided.slate_position.astype(np.int64)
        refuse_leaks(count_leaks(self.candidates, slot, utility), name=name)
        return PolicySlates(
            name=name,
            slot=slot,
            predictions=scored.slates.predictions,
            where_shown=scored.slates.where_shown,
            utility=decided.utility,
            contributions=decided.valued.weighted_contributions,
            worth=worth_of_outcomes(self.candidates, scored.predictions, utility),
            rank=decided.rank.astype(np.int64),
        )

    @cached_property
    def drawn_anew(self) -> pd.DataFrame:
        """The candidates for policies whose draws must be independent of the log's."""
        return with_fresh_draws(self.candidates)

    @cached_property
    def _sets(self) -> CandidateSets:
        """The candidates by request, shared by every policy that decides on them."""
        return CandidateSets.of(self.drawn_anew)

    @property
    def slate(self) -> SlateSpec:
        """The surface's slate policy."""
        return self.contracts.slate

    def _columns(self) -> dict[str, str]:
        return {
            task: c.predicted(task, kind)
            for task in self.contracts.tasks.tasks
            if (kind := self.contracts.head_kind(task)) in {"binary", "value"}
        }

    def _where_shown(self, scored: pd.DataFrame) -> dict[str, Floats]:
        named = {task: c.at_position(name) for task, name in self._columns().items()}
        return {t: scored[name].to_numpy(dtype=float) for t, name in named.items() if name in scored}


def log_reading(contracts: Contracts, curve: Examination | None) -> LogReading:
    """Return how to read the candidates of a surface, without segments, which come from the rows."""
    surface, spec = contracts.surface, contracts.tasks
    return LogReading(
        links={task: spec.chain(task) for task in spec.tasks},
        answered=frozenset(
            name for name, task in spec.tasks.items() if task.observed_when and task.observed_when.event
        ),
        examination=None if curve is None else np.asarray(curve.by_position) / curve.at([curve.reference]),
        complete=surface.logs_all_candidates,
        shown_is_all=surface.shown_is_all,
        propensity_kind=surface.propensity_kind,
        merit=contracts.slate.exposure.merit if contracts.slate.exposure else c.UTILITY,
    )


def release_examination(workspace: Workspace, manifest: Manifest) -> Examination | None:
    """Return the examination curve that a release pins, None if it pins none."""
    pinned = manifest.find(Role.EXAMINATION)
    if pinned is None:
        return None
    return examination.read_curve(workspace, pinned)


def _predictions(scored: pd.DataFrame, tasks: Sequence[str]) -> dict[str, Floats]:
    """Return the predictions that a utility sums, by column: probabilities and expected values."""
    names = [name for task in tasks for name in (c.probability(task), c.expected_value(task))]
    return {name: scored[name].to_numpy(dtype=float) for name in names if name in scored}
