"""Format results as plain data, as JSON, and as text, in the width and colours of a terminal.

Each ``write_`` function takes the plain data of the JSON document. Strings are printed unchanged; rich
renderables fit the terminal's width, or 100 columns without a terminal. Folder names, logged values and
reasons may contain anything: characters that control a terminal or change the direction of text are printed
as the escapes of Python or JSON.
"""

import io
import json
import logging
import math
import shutil
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from functools import partial
from typing import Any, Final

from rich.console import Console, Group, RenderableType, group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from tasks.reports.numbers import format_change, format_number, format_outcomes, format_percent, spoken

WIDTH: Final = 100
"""Columns of text without a terminal, and maximum columns on a terminal."""


_HARMLESS: Final = "\n\t\N{FIRST STRONG ISOLATE}\N{POP DIRECTIONAL ISOLATE}"
"""Isolates prevent right-to-left names from reordering adjacent figures."""


def as_plain(result: Any) -> Any:
    """Return a result as the plain data of its JSON document."""
    if hasattr(result, "to_json"):
        return result.to_json()
    return asdict(result) if is_dataclass(result) and not isinstance(result, type) else result


def as_json(plain: Any) -> str:
    """Write plain data as one JSON document; non-finite numbers become null.

    Examples
    --------
    >>> as_json(float("nan"))
    'null'
    """
    written = json.dumps(_as_finite(plain), indent=1, ensure_ascii=False, default=str, allow_nan=False)
    return "".join(sign if _is_harmless(sign) else json.dumps(sign)[1:-1] for sign in written)


def _as_finite(plain: Any) -> Any:
    if isinstance(plain, float):
        return plain if math.isfinite(plain) else None
    if isinstance(plain, Mapping):
        return {name: _as_finite(value) for name, value in plain.items()}
    return [_as_finite(value) for value in plain] if isinstance(plain, list | tuple) else plain


def as_printable(plain: Any) -> Any:
    r"""Return plain data without control characters in texts, except line ends and tabs.

    Examples
    --------
    >>> print(as_printable(chr(27) + "[2Jana"), as_printable({"days": ["naïve", 7]}))
    \x1b[2Jana {'days': ['naïve', 7]}
    """
    if isinstance(plain, str):
        return "".join(sign if _is_harmless(sign) else repr(sign)[1:-1] for sign in plain)
    if isinstance(plain, Mapping):
        return {as_printable(name): as_printable(value) for name, value in plain.items()}
    return [as_printable(value) for value in plain] if isinstance(plain, list | tuple) else plain


def _is_harmless(sign: str) -> bool:
    return sign.isprintable() or sign in _HARMLESS or unicodedata.category(sign) == "Zs"


class PrintableFormatter(logging.Formatter):
    """Formats a log message without control characters."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the printable message."""
        return str(as_printable(super().format(record)))


def as_text(written: RenderableType) -> str:
    """Render text for stdout; strings are returned unchanged, regardless of their width."""
    if isinstance(written, str):
        return written
    terminal = sys.stdout.isatty()
    console = Console(
        file=io.StringIO(),
        force_terminal=terminal,
        width=min(WIDTH, shutil.get_terminal_size().columns) if terminal else WIDTH,
        markup=False,
        emoji=False,
        highlight=False,
    )
    with console.capture() as captured:
        console.print(written, crop=False)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


Plain = Mapping[str, Any]


def write_lines(plain: Any, indent: str = "") -> str:
    """Write plain data as indented lines."""
    if isinstance(plain, Mapping):
        return "\n".join(_entry(name, value, indent) for name, value in plain.items())
    if isinstance(plain, Sequence) and not isinstance(plain, str):
        items = (f"{indent}- {write_lines(item, indent + '  ').lstrip()}" for item in plain)
        return "\n".join(items) or f"{indent}none"
    return f"{indent}{_value(plain)}"


def _entry(name: str, value: Any, indent: str) -> str:
    if isinstance(value, dict | list) and value:
        return f"{indent}{name}:\n{write_lines(value, indent + '  ')}"
    return f"{indent}{name}: {'none' if value in (None, {}, []) else _value(value)}"


def _value(value: Any) -> str:
    """Format a value; floats have three digits, since JSON has all of them."""
    return format_number(value) if isinstance(value, float) else str(value)


def write_sql(plain: Plain) -> str:
    """Return the SQL alone."""
    return str(plain["sql"])


@group()
def write_check(plain: Plain) -> Iterator[RenderableType]:
    """Write each problem with its hint, then the power of a surface's limits and the result."""
    for kind, style in (("problem", "red"), ("warning", "yellow")):
        for problem in plain[f"{kind}s"]:
            place = f" {problem['surface']}/{problem['file']}: {problem['field'] or 'file'}"
            yield Text.assemble((kind, style), place, f" = {problem['found']}" if problem["found"] else "")
            yield _hint(problem["hint"])
    if len(plain["digests"]) == 1:
        for tasks in filter(None, plain["measured"].values()):
            yield Text(f"measured, never trained: {', '.join(tasks)}")
        yield from (_power_line(row) for row in plain["power"])
        yield _log_line(plain["log"])
    if plain["valid"]:
        yield Text(f"valid: {', '.join(plain['digests'])}", style="green")
    else:
        yield Text(f"{len(plain['problems'])} problem(s)", style="red")


@group()
def write_init(plain: Plain) -> Iterator[RenderableType]:
    """Write the created files, and the next commands."""
    yield from (unbroken(Text(f"wrote {file}")) for file in plain["files"])
    yield Text("Guesses are marked by comments: read each line. Next:")
    yield from (unbroken(Text(f"  {line}")) for line in plain["next"])


def _log_line(tables: Sequence[Plain]) -> Text:
    sizes = [f"{table['table']} {table['rows']:,} rows" for table in tables if table["missing"] is None]
    if sizes:
        return Text(f"log: {', '.join(sizes)}; its columns were compared with the contracts")
    missing = next((table["missing"] for table in tables), "no table could be read")
    return Text(f"log: its columns were not compared. {missing}")


def _power_line(row: Plain) -> Text:
    rise = row.get("relative_increase_max")
    bound = f"rise of {rise:.1%}" if rise is not None else f"fall of {row['relative_decrease_max']:.1%}"
    if not row["events"]:
        return Text(f"{row['metric']}: a {bound} cannot be detected, however many events the test days have")
    needed = f"{row['events']:,} events on the test days detect a {bound} in 80 % of cases"
    explored = row.get("explored_events")
    needed += f"; {explored:,} on a log of this surface's releases, which explore" if explored else ""
    return Text(f"{row['metric']}: {needed}")


@group()
def write_settings(plain: Plain) -> Iterator[RenderableType]:
    """Write each variable with its value, its meaning and its default."""
    yield from (Text(warning, style="yellow") for warning in plain["warnings"])
    for setting in plain["settings"]:
        value = f" = {setting['value']}" if setting["value"] else " is not set"
        yield unbroken(Text.assemble((setting["name"], "bold"), value))
        yield _hint(f"{setting['meaning']} (default: {setting['default']})")
        if setting["problem"]:
            yield _hint(setting["problem"], style="red")


@group()
def write_validation(plain: Plain) -> Iterator[RenderableType]:
    """Write the failed expectations, the worst first, then counts and the report's path."""
    failed = [one for one in plain["expectations"] if not one["success"]]
    worst = {severity: place for place, severity in enumerate(("critical", "warning", "info"))}
    for one in sorted(failed, key=lambda one: worst.get(one["severity"], len(worst))):
        yield Text.assemble(
            (one["severity"], "red"), f" {one['suite']}: {one['expectation']} ({one['subject']})"
        )
        yield _hint(f"{one['observed']}. {one['why']}")
    passed = len(plain["expectations"]) - len(failed)
    yield Text("the labels may be trained on" if plain["success"] else "the labels may not be trained on")
    yield Text(f"expectations: {passed} passed, {len(failed)} failed")
    yield unbroken(Text(f"report: {plain['report']}"))


def write_verdict(plain: Plain) -> Group:
    """Write the verdict on a release, its reasons, the counts of outcomes, and the next step."""
    verdict = plain["verdict"]
    outcomes = Counter(one["outcome"] for one in (*plain["gates"], *plain["timings"]))
    counts = format_outcomes(dict(outcomes.most_common()))
    return Group(
        Text.assemble(f"release {plain['release']}: ", (verdict, "green" if verdict == "promote" else "red")),
        *_reasons(plain),
        f"verdicts: {counts}",
        write_pairs([("next:", plain["next_step"])], indent=0),
        unbroken(Text(f"dossier: {plain['dossier']}")),
    )


def _reasons(plain: Plain) -> Iterator[RenderableType]:
    if plain["reasons"]:
        yield write_pairs(("-", reason) for reason in plain["reasons"])


_STATES: Final = {"met": "green", "not met": "red", "not applicable": ""}


@group()
def write_readiness(plain: Plain) -> Iterator[RenderableType]:
    """Write each item with its evidence or what is missing, then counts by state."""
    described = "the champion" if plain["champion"] else "the newest release"
    release = f"release {plain['release']}, {described}" if plain["release"] else "no release yet"
    yield Text(f"readiness of {plain['surface']}: {release}")
    for line in plain["lines"]:
        yield Text.assemble((f"{line['state']:<14}", _STATES[line["state"]]), " ", (line["name"], "bold"))
        sources = f" ({', '.join(line['sources'])})" if line["sources"] else ""
        yield Padding(Text(_plain(f"{line['why']}{sources}"), overflow="fold"), (0, 0, 0, 15))
    counted = Counter(line["state"] for line in plain["lines"])
    yield Text(", ".join(f"{counted[state]} {state}" for state in _STATES))


def write_releases(plain: Sequence[Plain]) -> RenderableType:
    """Write one row per release, newest first."""
    if not plain:
        return "none"
    releases = table("release", "aliases", "as of", "snapshot", "verdict", "backfilled")
    for row in plain:
        cells = (row["version"], ", ".join(row["aliases"]), row["as_of"], row["snapshot"], row["verdict"])
        releases.add_row(*(str(cell or "-") for cell in cells), "yes" if row["backfilled"] else "no")
    return releases


def write_release(plain: Plain) -> Group:
    """Write a release with its metrics and pins, or the path of its dossier."""
    from tasks.reports.phrases import METRICS  # imports pydantic, which slows down --help

    if "pins" not in plain:
        return Group(f"release {plain['release']}: {plain['verdict']}", unbroken(Text(plain["dossier"])))
    about = {name: plain[name] for name in ("version", "aliases", "as_of", "snapshot", "verdict", "run_id")}
    names = ("auc", "auc_by_request", "normalized_entropy", "calibration_ratio", "rows", "positives")
    figures = table("task", figures=[spoken(name) for name in names], fold=True)
    for task, metrics in plain["metrics"].items():
        figures.add_row(task, *(number(metrics["test"].get(name)) for name in names))
    return Group(
        write_lines(about),
        *_reasons(plain),
        unbroken(Text(f"dossier: {plain['dossier'] or 'none'}")),
        "",
        "on the test days, calibrated and joint:",
        figures,
        *(_hint(f"{spoken(name)}: {METRICS[name].meaning}") for name in names[:4]),
        "",
        "pins:",
        write_pairs((name, str(version)) for name, version in plain["pins"].items()),
    )


def written_subject(verdict: Plain) -> str:
    """Format the subject of a verdict or a figure."""
    from tasks.evaluation.subjects import Subject  # imports pydantic, which slows down --help

    return str(Subject(**verdict["subject"]))


def written_segment(figure: Plain) -> str:
    """Format the segment of a verdict or a figure."""
    from tasks.evaluation.subjects import Segment

    return str(Segment(**figure["segment"]))


def write_move(plain: Plain) -> str:
    """Write the resulting champion and canary."""
    if not plain["moved"]:
        canary = plain.get("canary")
        beside = f", and release {canary} the canary: continue with equipoise ramp" if canary else ""
        return f"nothing to do: release {plain['to']} is the champion{beside}"
    by = f"({plain['kind']} by {plain['by']}: {plain['why']})"
    before = plain["from"] or "none"
    moved = {
        "canary": f"canary: release {plain['to']}, champion {before} {by}",
        "withdraw": f"canary: {', '.join(map(str, plain['ended']))} -> none, champion {before} {by}",
    }.get(plain["kind"], f"champion: {before} -> {plain['to']} {by}")
    if plain.get("share"):
        moved += f"\nshare: {plain['share']:.3g}"
    return f"{moved}\nsigned: {plain['signed']}" if plain.get("signed") else moved


@group()
def write_ramp(plain: Plain) -> Iterator[RenderableType]:
    """Write the state of a ramp, its reasons, its guardrails and its update."""
    ramping = plain["stage"] is not None
    served = (
        f"stage {plain['stage']} of {plain['of']}, {plain['share']:.3g} of {_users(plain['pool'])}"
        if ramping
        else ""
    )
    beside = f"release {plain['release']}, champion {plain['champion']}"
    if ramping:
        yield Text(f"{beside}, {served} since {plain['since']}")
    yield Text(f"{spoken(plain['state'])}: {'; '.join(plain['reasons'])}", overflow="fold")
    if plain["guardrails"]:
        rails = table("guardrail", figures=("harm", "at most", "bound", "stage", "events", ""))
        for one in plain["guardrails"]:
            known = (one["change"], one["upper"], one["bound"], one["harm"])
            events = f"{one['treated_events']:,} / {one['control_events']:,}"
            word = "harmed" if one["alarm"] else "no harm" if one["clear"] else "undecided"
            rails.add_row(
                one["metric"], *("" if x is None else format_change(x) for x in known), events, word
            )
        yield rails
    yield from (Text(f"note: {note}", overflow="fold") for note in plain["notes"])
    if plain["moved"]:
        yield Text(f"updated: {plain['moved']['kind']} by {plain['moved']['by']}")


@group()
def write_assignments(plain: Plain) -> Iterator[RenderableType]:
    """Write the serving releases, and the arm of each user."""
    beside = (
        f", release {one['release']} for {one['share']:.3g} of {_users(one['pool'])}"
        for one in plain["ramps"]
    )
    yield Text(f"champion {plain['champion'] or 'none'}{''.join(beside)}")
    for one in plain["users"]:
        yield Text(f"{one['user']}  {one['arm']}  release {one['release'] or 'none'}")


def _users(pool: Mapping[str, Any]) -> str:
    from tasks.contracts.gates import UserPool

    return UserPool(**pool).words


_BELOW: Final = (
    "why",
    "experiment",
    "waiver",
    "signed",
    "share",
    "override",
    "loosened",
    "evidence",
    "sha256",
    "run",
    "replaces",
    "problem",
)
_ALIASES_MOVED: Final = {
    "canary": "release {to}, champion {before}",
    "withdraw": "release {to}, champion {before}",
    "ramped": "release {to}, champion {before}",
    "prune": "newest release {to}",
    "restart": "newest release {to}",
}
_DIGESTS: Final = frozenset({"evidence", "sha256"})


@group()
def write_history(plain: Sequence[Plain]) -> Iterator[RenderableType]:
    """Write one line per audit row, with its support below."""
    if not plain:
        yield "no alias update was recorded"
    for row in plain:
        move = (
            f"{row['role']}, release {row['to']}"
            if row["role"]
            else _ALIASES_MOVED.get(row["kind"], "{before} -> {to}").format(
                before=row["from"] or "none", to=row["to"]
            )
        )
        at = row["at"][:19].replace("T", " ")
        yield unbroken(Text(f"{row['number']:>4}  {at}  {row['kind']:<8}  {move}  by {_plain(row['by'])}"))
        names = [name for name in _BELOW if row.get(name)]
        values = (row[name][:12] if name in _DIGESTS else _plain(str(row[name])) for name in names)
        yield write_pairs(zip((f"{name}:" for name in names), values, strict=True), indent=4)


def table(*words: str, figures: Sequence[str] = (), fold: bool = False) -> Table:
    """Return a table without a frame: columns of words, then right-aligned columns of figures."""
    made = Table(box=None, pad_edge=False)
    for name in words:
        made.add_column(name, overflow="fold" if fold else "ellipsis")
    for name in figures:
        made.add_column(name, justify="right")
    return made


def write_pairs(pairs: Iterable[tuple[str, str]], *, indent: int = 2) -> Padding:
    """Tabulate names with their texts, which wrap within their column."""
    grid = Table.grid(padding=(0, 1))
    for name, value in pairs:
        grid.add_row(Text(name, no_wrap=True), Text(value, overflow="fold"))
    return Padding(grid, (0, 0, 0, indent))


def _plain(text: str) -> str:
    r"""Escape control characters and line ends, so that a text cannot imitate a row of its own.

    Examples
    --------
    >>> print(_plain("ana" + chr(10) + "   7  promote"))
    ana\n   7  promote
    """
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text)


def unbroken(line: Text) -> Text:
    """Prevent a line from wrapping, so that a path or value in it can be copied."""
    line.no_wrap, line.overflow = True, "ignore"
    return line


def _hint(line: str, style: str = "") -> Padding:
    return Padding(Text(line, style=style), (0, 0, 0, 4))


def number(value: float | None) -> str:
    """Format a figure; a dash if it is missing."""
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else format_number(value)


def figure(value: float | None) -> str:
    """Format a figure that may be unknown."""
    return "unknown" if value is None else format_number(value)


def level(estimate: Plain | None) -> str:
    """Format a figure with its 95 % interval; a dash for a missing figure. Counts have no interval.

    Examples
    --------
    >>> level({"value": 0.5, "low": 0.25, "high": 0.75, "n": 90}), level(None)
    ('0.5 (0.25 to 0.75)', '-')
    >>> level({"value": 1234.0, "low": 1234.0, "high": 1234.0, "n": 90})
    '1,234'
    """
    if estimate and estimate["low"] == estimate["high"] and float(estimate["value"] or 0.5).is_integer():
        return format_number(estimate["value"])
    return _interval(estimate, format_number)


def change(estimate: Plain | None) -> str:
    """Format a relative change with its interval.

    Examples
    --------
    >>> change({"value": 0.05, "low": None, "high": None, "n": 3})
    '+5.0 %, no interval'
    """
    return _interval(estimate, partial(format_percent, signed=True), unit=" %")


def share(estimate: Plain | None) -> str:
    """Format a share with its interval.

    Examples
    --------
    >>> share({"value": 0.2, "low": 0.1, "high": 0.3, "n": 90})
    '20 % (10 to 30)'
    """
    return _interval(estimate, format_percent, unit=" %")


def _interval(estimate: Plain | None, write: Callable[[float], str], *, unit: str = "") -> str:
    if estimate is None or estimate["value"] is None:
        return "-"
    value, low, high = (estimate[name] for name in ("value", "low", "high"))
    if low is None or high is None:
        return f"{write(value)}{unit}, no interval"
    return f"{write(value)}{unit} ({write(low)} to {write(high)})"
