"""Labels as text for people: counted, explained, and compared."""

from collections.abc import Iterator, Mapping

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from tasks.cli.text import Plain, write_pairs
from tasks.reports.numbers import format_counted, format_number

_DAYS = 4
"""Days that are named in a line of a comparison."""


def write_counts(plain: Plain) -> Group:
    """Write rows by task and status, base rates, and what late events changed."""
    table = Table("task", box=None, pad_edge=False)
    for name in ("observed", "positive", "rate", "immature", "excluded", "not applicable"):
        table.add_column(name, justify="right")
    for task, n in plain["tasks"].items():
        first, last = ("observed", "positive"), ("immature", "excluded", "not_applicable")
        cells = (f"{n[s]:,}" for s in first), (_rate(plain["rates"][task]),), (f"{n[s]:,}" for s in last)
        table.add_row(task, *(cell for part in cells for cell in part))
    rows = format_counted(plain["rows"], "row")
    return Group(
        f"snapshot {plain['snapshot']} as of {_moment(plain['as_of'])}, {rows}",
        table,
        *(f"{task}: mean {_rate(mean)} of its observed values" for task, mean in plain["means"].items()),
        *(_kept_rate(task, rates) for task, rates in plain["before_positive"].items()),
        *_late_changes(plain["changed"]),
    )


def write_explanation(plain: Plain) -> Group:
    """Write an impression and, a row a task, why its labels are what they are."""
    user = "" if plain["user_id"] is None else f" to {plain['user_id']}"
    return Group(
        f"request {plain['request_id']}, item {plain['item_id']}: shown {_moment(plain['shown_at'])}{user}",
        f"snapshot {plain['snapshot']} as of {_moment(plain['as_of'])}; every time is UTC",
        *(f"note: {note}" for note in plain["notes"]),
        "",
        write_pairs(((f"{task}:", state["words"]) for task, state in plain["tasks"].items()), indent=0),
    )


def write_changes(plain: Plain) -> Group:
    """Write what both snapshots are, and a block a task of what changed, the biggest change first."""
    changed = {task: changes for task, changes in plain["tasks"].items() if changes["changed"]}
    unchanged = [task for task in plain["tasks"] if task not in changed]
    return Group(
        write_pairs(((f"{name}:", _side(plain[name])) for name in ("from", "to")), indent=0),
        f"contract: {'another' if plain['contract_changed'] else 'the same'}",
        f"days: {plain['days_compared']} compared, {plain['days_shared']} shared file by file",
        f"impressions: {_by_day('appeared', plain['appeared'])}; {_by_day('went', plain['gone'])}",
        *(
            f"tasks only in {name}: {', '.join(plain[f'tasks_only_in_{name}'])}"
            for name in ("from", "to")
            if plain[f"tasks_only_in_{name}"]
        ),
        *(part for task, changes in changed.items() for part in _block(task, changes)),
        *([f"unchanged: {', '.join(unchanged)}"] if unchanged else []),
    )


def _kept_rate(task: str, rates: Plain) -> str:
    labelled = _rate(rates["as_labelled"])
    begins = f"{task} keeps rows that were positive before their exclusion: its rate is {labelled}"
    if rates["spared"] is None:
        return f"{begins}. Without them it is not known: {rates['note']}."
    note = f" ({rates['note']})" if rates["note"] else ""
    spared = format_counted(rates["spared"], "row")
    return f"{begins}, and {_rate(rates['without_spared'])} without those {spared}{note}."


def _late_changes(changed: Mapping[str, int]) -> Iterator[str]:
    counts = ", ".join(f"{task} {number:,}" for task, number in changed.items() if number)
    if counts:
        yield f"observed labels that this build changed, through late events: {counts}"


def _rate(rate: float | None) -> str:
    return "-" if rate is None else format_number(rate)


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
    """List the days with the most rows, and how many others there are."""
    most = sorted(days.items(), key=lambda day: (-day[1], day[0]))
    listed = ", ".join(f"{day}: {rows:,}" for day, rows in most[:_DAYS])
    return listed + (f", {len(most) - _DAYS} days more" if len(most) > _DAYS else "")


def _moment(instant: str) -> str:
    return instant.replace("T", " ").removesuffix("Z")
