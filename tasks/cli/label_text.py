"""Labels as text that fits a terminal: counted, explained, and compared."""

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

Plain = Mapping[str, Any]
_WIDTH = 110
_DAYS = 4
"""Days that are named in a line of a comparison."""


def counted(plain: Plain) -> str:
    """Write rows by task and status, base rates, and what late events changed."""
    names = ("observed", "positive", "immature", "excluded", "not_applicable")
    width = max(len(task) for task in plain["tasks"])
    head = f"{'task':<{width}}{'observed':>12}{'positive':>12}{'rate':>11}"
    head += "".join(f"{name.replace('_', ' '):>{len(name) + 3}}" for name in names[2:])
    rows = [
        f"{task:<{width}}{counts['observed']:>12,}{counts['positive']:>12,}{_rate(plain['rates'][task]):>11}"
        + "".join(f"{counts[name]:>{len(name) + 3},}" for name in names[2:])
        for task, counts in plain["tasks"].items()
    ]
    about = f"snapshot {plain['snapshot']} as of {_moment(plain['as_of'])}, {plain['rows']:,} rows"
    both = (_hanging(_both_ways(task, rates)) for task, rates in plain["before_positive"].items())
    return "\n".join([about, head, *rows, *both, *_changed(plain["changed"])])


def explained(plain: Plain) -> str:
    """Write an impression and, a paragraph a task, why its labels are what they are."""
    user = "" if plain["user_id"] is None else f" to {plain['user_id']}"
    head = [
        f"request {plain['request_id']}, item {plain['item_id']}: shown {_moment(plain['shown_at'])}{user}",
        f"snapshot {plain['snapshot']} as of {_moment(plain['as_of'])}; every time is UTC",
        *(_hanging(f"note: {note}") for note in plain["notes"]),
    ]
    return "\n".join([*head, "", *(_hanging(f"{t}: {s['words']}") for t, s in plain["tasks"].items())])


def differing(plain: Plain) -> str:
    """Write what both snapshots are, and a block a task of what changed, the biggest change first."""
    changed = {task: told for task, told in plain["tasks"].items() if told["changed"]}
    same = [task for task in plain["tasks"] if task not in changed]
    return "\n".join(
        [
            *(_side(name, plain[name]) for name in ("from", "to")),
            f"contract: {'another' if plain['contract_changed'] else 'the same'}",
            f"days: {plain['days_compared']} compared, {plain['days_shared']} shared file by file",
            f"impressions: {_by_day('appeared', plain['appeared'])}; {_by_day('went', plain['gone'])}",
            *(_hanging(f"tasks only in {name}: {', '.join(only)}") for name, only in _only(plain)),
            *(line for task, told in changed.items() for line in _block(task, told)),
            *([_hanging(f"unchanged: {', '.join(same)}")] if same else []),
        ]
    )


def _both_ways(task: str, rates: Plain) -> str:
    labelled = _rate(rates["as_labelled"])
    begins = f"{task} keeps rows that were positive before their exclusion: its rate is {labelled}"
    if rates["spared"] is None:
        return f"{begins}. Without them it is not known: {rates['note']}."
    note = f" ({rates['note']})" if rates["note"] else ""
    return f"{begins}, and {_rate(rates['without_spared'])} without those {rates['spared']:,} rows{note}."


def _changed(changed: Mapping[str, int]) -> Iterator[str]:
    counts = ", ".join(f"{task} {number:,}" for task, number in changed.items() if number)
    if counts:
        yield _hanging(f"observed labels that this build changed, through late events: {counts}")


def _rate(rate: float | None) -> str:
    return "-" if rate is None else f"{rate:.4g}"


def _side(name: str, side: Plain) -> str:
    version = "" if side["contract_version"] is None else f"version {side['contract_version']}, "
    contract = f"contract {version}digest {side['contract_digest'][:12]}"
    return f"{name}: {side['snapshot']} as of {_moment(side['as_of'])}, {side['rows']:,} rows, {contract}"


def _only(plain: Plain) -> Iterator[tuple[str, list[str]]]:
    for name in ("from", "to"):
        if only := plain[f"tasks_only_in_{name}"]:
            yield name, only


def _block(task: str, told: Plain) -> Iterator[str]:
    yield f"{task}: {told['changed']:,} labels changed"
    pairs = [(f"{move['from']} -> {move['to']}", move) for move in told["transitions"]]
    width = max(len(pair) for pair, _ in pairs)
    for pair, move in pairs:
        line = f"  {pair:<{width}}  {move['rows']:>9,}  {_listed(move['days'])}"
        yield textwrap.fill(line, _WIDTH, subsequent_indent=" " * (width + 15), drop_whitespace=True)


def _by_day(what: str, days: Mapping[str, int]) -> str:
    total = sum(days.values())
    return f"{total:,} {what} ({_listed(days)})" if total else f"none {what}"


def _listed(days: Mapping[str, int]) -> str:
    """List the days with the most rows, and how many others there are."""
    most = sorted(days.items(), key=lambda day: (-day[1], day[0]))
    listed = ", ".join(f"{day}: {rows:,}" for day, rows in most[:_DAYS])
    return listed + (f", {len(most) - _DAYS} days more" if len(most) > _DAYS else "")


def _moment(instant: str) -> str:
    return instant.replace("T", " ").removesuffix("Z")


def _hanging(text: str) -> str:
    return textwrap.fill(text, _WIDTH, subsequent_indent="    ")
