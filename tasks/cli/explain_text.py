"""An explained request as text: a paragraph a candidate, best first, its terms below it.

::

    1. i17, slot 1
       utility 0.4012 +/- 0.021; 0.09 +/- 0.012 above the next: order told
       click_30m    0.1402 x 0.8                = +0.1122    error +0.0022 [-0.0034, 0.0078]
       purchase_7d  0.0111 x 20 x margin 1.3    = +0.289     error cannot be told
"""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

Plain = Mapping[str, Any]
_WIDTH = 100
_ORDERS = {
    "told": "order told",
    "within_error": "within the error",
    "cannot_tell": "cannot tell",
    "by_tier": "by tier",
}
_NOTES = {"constraints": "dropped by", "moved_by": "moved by", "tier": "tier", "context": "context"}


def explained(plain: Sequence[Plain]) -> str:
    """Write a request's candidates as `tasks.release.score.explain` returns them."""
    first = plain[0]
    head = [f"request {first['request_id']}", *_caveats(plain)]
    candidates = (list(rows) for _, rows in groupby(plain, key=lambda row: row["item_id"]))
    blocks = ("\n".join(_candidate(rows)) for rows in candidates)
    return "\n\n".join(["\n".join(map(_hanging, head)), *blocks])


def _caveats(plain: Sequence[Plain]) -> Iterator[str]:
    if plain[0].get("unmet") is not None:
        yield f"asked of the slate in vain: {plain[0]['unmet']}"
    if plain[0]["no_ratios"] is not None:
        yield f"no errors: {plain[0]['no_ratios']}"
        return
    untold = sorted({task for row in plain for task in (row["untold"] or "").split(", ") if task})
    if untold:
        yield (
            f"no error of {', '.join(untold)}: the release's test days tell no calibration ratio of "
            "it, and the errors of utilities are without it"
        )
    if "tier" not in plain[0]:
        yield "no orders: the release was made by a program that did not tell tiers"


def _candidate(rows: Sequence[Plain]) -> Iterator[str]:
    one = rows[0]
    place = "out" if one["rank"] is None else f"{one['rank']}."
    slot = "" if one["slate_position"] is None else f", slot {one['slate_position']}"
    notes = [f"{word} {one[name]}" for name, word in _NOTES.items() if one.get(name) is not None]
    yield _hanging(", ".join([f"{place} {one['item_id']}{slot}", *notes]))
    error = _error_bar(one["utility_error"], least=one["untold"])
    yield _hanging(f"   utility {_number(one['utility'])}{error}{_next(one)}")
    factors = [_factors(row) for row in rows]
    widths = max(len(row["task"]) for row in rows), max(map(len, factors))
    yield from (_term(row, said, widths) for row, said in zip(rows, factors, strict=True))


def _next(one: Plain) -> str:
    if one["gap"] is None:
        return ""
    above = "above" if one["gap"] >= 0 else "below"
    order = f": {_ORDERS[one['order']]}" if one["order"] else ""
    error = _error_bar(one["gap_error"], least=one["order"] == "cannot_tell")
    return f"; {abs(one['gap']):.4g}{error} {above} the next{order}"


def _factors(row: Plain) -> str:
    times = "" if row["times"] is None else f" x {row['times']} {_number(row['value'])}"
    return f"{_number(row['prediction'])} x {row['weight']:g}{times}"


def _term(row: Plain, factors: str, widths: tuple[int, int]) -> str:
    added = "unknown" if row["contribution"] is None else f"{row['contribution']:+.4g}"
    written = f"   {row['task']:<{widths[0]}}  {factors:<{widths[1]}} = {added:<11}{_error(row)}"
    return _hanging(written.rstrip())


def _error(row: Plain) -> str:
    if row["contribution"] is None or not row["contribution"]:
        return ""
    if row["error"] is None:
        return "error cannot be told"
    return f"error {row['error']:+.2g} [{row['error_low']:.2g}, {row['error_high']:.2g}]"


def _error_bar(error: float | None, *, least: object) -> str:
    """Write an error bar, of which some terms may be left out."""
    return "" if error is None else f" +/- {'at least ' if least else ''}{error:.2g}"


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.4g}"


def _hanging(line: str) -> str:
    return textwrap.fill(
        line, _WIDTH, subsequent_indent="      ", break_long_words=False, break_on_hyphens=False
    )
