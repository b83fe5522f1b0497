"""Commands on labels: compile, build, show, explain, compare, export and vacuum."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text
from typer import Option

from tasks.cli import text
from tasks.cli.command import AsOf, CommandGroup, EngineOption, FileToWrite, parse_age, parse_day
from tasks.cli.text import Plain, number, write_pairs
from tasks.errors import list_names
from tasks.reports.numbers import format_counted

if TYPE_CHECKING:
    from tasks.stores.workspace import Workspace

_REASONS = {
    "new": "new",
    "contract": "under a changed contract",
    "lost": "whose files were lost",
    "left behind": "left out by an earlier build",
    "log": "with changed impressions",
    "grown": "with more impressions",
    "matured": "with labels that matured",
    "events": "with late events",
}
"""Reasons for writing a day's labels (``tasks/labels/build_record.py``)."""
_DAYS = 4
"""Maximum number of days in a line of a comparison."""


def write_counts(plain: Plain) -> Group:
    """Write rows by task and status, base rates, and the changes by late events."""
    counted = ("observed", "positive", "rate", "immature", "excluded", "not applicable")
    table = text.table("task", figures=counted)
    for task, n in plain["tasks"].items():
        first, last = ("observed", "positive"), ("immature", "excluded", "not_applicable")
        cells = (f"{n[s]:,}" for s in first), (number(plain["rates"][task]),), (f"{n[s]:,}" for s in last)
        table.add_row(task, *(cell for part in cells for cell in part))
    rows = format_counted(plain["rows"], "row")
    return Group(
        f"snapshot {plain['snapshot']} as of {_moment(plain['as_of'])}, {rows}",
        table,
        *(f"{task}: mean {number(mean)} of its observed values" for task, mean in plain["means"].items()),
        *(_kept_rate(task, rates) for task, rates in plain["before_positive"].items()),
        *_late_changes(plain["changed"]),
    )


def write_build(plain: Plain) -> Group:
    """Write the snapshot, the written days by reason, and the omitted rows and events."""
    from tasks.logs.profile import Counts  # imports DuckDB, which slows down --help

    reasons = Counter(plain["days"].values())
    days = ", ".join(f"{n} {_REASONS[reason]}" for reason, n in reasons.items())
    pairs = [("days written:", days or "none, the labels are up to date")]
    pairs += [(f"{table}:", str(Counts(**counts))) for table, counts in plain["counts"].items()]
    if plain["gone"]:
        pairs.append(("no longer in the log:", list_names(plain["gone"])))
    if plain["arrived_early"]:
        pairs.append(("arrived before they happened:", format_counted(plain["arrived_early"], "event")))
    if strange := plain["unknown_events"]:
        named = (f"{name} ({n:,})" for name, n in strange.items())
        pairs.append(("events without a task:", list_names(named)))
    rows = format_counted(plain["rows"], "row")
    return Group(
        f"snapshot {plain['snapshot']} as of {_moment(plain['as_of'])}, {rows}",
        write_pairs(pairs, indent=0),
        *_late_changes(plain["changed"]),
    )


def write_explanation(plain: Plain) -> Group:
    """Write an impression and one row per task that explains its labels."""
    user = "" if plain["user_id"] is None else f" to {plain['user_id']}"
    return Group(
        f"request {plain['request_id']}, item {plain['item_id']}: shown {_moment(plain['shown_at'])}{user}",
        f"snapshot {plain['snapshot']} as of {_moment(plain['as_of'])}; every time is UTC",
        *(f"note: {note}" for note in plain["notes"]),
        "",
        write_pairs(((f"{task}:", state["words"]) for task, state in plain["tasks"].items()), indent=0),
    )


def write_changes(plain: Plain) -> Group:
    """Write both snapshots, and a block per task with its changes, the largest first."""
    changed = {task: changes for task, changes in plain["tasks"].items() if changes["changed"]}
    unchanged = [task for task in plain["tasks"] if task not in changed]
    return Group(
        write_pairs(((f"{name}:", _side(plain[name])) for name in ("from", "to")), indent=0),
        f"contract: {'another' if plain['contract_changed'] else 'the same'}",
        f"days: {plain['days_compared']} compared, {plain['days_shared']} shared file by file",
        f"impressions: {_by_day('added', plain['appeared'])}; {_by_day('removed', plain['gone'])}",
        *(
            f"tasks only in {name}: {', '.join(plain[f'tasks_only_in_{name}'])}"
            for name in ("from", "to")
            if plain[f"tasks_only_in_{name}"]
        ),
        *(part for task, changes in changed.items() for part in _block(task, changes)),
        *([f"unchanged: {', '.join(unchanged)}"] if unchanged else []),
    )


def _kept_rate(task: str, rates: Plain) -> str:
    labelled = number(rates["as_labelled"])
    begins = f"{task} keeps rows that were positive before their exclusion: its rate is {labelled}"
    if rates["spared"] is None:
        return f"{begins}. Without them it is not known: {rates['note']}."
    note = f" ({rates['note']})" if rates["note"] else ""
    spared = format_counted(rates["spared"], "row")
    return f"{begins}, and {number(rates['without_spared'])} without those {spared}{note}."


def _late_changes(changed: Mapping[str, int]) -> Iterator[str]:
    counts = ", ".join(f"{task} {count:,}" for task, count in changed.items() if count)
    if counts:
        yield f"observed labels that this build changed, through late events: {counts}"


def _side(side: Plain) -> str:
    version = "" if side["contract_version"] is None else f"version {side['contract_version']} "
    contract = f"contract {version}({side['contract_digest'][:12]})"
    rows = format_counted(side["rows"], "row")
    return f"{side['snapshot']} as of {_moment(side['as_of'])}, {rows}, {contract}"


def _block(task: str, changes: Plain) -> Iterator[RenderableType]:
    yield f"{task}: {format_counted(changes['changed'], 'label')} changed"
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(justify="right")
    for move in changes["transitions"]:
        grid.add_row(f"{move['from']} -> {move['to']}", f"{move['rows']:,}", Text(_list_days(move["days"])))
    yield Padding(grid, (0, 0, 0, 2))


def _by_day(what: str, days: Mapping[str, int]) -> str:
    total = sum(days.values())
    return f"{total:,} {what} ({_list_days(days)})" if total else f"none {what}"


def _list_days(days: Mapping[str, int]) -> str:
    """List the days with the most rows, and count the rest."""
    most = sorted(days.items(), key=lambda day: (-day[1], day[0]))
    listed = ", ".join(f"{day}: {rows:,}" for day, rows in most[:_DAYS])
    return listed + (f", {len(most) - _DAYS} days more" if len(most) > _DAYS else "")


def _moment(instant: str) -> str:
    return instant.replace("T", " ").removesuffix("Z")


_labels = CommandGroup("Labels", word="labels", help="Build, show, explain, compare and export labels.")
GROUPS = (_labels,)

_Dialect = Literal["duckdb", "spark", "postgres", "bigquery", "snowflake"]
_Age = Annotated[
    timedelta | None,
    Option(metavar="AGE", parser=parse_age, help="Keep builds younger than this (default: P30D)."),
]
_Impression = Annotated[
    str, Option(metavar="REQUEST_ID/ITEM_ID", help="Write a slash within an item id as %2F.")
]
_FROM = "First day to build, UTC (default: the log's first day)."
_TO = "Last day to build, included (default: the last day before --as-of)."
_Snapshot = Annotated[str | None, Option(metavar="V", help="A snapshot (default: the newest build's).")]


@_labels.command("home_feed --dialect spark", written=text.write_sql)
def sql(workspace: "Workspace", dialect: _Dialect = "duckdb") -> dict[str, str]:
    """Print the SQL that the contract compiles to."""
    from tasks.labels.compile import labels_script

    return {"sql": labels_script(workspace.contracts, dialect)}


@_labels.command("home_feed --as-of 2026-05-13T00:00:00Z", written=write_build)
def build(
    workspace: "Workspace",
    as_of: AsOf,
    first_day: Annotated[date | None, Option("--from", metavar="DAY", parser=parse_day, help=_FROM)] = None,
    last_day: Annotated[date | None, Option("--to", metavar="DAY", parser=parse_day, help=_TO)] = None,
    engine: EngineOption = None,
) -> Any:
    """Build the labels as of an instant."""
    from tasks.labels import build

    return build.run(replace(workspace, engine=engine), as_of=as_of, first_day=first_day, last_day=last_day)


@_labels.command("home_feed", written=write_counts)
def show(workspace: "Workspace", snapshot: _Snapshot = None) -> Any:
    """Count rows by task and status."""
    from tasks.labels import show

    return show.show(workspace, snapshot=snapshot)


@_labels.command("home_feed --impression r20260301-000007/3021", written=write_explanation)
def explain(
    workspace: "Workspace",
    impression: _Impression,
    snapshot: _Snapshot = None,
) -> Any:
    """Explain one impression's labels."""
    from tasks.labels.explain import explain

    return explain(workspace, impression=impression, snapshot=snapshot)


@_labels.command("home_feed --from 3fe1fbbb46ac1f91 --to 12c7569d19267e6b", written=write_changes)
def diff(
    workspace: "Workspace",
    before: Annotated[str, Option("--from", metavar="V1", help="The earlier snapshot.")],
    after: Annotated[str, Option("--to", metavar="V2", help="The later snapshot.")],
) -> Any:
    """Count what changed between two snapshots, by task, day and status."""
    from tasks.labels.compare import diff

    return diff(workspace, before=before, after=after)


@_labels.command("home_feed --out labels.jsonl --format jsonl")
def export(
    workspace: "Workspace",
    out: FileToWrite,
    file_format: Annotated[Literal["parquet", "jsonl"], Option("--format")] = "parquet",
) -> Any:
    """Write the snapshot as one file."""
    from tasks.labels import show

    return show.export(workspace, out=out, format=file_format)


@_labels.command("home_feed --keep P30D --dry-run")
def vacuum(
    workspace: "Workspace",
    keep: _Age = None,
    dry_run: Annotated[bool, Option("--dry-run", help="Only print what would be deleted.")] = False,
) -> Any:
    """Delete label files that no release pins and no recent build uses."""
    from tasks.labels.store import KEEP, vacuum

    return vacuum(workspace, keep=keep or KEEP, dry_run=dry_run)
