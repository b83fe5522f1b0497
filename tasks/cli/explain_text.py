"""An explained request as text: a block a candidate, best first, its terms below it.

::

    1. i17, slot 1
       utility 0.401 +/- 0.021; 0.09 +/- 0.012 above the next: order told
       click_30m    0.14 x 0.8                = +0.112  error +0.0022 [-0.0034, 0.0078]
       purchase_7d  0.0111 x 20 x margin 1.3  = +0.289  error cannot be told
"""

from collections.abc import Iterator, Sequence
from itertools import groupby

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from tasks.cli.text import Plain
from tasks.reports.numbers import format_number, format_signed

_ORDERS = {
    "told": "order told",
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
    """Write a request's candidates as `tasks.release.score.explain` returns them."""
    candidates = (list(rows) for _, rows in groupby(plain, key=lambda row: row["item_id"]))
    head = [f"request {plain[0]['request_id']}", *_caveats(plain)]
    return Group(*head, *(part for rows in candidates for part in _candidate(rows)))


def _caveats(plain: Sequence[Plain]) -> Iterator[str]:
    if plain[0].get("unmet") is not None:
        yield f"slate rules that could not be met: {plain[0]['unmet']}"
    if plain[0]["no_ratios"] is not None:
        yield f"no errors: {plain[0]['no_ratios']}"
        return
    untold = sorted(
        {row["task"] for row in plain if row["calibration_ratio"] is None and row["contribution"] != 0}
    )
    if untold:
        yield (
            f"no error of {', '.join(untold)}: the release's test days tell no calibration ratio of "
            "it, and the errors of utilities are without it"
        )
    if "tier" not in plain[0]:
        yield "no orders: the release was made by a program that did not tell tiers"


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
    total = "" if "total" not in one else f" of a total of {_number(one['total'])}"
    yield Padding(f"utility {_number(one['utility'])}{total}{error}{_next(one)}", (0, 0, 0, 3))
    yield Padding(terms, (0, 0, 0, 3))


def _next(one: Plain) -> str:
    if one["gap"] is None:
        return ""
    above = "above" if one["gap"] >= 0 else "below"
    order = f": {_ORDERS[one['order']]}" if one["order"] else ""
    error = _error_bar(one["gap_error"], least=one["order"] == "inconclusive")
    return f"; {format_number(abs(one['gap']))}{error} {above} the next{order}"


def _term(row: Plain) -> tuple[str, str, str, str]:
    times = "" if row["times"] is None else f" x {row['times']} {_number(row['value'])}"
    factors = f"{_number(row['prediction'])} x {format_number(row['weight'])}{times}"
    added = "unknown" if row["contribution"] is None else format_signed(row["contribution"])
    return row["task"], factors, f"= {added}", _error(row)


def _error(row: Plain) -> str:
    if not row["contribution"]:
        return ""
    if row["error"] is None:
        return "error cannot be told"
    low, high = (format_number(row[end], 2) for end in ("error_low", "error_high"))
    return f"error {format_signed(row['error'], 2)} [{low}, {high}]"


def _error_bar(error: float | None, *, least: object) -> str:
    """Write an error bar, of which some terms may be left out."""
    return "" if error is None else f" +/- {'at least ' if least else ''}{format_number(error, 2)}"


def _number(value: float | None) -> str:
    return "unknown" if value is None else format_number(value)
