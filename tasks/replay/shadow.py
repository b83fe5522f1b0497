"""The shadow step: challenger and champion on the newest traffic; no label is needed.

::

    newest logged day before the as-of -> both releases score the same candidates -> overlap, shift
    rows of both -> the shadow table, which later outcomes can be joined to
    where the log says what was served -> rescoring the serving release must give the same
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa

from tasks import columns as c
from tasks.contracts import digest
from tasks.errors import DataError
from tasks.evaluation.replay_evidence import Reproduction, ShadowComparison, ShadowEvidence, ShadowExample
from tasks.evaluation.verdicts import stops
from tasks.release.loading import LoadedRelease
from tasks.release.view import load
from tasks.replay.compare import compare
from tasks.replay.logged_candidates import newest_candidates
from tasks.replay.shadow_examples import Explain, shadow_examples
from tasks.replay.shadow_verdicts import judge_shadow
from tasks.stores.alias_moves import CHAMPION
from tasks.stores.delta import replace_rows
from tasks.stores.releases import find_release
from tasks.stores.runs import StepKey, finished_run, read_evidence, step_run
from tasks.stores.workspace import Workspace, format_instant

TOLERANCE: Final = 1e-6
"""Greatest difference between what was logged when serving and what rescoring gives."""


@dataclass(frozen=True)
class ShadowResult:
    """How the two releases differ on one day, and what the surface's bounds say of it.

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

    @property
    def passed(self) -> bool:
        """Whether no bound of the surface is broken."""
        return not any(stops(verdict["outcome"]) for verdict in self.verdicts)


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
    challenger, champion : versions; without the latter the alias champion, if there is one.
    parent_run : the MLflow run that this one belongs under.

    Raises
    ------
    DataError
        There is no traffic, or what was served cannot be reproduced.
    """
    beside = champion if champion is not None else find_release(workspace, CHAMPION)
    inputs = digest(
        {
            "as_of": format_instant(as_of),
            "challenger": challenger,
            "champion": beside,
            "surface": workspace.contracts.digests["surface"],
        }
    )
    key = StepKey(workspace.home, workspace.surface, "shadow", inputs)
    run_id = finished_run(key)
    if run_id is None:
        tags = {"as_of": format_instant(as_of), "release": challenger}
        with step_run(key, parent_run=parent_run, tags=tags) as opened:
            evidence = _shadow(workspace, as_of, challenger, beside)
            opened.metrics(_figures(evidence.comparison))
            opened.evidence(evidence)
            run_id = opened.run_id
    evidence = read_evidence(workspace.home, run_id, ShadowEvidence)
    verdicts = judge_shadow(workspace.contracts.surface.gates.shadow, evidence.comparison, run=run_id)
    shown = {name: value for name, value in evidence.content().items() if name != "examples"}
    return ShadowResult(run_id=run_id, verdicts=[verdict.to_json() for verdict in verdicts], **shown)


def _shadow(workspace: Workspace, as_of: datetime, challenger: int, champion: int | None) -> ShadowEvidence:
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
    return ShadowEvidence(
        challenger=challenger,
        champion=champion,
        day=day,
        candidates=len(candidates),
        comparison=comparison,
        reproduced=reproduce(candidates, scored, tasks=tasks),
        examples=examples,
    )


def _explain(release: LoadedRelease, candidates: pd.DataFrame) -> Explain:
    """Return how a release explains one of the requests."""
    requests = candidates[c.REQUEST_ID].astype(str)

    def explain(request: str) -> pd.DataFrame:
        mine = candidates[requests == request]
        return release.explain(mine, mine[c.REQUEST_ID].iloc[0])

    return explain


def reproduce(
    candidates: pd.DataFrame, scored: Mapping[int, pd.DataFrame], *, tasks: Iterable[str]
) -> Reproduction | None:
    """Compare what was logged when serving with what the same release gives now.

    Parameters
    ----------
    scored : the candidates as each release scores them now, by its version.
    tasks : of these releases.

    Returns
    -------
    Rows compared and the greatest difference; None where the log does not say what was served, or another
    release than these served it.

    Raises
    ------
    DataError
        A prediction differs by more than the tolerance: the log or the release is not what it was.
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
                    f"logged features (allowed {TOLERANCE:g}): they were logged otherwise than served"
                )
    return Reproduction(rows=rows, greatest_difference=worst) if rows else None


def _keep(workspace: Workspace, day: Any, as_of: datetime, scored: Mapping[int, pd.DataFrame]) -> None:
    """Write each release's rows of the day to the shadow table, in the place of what stood there."""
    instant = pa.scalar(as_of, pa.timestamp("us", "UTC"))
    for version, frame in scored.items():
        table = pa.Table.from_pandas(frame, preserve_index=False)
        for name, value in ((c.DAY, pa.scalar(day)), (c.RELEASE, pa.scalar(version)), ("as_of", instant)):
            table = table.append_column(name, pa.repeat(value, len(table)))
        kept = workspace.store / "shadow" / workspace.surface
        replace_rows(kept, table, where={c.DAY: day, c.RELEASE: version})


def _figures(comparison: ShadowComparison | None) -> dict[str, float]:
    if comparison is None:
        return {}
    names = ("overlap_at_k", "rank_correlation", "score_shift")
    return {name: getattr(comparison, name).value for name in names}
