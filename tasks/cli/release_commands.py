"""Commands on releases: simulate, shadow, show, score and explain, and the layout of their results.

An explained request has a block per candidate, best first, with its terms below::

    1. i17, slot 1
       utility 0.401 +/- 0.021; 0.09 +/- 0.012 above the next: order significant
       click_30m    0.14 x 0.8                = +0.112  error +0.0022 [-0.0034, 0.0078]
       purchase_7d  0.0111 x 20 x margin 1.3  = +0.289  error unknown
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

from rich.console import Group, RenderableType, group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text
from typer import Argument, Option

from tasks.cli import text
from tasks.cli.command import (
    AsOf,
    Baseline,
    Candidates,
    CommandGroup,
    EngineOption,
    FileToWrite,
    ParentRun,
    Release,
    ReleaseOption,
)
from tasks.cli.text import (
    Plain,
    change,
    figure,
    level,
    unbroken,
    write_pairs,
    written_segment,
    written_subject,
)
from tasks.reports.numbers import format_change, format_counted, format_number, format_signed, spoken

if TYPE_CHECKING:
    from tasks.stores.workspace import Workspace

_ORDERS = {
    "significant": "order significant",
    "within_error": "within the error",
    "inconclusive": "inconclusive",
    "by_tier": "by tier",
    "by_multiplier": "by multiplier",
}
_NOTES = {
    "constraints": "dropped by",
    "moved_by": "moved by",
    "multiplied_by": "multiplied by",
    "tier": "tier",
    "context": "context",
}


def write_explanation(plain: Sequence[Plain]) -> Group:
    """Write a request's candidates as returned by `tasks.release.score.explain`."""
    candidates = (list(rows) for _, rows in groupby(plain, key=lambda row: row["item_id"]))
    head = [f"request {plain[0]['request_id']}", *_caveats(plain)]
    return Group(*head, *(part for rows in candidates for part in _candidate(rows)))


def _caveats(plain: Sequence[Plain]) -> Iterator[str]:
    if plain[0].get("unmet") is not None:
        yield f"slate rules that could not be met: {plain[0]['unmet']}"
    if plain[0]["no_ratios"] is not None:
        yield f"no errors: {plain[0]['no_ratios']}"
        return
    unknown_ratios = sorted(
        {row["task"] for row in plain if row["calibration_ratio"] is None and row["contribution"] != 0}
    )
    if unknown_ratios:
        yield (
            f"no error of {', '.join(unknown_ratios)}: the release's test days hold no calibration ratio of "
            "it, and the errors of utilities are without it"
        )


def _candidate(rows: Sequence[Plain]) -> Iterator[RenderableType]:
    one = rows[0]
    place = "out" if one["rank"] is None else f"{one['rank']}."
    slot = "" if one["slate_position"] is None else f", slot {one['slate_position']}"
    notes = [f"{word} {one[name]}" for name, word in _NOTES.items() if one.get(name) is not None]
    error = _error_bar(one["utility_error"], least=one["untold"])
    terms = Table.grid(padding=(0, 2))
    for row in rows:
        terms.add_row(*(Text(cell, overflow="fold") for cell in _term(row)))
    yield ""
    yield Text(", ".join([f"{place} {one['item_id']}{slot}", *notes]), style="bold")
    total = "" if "total" not in one else f" of a total of {figure(one['total'])}"
    yield Padding(f"utility {figure(one['utility'])}{total}{error}{_next(one)}", (0, 0, 0, 3))
    yield Padding(terms, (0, 0, 0, 3))


def _next(one: Plain) -> str:
    if one["gap"] is None:
        return ""
    above = "above" if one["gap"] >= 0 else "below"
    order = f": {_ORDERS[one['order']]}" if one["order"] else ""
    error = _error_bar(one["gap_error"], least=one["order"] == "inconclusive")
    return f"; {format_number(abs(one['gap']))}{error} {above} the next{order}"


def _term(row: Plain) -> tuple[str, str, str, str]:
    times = "" if row["times"] is None else f" x {row['times']} {figure(row['value'])}"
    of = "" if row["head"] in {row["task"], None} else f" of {row['head']}"
    prediction = "" if row["head"] is None else f"{figure(row['prediction'])}{of} x "
    factors = f"{prediction}{format_number(row['weight'])}{times}"
    added = "unknown" if row["contribution"] is None else format_signed(row["contribution"])
    return row["task"], factors, f"= {added}", _error(row)


def _error(row: Plain) -> str:
    if not row["contribution"]:
        return ""
    if row["error"] is None:
        return "error unknown"
    low, high = (format_number(row[end], 2) for end in ("error_low", "error_high"))
    return f"error {format_signed(row['error'], 2)} [{low}, {high}]"


def _error_bar(error: float | None, *, least: object) -> str:
    """Format an error bar; ``least``: errors of some terms are unknown."""
    return "" if error is None else f" +/- {'at least ' if least else ''}{format_number(error, 2)}"


_FIRST: Final = frozenset({"rate", "observed_utility", "expected_utility"})
"""Metrics in the table of a release."""
_HARMS: Final = frozenset({"block", "warn"})
"""Outcomes that count as harm to a segment."""
_STYLES: Final = {"pass": "green", "block": "red", "metric_missing": "red"}


@group()
def write_simulation(plain: Plain) -> Iterator[RenderableType]:
    """Write primary metrics and guardrails, rates and utility, and comparisons with other policies."""
    release = plain["release"]
    yield Text(f"release {release} against {plain['baseline']}")
    yield _verdicts(plain["guardrails"])
    if figures := [one for one in plain["measured"] if one["subject"]["metric"] in _FIRST and one["policy"]]:
        yield Text()
        yield _figures(figures)
    if plain["off_policy"]:
        yield Text()
        yield from _off_policy(plain["off_policy"])
    for policy in (further := plain["policies"][1:]):
        yield Text()
        yield Text(f"{policy['name']} against {plain['baseline']}: {spoken(policy['verdict'])}")
        yield _verdicts(policy["verdicts"])
        yield _figures(plain["others"][policy["name"]])
    if further:
        yield Text(_selection(plain["selection"]))
    yield unbroken(Text(f"report: {plain['report']}"))


@group()
def write_shadow(plain: Plain) -> Iterator[RenderableType]:
    """Write the verdicts on a challenger in shadow, and the reasons of those that do not pass."""
    beside = (
        "without a champion" if plain["champion"] is None else f"compared with champion {plain['champion']}"
    )
    size = format_counted(plain["candidates"], "candidate")
    yield Text(f"release {plain['challenger']} {beside}: {size} of {plain['day']}")
    yield _verdicts(plain["verdicts"])
    for one in plain["verdicts"]:
        if one["outcome"] != "pass" and one["reason"]:
            yield Text(f"  {written_subject(one)}: {one['reason']}")
    yield Text(f"run: {plain['run_id']}")


def _selection(selection: Plain) -> str:
    """Describe how many policies were measured on these days, and the best gain corrected for that."""
    counted = (
        f"{selection['policies']} policies were measured on these days: the best of as many equal ones looks "
        f"{format_number(selection['luck'])} standard errors better than it is"
    )
    best = selection["best"]
    if best is None:
        return counted
    gains = (
        f"{best['name']} gains {format_change(best['gain'])}, "
        f"without that luck {format_change(best['gain_without_luck'])}"
    )
    return f"{counted}\n{gains}"


def _verdicts(verdicts: list[Plain]) -> Table:
    """Tabulate verdicts, harmed segments first."""
    from tasks.evaluation.subjects import Threshold

    columns = ("observed (95 % CI)", "allowed")
    table = text.table("verdict", "metric", "segment", figures=columns, fold=True)
    for one in sorted(verdicts, key=lambda one: not one["segment"] or one["outcome"] not in _HARMS):
        written = change if one["relative"] else level
        outcome = Text(spoken(one["outcome"]), style=_STYLES.get(one["outcome"], "yellow"))
        names, allowed = (written_subject(one), written_segment(one)), str(Threshold(**one["threshold"]))
        table.add_row(outcome, *names, written(one["observed"]), allowed)
    return table


def _figures(figures: list[Plain]) -> Table:
    """Tabulate metrics by their first row, which is the policy itself."""
    table = text.table("metric", figures=("policy", "baseline", "change (95 % CI)"), fold=True)
    first: dict[str, Plain] = {}
    for one in figures:
        first.setdefault(written_subject(one), one)
    for name, row in first.items():
        table.add_row(name, level(row["policy"]), level(row["baseline"]), change(row["relative"]))
    return table


def _off_policy(checks: list[Plain]) -> Iterator[RenderableType]:
    """Tabulate figures estimated from propensities alone, then the reasons of inconclusive ones."""
    yield Text("off-policy check (no effect on the verdict):")
    table = text.table("check", "metric", figures=("replayed", "off-policy", "effective rows"), fold=True)
    for one in checks:
        written = level if one["bound"] == "level" else change
        says = Text(spoken(one["verdict"]), style="red" if one["verdict"] == "disagrees" else "")
        rows = "-" if one["ess"] is None else f"{one['ess']:,.0f}"
        table.add_row(says, written_subject(one), written(one["replayed"]), written(one["off_policy"]), rows)
    yield table
    for reason in dict.fromkeys(one["reason"] for one in checks if one["reason"]):
        metrics = dict.fromkeys(written_subject(one) for one in checks if one["reason"] == reason)
        yield Text(f"  {', '.join(metrics)}: {reason}")


@group()
def write_release_diff(plain: Plain) -> Iterator[RenderableType]:
    """Write both releases, their differences, and their simulations and metrics side by side."""
    for name in ("from", "to"):
        side = plain[name]
        yield Text(
            f"{name}: release {side['version']} as of {side['as_of']}, {side['verdict'] or 'not evaluated'}"
        )
        if side["reasons"]:
            yield write_pairs(("-", reason) for reason in side["reasons"])
    yield Text(f"contracts that changed: {', '.join(plain['contracts']) or 'none'}")
    yield Text("components that changed:" if plain["parts"] else "components that changed: none")
    yield write_pairs((name, f"{a or 'none'} -> {b or 'none'}") for name, (a, b) in plain["parts"].items())
    verdict_changes = [
        {**row, "subject": written_subject(row), "segment": written_segment(row)} for row in plain["verdicts"]
    ]
    weights = ("weights", ("task", "context"), plain["weights"])
    for title, names, rows in (weights, ("verdicts", ("gate", "subject", "segment"), verdict_changes)):
        yield Text(f"{title} that changed:" if rows else f"{title} that changed: none")
        yield write_pairs(
            (
                " ".join(row[name] for name in names if row[name]),
                " -> ".join(spoken(row[side]) if row[side] else "none" for side in ("from", "to")),
            )
            for row in rows
        )
    if plain["simulated"]:
        yield Text("simulated, each vs its own baseline (95 % CI):")
        simulated = text.table("metric", figures=("from", "to"), fold=True)
        for row in plain["simulated"]:
            write = change if row["relative"] else level
            simulated.add_row(written_subject(row), write(row["from"]), write(row["to"]))
        yield simulated
    compared = text.table("task", "figure", figures=("from", "to"), fold=True)
    for task, figures in plain["metrics"].items():
        for name, pair in figures.items():
            if pair[0] != pair[1]:
                compared.add_row(task, spoken(name), *_numbers(*pair))
    yield compared


def _numbers(before: float | None, after: float | None) -> tuple[str, str]:
    """Format two different figures with enough digits to distinguish them, at least three."""
    if before is None or after is None or isinstance(before, int):
        return text.number(before), text.number(after)
    pairs = ((format_number(before, digits), format_number(after, digits)) for digits in range(3, 17))
    return next((pair for pair in pairs if pair[0] != pair[1]), (repr(before), repr(after)))


_releases = CommandGroup("Release")
_release = CommandGroup(
    "Release", word="release", help="List, show, compare and verify releases and their alias updates."
)
GROUPS = (_releases, _release)


@_releases.command("home_feed --release 3", written=write_simulation, passed=lambda result: result.passed)
def simulate(
    workspace: "Workspace",
    release: ReleaseOption,
    policy: Annotated[list[Path] | None, Option(metavar="FILE", help="A utility.yaml to compare.")] = None,
    baseline: Baseline = None,
    engine: EngineOption = None,
    parent_run: ParentRun = None,
) -> Any:
    """Compare policies with the baseline on logged candidates; exit code 1 if a guardrail blocks."""
    from tasks.replay import simulate

    return simulate.run(
        replace(workspace, engine=engine),
        release=workspace.releases.version(release),
        baseline=baseline,
        policies=tuple(policy or ()),
        parent_run=parent_run,
    )


@_releases.command(
    "home_feed --challenger challenger --as-of 2026-05-13T00:00:00Z",
    written=write_shadow,
    passed=lambda result: result.passed,
)
def shadow(
    workspace: "Workspace",
    challenger: Annotated[str, Option(metavar="REF", help="A version number or an alias.")],
    as_of: AsOf,
    champion: Annotated[
        str | None, Option(metavar="REF", help="A version number or an alias (default: champion).")
    ] = None,
    parent_run: ParentRun = None,
) -> Any:
    """Compare champion and challenger on the newest traffic; exit code 1 if a limit blocks."""
    from tasks.replay import shadow

    return shadow.run(
        workspace,
        as_of=as_of,
        challenger=workspace.releases.version(challenger),
        champion=workspace.releases.version(champion) if champion else None,
        parent_run=parent_run,
    )


@_release.command("home_feed", name="list", written=text.write_releases)
def list_all(workspace: "Workspace") -> Any:
    """List every release, newest first."""
    return workspace.releases.summaries()


@_release.command("home_feed challenger", written=text.write_release)
def show(
    workspace: "Workspace",
    ref: Release,
    html: Annotated[
        bool, Option("--html", help="Write its dossier as a page, and open it if run from a terminal.")
    ] = False,
    segment: Annotated[
        tuple[str, str] | None,
        Option(
            metavar="COLUMN VALUE",
            help="Write a page with the verdicts of one segment only, such as a tenant.",
        ),
    ] = None,
) -> dict[str, Any]:
    """Show a release's components and figures, or write its dossier as a page."""
    if html or segment:
        from tasks.evaluation.subjects import Segment
        from tasks.promotion import compose

        alone, browse = Segment(*segment) if segment else None, sys.stdout.isatty()
        return asdict(compose.write_page(workspace, release=ref, browse=browse, segment=alone))
    from tasks.release import view

    return view.show(workspace, ref)


@_release.command("home_feed 3 4", written=write_release_diff)
def diff(
    workspace: "Workspace",
    before: Annotated[str, Argument(metavar="A", help="A version number or an alias.")],
    after: Annotated[str, Argument(metavar="B", help="A version number or an alias.")],
) -> dict[str, Any]:
    """Compare two releases: contracts, components, figures, simulations and verdicts."""
    from tasks.release import view

    return view.compare(workspace, before, after)


@_release.command("home_feed challenger", passed=lambda result: not result.problems)
def verify(workspace: "Workspace", ref: Release) -> Any:
    """Verify a release's files and every version it pins."""
    from tasks.release import view

    return view.verify(workspace, ref)


@_release.command(
    "home_feed", written=text.write_history, passed=lambda rows: not any(row["problem"] for row in rows)
)
def history(workspace: "Workspace") -> list[dict[str, Any]]:
    """List every alias update and every approval or rejection, oldest first."""
    from tasks.release import view

    return view.history(workspace)


@_releases.command("home_feed --release challenger --input candidates.parquet --out scored.parquet")
def score(
    workspace: "Workspace",
    release: ReleaseOption,
    source: Candidates,
    out: FileToWrite,
) -> Any:
    """Score candidates with a release."""
    from tasks.release import score

    return score.run(workspace, release=release, source=source, out=out)


@_releases.command("home_feed --release champion --port 5001")
def serve(
    workspace: "Workspace",
    *,
    release: Annotated[str, Option(metavar="REF", help="A version number or an alias.")] = "champion",
    host: Annotated[
        str, Option(metavar="HOST", help="Address to listen on; the server has no login.")
    ] = "127.0.0.1",
    port: Annotated[int, Option(metavar="N", min=1, max=65535)] = 5001,
    max_bytes: Annotated[
        int, Option(metavar="N", min=1, help="Maximum bytes of a call; larger calls get status 413.")
    ] = 64_000_000,
    max_calls: Annotated[
        int, Option(metavar="N", min=1, help="Maximum concurrent calls; further calls get status 503.")
    ] = 32,
) -> dict[str, int]:
    """Serve a release over HTTP with MLflow's server and limits on each call, and follow alias updates."""
    from tasks.release import serve

    limits = {"max_bytes": max_bytes, "max_calls": max_calls}
    return {"release": serve.run(workspace, release=release, host=host, port=port, **limits)}


@_releases.command(
    "home_feed --release challenger --input candidates.parquet --request r-17",
    written=write_explanation,
)
def explain(
    workspace: "Workspace",
    release: ReleaseOption,
    source: Candidates,
    request: Annotated[str, Option(metavar="ID", help="The request_id to explain.")],
) -> list[dict[str, Any]]:
    """Explain the order of a request's candidates, term by term."""
    from tasks.release import score

    return score.explain(workspace, release=release, source=source, request=request)
