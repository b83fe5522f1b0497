"""The shadow step: challenger and champion on the newest traffic; no labels are needed.

::

    rows of the newest logged day, releases   -> reuse a finished run with the same inputs, or:
    newest logged day before the as-of -> both releases score the same candidates -> overlap, shift
    rows of both -> the shadow table, which later outcomes can be joined to
    the challenger's features -> same distribution as on the training days of its heads?
    the challenger's slots -> items that break a hard constraint? a block that cannot be overridden
    single requests -> answered? same scores when served by MLflow? scoring time (timing.json)?
    logged served scores -> rescoring with the serving release must reproduce them
"""

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
from mlflow.exceptions import MlflowException
from scipy.stats import binom

from tasks import columns as c
from tasks.arrays import Floats, Indices, Integers
from tasks.errors import DataError
from tasks.evaluation.resampling import cluster_rows, mean_interval
from tasks.evaluation.verdicts import UNKNOWN_ESTIMATE, Estimate, stops
from tasks.release.inputs import served_inputs
from tasks.release.loading import LoadedRelease
from tasks.release.view import load, release_policy
from tasks.replay.evidence import (
    FilledSlots,
    PackedScores,
    Reproduction,
    ScoringFailures,
    ScoringTimes,
    ShadowComparison,
    ShadowEvidence,
    ShadowExample,
)
from tasks.replay.logged_candidates import hash_newest_candidates, newest_candidates
from tasks.replay.moves import Explain, shadow_examples
from tasks.replay.shadow_verdicts import TOLERANCE, evaluate_serving, evaluate_shadow
from tasks.replay.slate_checks import count_filled, count_leaks
from tasks.stores.aliases import CHAMPION
from tasks.stores.delta import replace_rows
from tasks.stores.runs import StepRun
from tasks.stores.steps import Step
from tasks.stores.workspace import Workspace, format_instant

Score = Callable[[pd.DataFrame], pd.DataFrame]
"""Scores the candidates of whole requests."""
ALONE: Final = 12
"""Number of requests scored one at a time."""
_REPETITIONS: Final = 2
_TAIL: Final = 0.025


def sample_requests(candidates: pd.DataFrame, most: int = ALONE) -> list[pd.DataFrame]:
    """Return whole requests, evenly spaced over the requests of a frame in their order.

    Examples
    --------
    >>> frame = pd.DataFrame({"request_id": list("aabccd")})
    >>> [list(one["request_id"]) for one in sample_requests(frame, most=2)]
    [['a', 'a'], ['d']]
    """
    names = candidates[c.REQUEST_ID].drop_duplicates()
    places = np.unique(np.linspace(0, len(names) - 1, min(most, len(names))).round().astype(int))
    chosen = names.iloc[places]
    groups = candidates[candidates[c.REQUEST_ID].isin(chosen)].groupby(c.REQUEST_ID, sort=False)
    return [group for _, group in groups]


def count_failures(
    requests: Sequence[pd.DataFrame],
    scored: Sequence[pd.DataFrame],
    scores: Sequence[Score],
) -> ScoringFailures:
    """Count the requests that releases fail to score.

    Parameters
    ----------
    requests : requests to score one at a time.
    scored : the whole day scored at once by the challenger and, if there is one, the champion.
    scores : scoring functions of the same releases.
    """
    day = [_unanswered(frame) for frame in scored]
    alone = [_raising(score, requests) for score in scores]
    empty = [_empty(frame) for frame in scored]
    failed = [
        len(names | raising.keys() | none) for names, raising, none in zip(day, alone, empty, strict=True)
    ]
    of_empty = scored[0][c.REQUEST_ID].isin(empty[0])
    dropped = scored[0].loc[of_empty, c.DROPPED_BY].dropna()
    return ScoringFailures(
        requests=int(scored[0][c.REQUEST_ID].nunique()),
        alone=len(requests),
        challenger=failed[0],
        champion=failed[1] if len(failed) > 1 else None,
        example=next(iter(alone[0].values()), ""),
        empty=len(empty[0]),
        emptied_by="" if dropped.empty else str(dropped.mode().iloc[0]),
    )


def time_scoring(
    requests: Sequence[pd.DataFrame],
    challenger: Score,
    champion: Score,
    *,
    clock: Callable[[], float] = time.perf_counter,
) -> ScoringTimes:
    """Time two releases on the same requests in alternation; the order within a pair alternates.

    Parameters
    ----------
    clock : returns seconds since any fixed instant.
    """
    taken = np.full((2, len(requests)), np.inf)
    for turn in range(_REPETITIONS):
        for place, request in enumerate(requests):
            sides = [(0, challenger), (1, champion)]
            for side, score in sides if (turn + place) % 2 else reversed(sides):
                began = clock()
                score(request)
                taken[side, place] = min(taken[side, place], (clock() - began) * 1000)
    return ScoringTimes(
        requests=len(requests),
        candidates=sum(map(len, requests)),
        challenger_ms=median_estimate(taken[0]),
        champion_ms=median_estimate(taken[1]),
        ratio=median_estimate(taken[0] / taken[1]),
    )


def median_estimate(values: Floats) -> Estimate:
    """Return the median with an interval of at least 95 % by order statistics; unknown below six values.

    Examples
    --------
    >>> median_estimate(np.arange(1.0, 13.0))
    Estimate(value=6.5, low=3.0, high=10.0, n=12)
    >>> median_estimate(np.array([1.0, 2.0])).known
    False
    """
    ordered = np.sort(values[np.isfinite(values)])
    if not len(ordered):
        return UNKNOWN_ESTIMATE
    outside = int(binom.ppf(_TAIL, len(ordered), 0.5))  # number of values beyond each end
    value = float(np.median(ordered))
    if outside < 1:
        return Estimate(value, math.nan, math.nan, len(ordered))
    return Estimate(value, float(ordered[outside - 1]), float(ordered[-outside]), len(ordered))


def _unanswered(scored: pd.DataFrame) -> set[object]:
    """Return the requests with a candidate that no constraint dropped and that has no finite utility."""
    kept = scored[c.DROPPED_BY].isna().to_numpy()
    lost = kept & ~np.isfinite(scored[c.UTILITY].to_numpy(dtype=float))
    return {*scored.loc[lost, c.REQUEST_ID]}


def _empty(scored: pd.DataFrame) -> set[object]:
    """Return the requests without a filled slot."""
    return {*scored[c.REQUEST_ID]} - {*scored.loc[scored[c.SLATE_POSITION].notna(), c.REQUEST_ID]}


def _raising(score: Score, requests: Sequence[pd.DataFrame]) -> dict[object, str]:
    """Return the raised errors by request; a request with any error has no answer."""
    raised = dict[object, str]()
    for request in requests:
        try:
            score(request)
        except Exception as error:  # noqa: BLE001  # every error counts
            raised[request[c.REQUEST_ID].iloc[0]] = f"{type(error).__name__}: {error}"
    return raised


def compare(challenger: pd.DataFrame, champion: pd.DataFrame, users: pd.Series) -> ShadowComparison:
    """Compare two scored frames.

    Parameters
    ----------
    challenger, champion : n scored candidates each, with the same keys in the same order.
    users : the user of each row.

    Raises
    ------
    DataError
        The two frames contain different candidates.
    """
    keys = list(c.IMPRESSION_KEY)
    if not challenger[keys].reset_index(drop=True).equals(champion[keys].reset_index(drop=True)):
        raise DataError(
            "Champion and challenger were given different candidates; score the same rows with both"
        )
    requests = pd.factorize(challenger[c.REQUEST_ID])[0]
    user = cluster_rows(users.to_numpy(), challenger[c.REQUEST_ID].to_numpy()).codes
    request_user = np.zeros(requests.max(initial=-1) + 1, dtype=np.int64)
    request_user[requests] = user
    return ShadowComparison(
        requests=len(request_user),
        candidates=len(challenger),
        overlap_at_k=mean_interval(_overlap(requests, challenger, champion), request_user),
        rank_correlation=mean_interval(_rank_correlation(requests, challenger, champion), request_user),
        score_shift=_score_shift(challenger, champion, user),
    )


def _overlap(requests: Indices, challenger: pd.DataFrame, champion: pd.DataFrame) -> Floats:
    """Return each request's overlap, NaN if both slates are empty."""
    of_challenger, of_champion = (
        frame[c.SLATE_POSITION].notna().to_numpy() for frame in (challenger, champion)
    )
    slots = np.maximum(np.bincount(requests, of_challenger), np.bincount(requests, of_champion))
    both = np.bincount(requests, of_challenger & of_champion)
    return np.divide(both, slots, out=np.full(len(slots), np.nan), where=slots > 0)


def _rank_correlation(requests: Indices, challenger: pd.DataFrame, champion: pd.DataFrame) -> Floats:
    """Return each request's Spearman correlation over candidates that both score, NaN below two."""
    frame = pd.DataFrame({"request": requests, "a": challenger[c.UTILITY], "b": champion[c.UTILITY]})
    known = frame["a"].notna() & frame["b"].notna()
    ranks = frame[known].groupby("request")[["a", "b"]].rank()
    request = frame.loc[known, "request"].to_numpy()
    size = int(requests.max(initial=-1)) + 1
    a, b = (_centred(request, ranks[name].to_numpy(), size) for name in ("a", "b"))
    products = [np.bincount(request, x * y, minlength=size) for x, y in ((a, b), (a, a), (b, b))]
    spread = np.sqrt(products[1] * products[2])
    return np.divide(products[0], spread, out=np.full(size, np.nan), where=spread > 0)


def _centred(request: Integers, ranks: Floats, size: int) -> Floats:
    counts = np.bincount(request, minlength=size)
    means = np.bincount(request, ranks, minlength=size) / np.maximum(counts, 1)
    return ranks - means[request]


def _score_shift(challenger: pd.DataFrame, champion: pd.DataFrame, users: Integers) -> Estimate:
    of_challenger, of_champion = (
        f[c.UTILITY].to_numpy(dtype=float, na_value=np.nan) for f in (challenger, champion)
    )
    known = np.isfinite(of_challenger) & np.isfinite(of_champion)
    spread = float(np.std(of_champion[known])) if known.any() else math.nan
    moved = mean_interval(np.where(known, of_challenger - of_champion, np.nan), users)
    if not spread > 0:
        return Estimate(math.nan, math.nan, math.nan, moved.n)
    low, high = sorted((moved.low / spread, moved.high / spread))
    nearest = 0.0 if low <= 0 <= high else min(abs(low), abs(high))
    return Estimate(abs(moved.value) / spread, nearest, max(abs(low), abs(high)), moved.n)


TIMES: Final = "timing.json"
"""Measured times: stored separately from the evidence, because they are not reproducible."""


@dataclass(frozen=True)
class ShadowResult:
    """Difference of two releases on one day, with the verdicts by the surface's bounds.

    ``comparison`` is None for a first release.
    """

    challenger: int
    champion: int | None
    day: str
    candidates: int
    comparison: dict[str, Any] | None
    reproduced: dict[str, Any] | None
    verdicts: list[dict[str, Any]]
    run_id: str
    packed: dict[str, Any] | None = None
    failures: dict[str, Any] | None = None
    leaks: tuple[dict[str, Any], ...] = ()
    filled: dict[str, Any] | None = None
    filled_by_champion: dict[str, Any] | None = None
    times: dict[str, Any] | None = None
    inputs: tuple[dict[str, Any], ...] = ()

    @property
    def passed(self) -> bool:
        """Whether no bound of the surface is broken."""
        return not any(stops(verdict["outcome"]) for verdict in self.verdicts)


@dataclass(frozen=True)
class _Shadowed:
    """The two releases, and the as-of time that limits the traffic."""

    workspace: Workspace
    as_of: datetime
    challenger: int
    champion: int | None


def run(
    workspace: Workspace,
    *,
    as_of: datetime,
    challenger: int,
    champion: int | None = None,
    parent_run: str | None = None,
) -> ShadowResult:
    """Score the newest day's candidates with both releases.

    Parameters
    ----------
    as_of : only traffic before it is read.
    challenger, champion : versions; the champion defaults to the alias champion, if it is set.
    parent_run : parent of the MLflow run.

    Raises
    ------
    DataError
        There is no traffic, or the served scores cannot be reproduced.
    """
    compared = champion if champion is not None else workspace.releases.find(CHAMPION)
    done = SHADOW.run(_Shadowed(workspace, as_of, challenger, compared), parent_run=parent_run)
    run_id, evidence = done.run_id, done.evidence
    shown = {name: value for name, value in evidence.content().items() if name != "examples"}
    bounds, times = workspace.contracts.surface.gates.shadow, read_times(workspace, run_id)
    verdicts = (
        *evaluate_shadow(bounds, evidence.comparison, run=run_id),
        *evaluate_serving(bounds, evidence, times, run=run_id),
    )
    return ShadowResult(
        run_id=run_id,
        verdicts=[verdict.to_json() for verdict in verdicts],
        times=None if times is None else times.content(),
        **shown,
    )


def read_times(workspace: Workspace, run_id: str) -> ScoringTimes | None:
    """Return the times of a shadow, None if nothing was timed; raises the errors of `read_text`."""
    if TIMES not in workspace.store.runs.records.require(run_id).files:
        return None
    return ScoringTimes.read(workspace.store.runs.read_text(run_id, TIMES), where=f"Run {run_id}")


def _inputs(asked: _Shadowed) -> dict[str, Any]:
    workspace, as_of = asked.workspace, asked.as_of
    return {
        "as_of": format_instant(as_of),
        "challenger": asked.challenger,
        "champion": asked.champion,
        "releases": workspace.releases.digests((asked.challenger, asked.champion)),
        "log": hash_newest_candidates(workspace, as_of=as_of),
        "surface": workspace.contracts.measured_digests["surface"],
    }


def _shadow(asked: _Shadowed, run: StepRun) -> ShadowEvidence:
    workspace, as_of = asked.workspace, asked.as_of
    challenger, champion = asked.challenger, asked.champion
    candidates = newest_candidates(workspace, as_of=as_of)
    if candidates.empty:
        raise DataError(f"No traffic before {format_instant(as_of)}: there is nothing to shadow on")
    day = candidates[c.SHOWN_AT].max().date()
    versions = [version for version in (challenger, champion) if version is not None]
    releases = {version: load(workspace, version) for version in versions}
    scored = {version: release.score(candidates) for version, release in releases.items()}
    tasks = {task for release in releases.values() for task in release.manifest.tasks}
    comparison: ShadowComparison | None = None
    examples: tuple[ShadowExample, ...] = ()
    if champion is not None:
        comparison = compare(scored[challenger], scored[champion], candidates[c.USER_ID])
        explained = (_explain(releases[challenger], candidates), _explain(releases[champion], candidates))
        examples = tuple(shadow_examples(scored[challenger], scored[champion], explained))
    _keep(workspace, day, as_of, scored)
    requests, scores = sample_requests(candidates), [releases[version].score for version in versions]
    failures = count_failures(requests, [scored[version] for version in versions], scores)
    if champion is not None and not (failures.challenger or failures.champion):
        times = time_scoring(requests, *scores)
        run.json(TIMES, times.to_json())
        run.metrics({"scoring_time_ratio": times.ratio.value})
    if comparison is not None:
        names = ("overlap_at_k", "rank_correlation", "score_shift")
        run.metrics({name: getattr(comparison, name).value for name in names})
    slot, release = scored[challenger][c.SLATE_POSITION].fillna(0), releases[challenger]
    policy = release_policy(workspace, release.manifest)
    return ShadowEvidence(
        challenger=challenger,
        champion=champion,
        day=day,
        candidates=len(candidates),
        comparison=comparison,
        reproduced=reproduce(candidates, scored, tasks=tasks),
        examples=examples,
        packed=compare_packed(release, requests),
        failures=failures,
        leaks=count_leaks(candidates, slot.to_numpy(dtype=np.int64), policy),
        inputs=tuple(served_inputs(workspace, release.manifest, release.heads, policy, candidates)),
        filled=_count_filled(scored[challenger]),
        filled_by_champion=None if champion is None else _count_filled(scored[champion]),
    )


SHADOW: Final = Step(
    name="shadow",
    room="replay",
    document=ShadowEvidence,
    inputs=_inputs,
    tags=lambda asked: {"as_of": format_instant(asked.as_of), "release": asked.challenger},
    function=_shadow,
)


def _count_filled(scored: pd.DataFrame) -> FilledSlots:
    requests, slot = pd.factorize(scored[c.REQUEST_ID])[0], scored[c.SLATE_POSITION].fillna(0)
    return count_filled(requests, slot.to_numpy(dtype=np.int64))


def _explain(release: LoadedRelease, candidates: pd.DataFrame) -> Explain:
    """Return a function that explains one of the requests by a release."""
    requests = candidates[c.REQUEST_ID].astype(str)

    def explain(request: str) -> pd.DataFrame:
        mine = candidates[requests == request]
        return release.explain(mine, mine[c.REQUEST_ID].iloc[0])

    return explain


def compare_packed(release: LoadedRelease, requests: Sequence[pd.DataFrame]) -> PackedScores:
    """Compare a release as served by MLflow with the replay, on the same candidates.

    Predictions at logged positions are left out, because at serving time nothing has a position yet.
    """
    frame = pd.concat(requests, ignore_index=True)
    replayed = release.score(frame)
    floats = [name for name in replayed if pd.api.types.is_float_dtype(replayed[name])]
    numbers = [name for name in floats if name not in {*map(c.at_position, map(str, replayed))}]
    try:
        served = release.serve(frame)
    except MlflowException as error:
        return PackedScores(rows=0, greatest_difference=np.nan, problem=str(error).partition("\n")[0][:300])
    of_challenger, of_champion = (
        side[numbers].to_numpy(dtype=float, na_value=np.nan) for side in (replayed, served)
    )
    apart = np.where(
        np.isnan(of_challenger) & np.isnan(of_champion), 0.0, np.abs(of_challenger - of_champion)
    )
    worst = float(np.max(np.where(np.isnan(apart), np.inf, apart), initial=0.0))
    return PackedScores(rows=len(frame), greatest_difference=min(worst, np.finfo(float).max))


def reproduce(
    candidates: pd.DataFrame, scored: Mapping[int, pd.DataFrame], *, tasks: Iterable[str]
) -> Reproduction | None:
    """Compare the scores logged at serving time with the same release's scores now.

    Parameters
    ----------
    scored : the candidates as scored now, by release version.
    tasks : tasks of these releases.

    Returns
    -------
    Number of compared values and the greatest difference; None if the log has no served scores, or another
    release served them.

    Raises
    ------
    DataError
        A prediction differs by more than the tolerance: the log or the release has changed.
    """
    if c.RELEASE not in candidates:
        return None
    served = pd.to_numeric(candidates[c.RELEASE], errors="coerce")
    probabilities = [name for task in sorted(tasks) for name in (c.probability(task), c.given(task))]
    compared = [*probabilities, *map(c.at_position, probabilities), c.UTILITY]
    worst, rows = 0.0, 0
    for version, frame in scored.items():
        mine = (served == version).to_numpy(dtype=bool)
        pairs = [(c.served(now), now) for now in compared if c.served(now) in candidates and now in frame]
        for logged, now in pairs if mine.any() else ():
            before = candidates.loc[mine, logged].to_numpy(dtype=float, na_value=np.nan)
            gap = np.abs(before - frame.loc[mine, now].to_numpy(dtype=float, na_value=np.nan))
            worst, rows = max(worst, float(np.nanmax(gap, initial=0.0))), rows + int(np.isfinite(gap).sum())
            if worst > TOLERANCE:
                raise DataError(
                    f"Release {version} served '{logged}' up to {worst:.2g} away from what it gives on the "
                    f"logged features (allowed {TOLERANCE:g}): the log differs from what was served"
                )
    return Reproduction(rows=rows, greatest_difference=worst) if rows else None


def _keep(workspace: Workspace, day: Any, as_of: datetime, scored: Mapping[int, pd.DataFrame]) -> None:
    """Write each release's rows of the day to the shadow table, replacing existing rows."""
    instant = pa.scalar(as_of, pa.timestamp("us", "UTC"))
    for version, frame in scored.items():
        table = pa.Table.from_pandas(frame, preserve_index=False)
        for name, value in ((c.DAY, pa.scalar(day)), (c.RELEASE, pa.scalar(version)), ("as_of", instant)):
            table = table.append_column(name, pa.repeat(value, len(table)))
        kept = workspace.store.root / "shadow" / workspace.surface
        replace_rows(kept, table, where={c.DAY: day, c.RELEASE: version})
