"""Scores a file of candidates with a release, and explains one request.

The certificates of scored candidates show how often slates meet the rules of a slate policy.
"""

import json
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import MAXYEAR, MINYEAR
from itertools import chain
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tasks import columns as c
from tasks.arrays import Floats
from tasks.errors import DataError, StoreError
from tasks.evaluation.evidence import SlateRule
from tasks.evaluation.release_evidence import ReleaseEvidence
from tasks.evaluation.verdicts import Estimate
from tasks.logs import parquet_footer
from tasks.logs.footers import impossible_time
from tasks.logs.tables import to_frame
from tasks.progress import report
from tasks.release.loading import LoadedRelease, find_strange_inputs
from tasks.release.sensitivity import whole_ratios, with_error_bars
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
    unseen = find_strange_inputs(loaded.heads, candidates)
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


_ORDER: Final = (
    "max_per",
    "max_where",
    "required_first",
    "min_where_if_available",
    "exploration",
    "length",
)
"""Kinds of rules in the order in which they claim slots."""


def count_slate_rules(scored: pd.DataFrame) -> tuple[SlateRule, ...]:
    """Count over all slates how often each rule was met, in the order in which rules claim slots.

    Parameters
    ----------
    scored : scored candidates with the column ``certificate``. Without it there are no counts.

    Examples
    --------
    >>> short = {"rule": "length", "wanted": 3, "got": 2, "available": 2, "dropped": 0, "kept_out": {}}
    >>> texts = ['{"met":["length"],"unmet":[]}', json.dumps({"met": [], "unmet": [short]}), None]
    >>> count_slate_rules(pd.DataFrame({"certificate": texts}))
    (SlateRule(rule='length', slates=2, unmet=1, too_few=1, slots_short=1),)
    """
    if c.CERTIFICATE not in scored:
        return ()
    slates, unmet, too_few, slots_short = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
    for text, times in scored[c.CERTIFICATE].value_counts(sort=False).items():
        for rule, wanted, got, available in _rules(str(text)):
            slates[rule] += times
            unmet[rule] += times * (got < wanted)
            too_few[rule] += times * (available < wanted)
            slots_short[rule] += times * max(wanted - got, 0)
    return tuple(
        SlateRule(rule=r, slates=n, unmet=unmet[r], too_few=too_few[r], slots_short=slots_short[r])
        for r, n in sorted(slates.items(), key=lambda counted: _place(counted[0]))
    )


def mark_unmet(certificates: Iterable[str]) -> dict[str, Floats]:
    """Return by rule whether each slate violates it, NaN if the slate has no such rule, [slates].

    Examples
    --------
    >>> mark_unmet(['{"met":["length"],"unmet":[]}', '{"met":["max_per:source"],"unmet":[]}'])
    {'max_per:source': array([nan,  0.]), 'length': array([ 0., nan])}
    """
    slates = [{rule: float(got < wanted) for rule, wanted, got, _ in _rules(text)} for text in certificates]
    rules = sorted(set(chain.from_iterable(slates)), key=_place)
    return {rule: np.array([one.get(rule, np.nan) for one in slates]) for rule in rules}


def add_slate_rules(parts: Iterable[Sequence[SlateRule]]) -> tuple[SlateRule, ...]:
    """Sum the counts of several sets of slates.

    Examples
    --------
    >>> one = SlateRule(rule="length", slates=2, unmet=1, too_few=1, slots_short=3)
    >>> add_slate_rules([[one], [], [one]])
    (SlateRule(rule='length', slates=4, unmet=2, too_few=2, slots_short=6),)
    """
    of_rule: dict[str, list[SlateRule]] = {}
    for rule in chain.from_iterable(parts):
        of_rule.setdefault(rule.rule, []).append(rule)
    return tuple(
        SlateRule(
            rule=name,
            slates=sum(one.slates for one in counted),
            unmet=sum(one.unmet for one in counted),
            too_few=sum(one.too_few for one in counted),
            slots_short=sum(one.slots_short for one in counted),
        )
        for name, counted in sorted(of_rule.items(), key=lambda each: _place(each[0]))
    )


def _place(rule: str) -> tuple[int, str]:
    kind, _, column = rule.partition(":")
    return _ORDER.index(kind) if kind in _ORDER else len(_ORDER), column


def _rules(text: str) -> Iterator[tuple[str, int, int, int]]:
    """Yield each rule of a certificate with wanted, got and available, which are 0 for met rules."""
    certificate = json.loads(text)
    yield from ((rule, 0, 0, 0) for rule in certificate["met"])
    for short in certificate["unmet"]:
        yield short["rule"], short["wanted"], short["got"], short["available"]
