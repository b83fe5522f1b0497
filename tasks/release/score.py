"""Scores a file of candidates with a release, and explains one request."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import MAXYEAR, MINYEAR
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tasks import columns as c
from tasks.errors import DataError, StoreError
from tasks.evaluation.release_evidence import ReleaseEvidence
from tasks.evaluation.verdicts import Estimate
from tasks.logs import parquet_footer
from tasks.logs.footers import impossible_time
from tasks.logs.tables import to_frame
from tasks.progress import report
from tasks.release.loading import LoadedRelease
from tasks.release.sensitivity import whole_ratios, with_error_bars
from tasks.release.slate_rules import count_slate_rules
from tasks.release.view import load_to_serve
from tasks.reports.numbers import format_counted
from tasks.stores.files import replaced
from tasks.stores.workspace import Workspace

_MUCH = 0.01
"""Share of candidates with unseen values of a feature that triggers a warning."""

Rename = Callable[[Sequence[str]], list[str]]
"""Function that maps a file's column names to this program's names."""

_LOG = logging.getLogger("equipoise")


@dataclass(frozen=True)
class ScoreResult:
    """Path of the scored candidates and counts.

    ``unmet``: number of slates that violate each slate rule; the column ``certificate`` has the reasons.
    ``unseen``: share of candidates with a value unseen in training, by feature.
    """

    release: int
    out: str
    candidates: int
    requests: int
    in_slates: int
    dropped: dict[str, int]
    unmet: dict[str, int]
    unseen: dict[str, float]


def run(workspace: Workspace, *, release: str, source: Path, out: Path) -> ScoreResult:
    """Score a Parquet file of candidates; the output is written completely or not at all.

    Each row has the columns of served responses: ``release``, ``model_version`` and ``calibration_version``.
    The metadata of the Parquet schema holds the same three values.
    """
    version = workspace.releases.version(release)
    report("load", f"release {version}", done=0, of=4)
    loaded = load_to_serve(workspace, version)
    candidates = read_candidates(source, _our_names(workspace, loaded))
    report("score", format_counted(len(candidates), "candidate"), done=1, of=4)
    scored, provenance = loaded.score(candidates, certificate=True), loaded.provenance | {"release": version}
    unseen = loaded.find_strange_inputs(candidates)
    report("write", done=3, of=4)
    write_atomically(scored.assign(**provenance), out, metadata=provenance)
    _warn_of_unseen(unseen)
    return ScoreResult(
        release=version,
        out=str(out),
        candidates=len(scored),
        requests=int(scored[c.REQUEST_ID].nunique()),
        in_slates=int(scored[c.SLATE_POSITION].notna().sum()),
        dropped={str(k): int(n) for k, n in scored[c.DROPPED_BY].value_counts().items()},
        unmet={rule.rule: rule.unmet for rule in count_slate_rules(scored) if rule.unmet},
        unseen=unseen,
    )


def _warn_of_unseen(unseen: Mapping[str, float]) -> None:
    much = {name: share for name, share in unseen.items() if share >= _MUCH}
    if much:
        named = ", ".join(f"{name} in {share:.1%}" for name, share in much.items())
        _LOG.warning(
            "score: values that no training of the release saw: %s of the candidates. Unseen categories "
            "count as missing, and beyond their range trees do not distinguish values",
            named,
        )


def explain(workspace: Workspace, *, release: str, source: Path, request: str) -> list[dict[str, Any]]:
    """Return one request's candidates with their components, drop reasons and moves.

    Each contribution and utility has the error that the heads' calibration on the release's test days
    implies. If no calibration figures are available, ``no_ratios`` has the reason.
    """
    version = workspace.releases.version(release)
    loaded = load_to_serve(workspace, version)
    frame = read_candidates(source, _our_names(workspace, loaded))
    mine = frame[frame[c.REQUEST_ID].astype(str) == request] if c.REQUEST_ID in frame else frame
    if c.REQUEST_ID in frame and mine.empty:
        raise DataError(f"No candidate of request '{request}' in {source}")
    key = mine[c.REQUEST_ID].iloc[0] if c.REQUEST_ID in mine else request
    ratios, why = _calibration(workspace, version)
    explained = with_error_bars(loaded.explain(mine, key), ratios)
    return [
        {str(name): None if pd.isna(value) else value for name, value in row.items()} | {"no_ratios": why}
        for row in explained.to_dict("records")
    ]


def _calibration(workspace: Workspace, version: int) -> tuple[dict[str, Estimate], str | None]:
    """Return each head's calibration ratio on the test days; if unavailable, none and the reason."""
    registry = workspace.store.registry
    run = registry.run_id(workspace.releases.part(version))
    try:
        evidence = workspace.store.runs.read_evidence(run, ReleaseEvidence)
        return whole_ratios(evidence.tasks), None
    except (StoreError, DataError) as error:
        return {}, str(error)


def _our_names(workspace: Workspace, loaded: LoadedRelease) -> Rename:
    """Return a function that renames log columns by surface.yaml if a required column is missing."""

    def rename(names: Sequence[str]) -> list[str]:
        if set(loaded.columns) <= set(names):
            return list(names)
        renamed = {
            name_in_log: own
            for own, name_in_log in workspace.contracts.surface.columns.items()
            if own not in names
        }
        return [renamed.get(name, name) for name in names]

    return rename


def read_candidates(source: Path, rename: Rename = list) -> pd.DataFrame:
    """Read a Parquet file of candidates."""
    try:
        parquet_footer.read("candidates", [source])  # pyarrow may crash the process on corrupt footers
        table = pq.read_table(source)
        table = table.rename_columns(rename(table.column_names))
        strange = _find_impossible_times(table)
        if strange is None:
            return to_frame(table)
    except Exception as error:  # corrupt bytes raise many kinds of errors
        raise DataError(f"{source} is not a readable Parquet file of candidates: {error}") from error
    raise impossible_time(f"{source}: column '{strange}'")


def _find_impossible_times(table: pa.Table) -> str | None:
    """Return the first column with a time outside the calendar, which Python cannot represent."""
    for field, column in zip(table.schema, table.columns, strict=True):
        if pa.types.is_timestamp(field.type) or pa.types.is_date(field.type):
            years = pc.min_max(pc.year(column)).as_py().values()
            if any(year is not None and not MINYEAR <= year <= MAXYEAR for year in years):
                return str(field.name)
    return None


def write_atomically(frame: pd.DataFrame, out: Path, *, metadata: Mapping[str, Any]) -> None:
    """Write Parquet to a temporary file, with metadata added to its schema, and rename it."""
    table = pa.Table.from_pandas(frame, preserve_index=False)
    added = {name: str(value) for name, value in metadata.items()}
    with replaced(out) as part:
        pq.write_table(table.replace_schema_metadata({**(table.schema.metadata or {}), **added}), part)
