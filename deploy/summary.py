"""The last words of the demo: which release was made, what its gates say and its most telling numbers."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

Plain = Mapping[str, Any]
_COLUMNS = {
    "auc": "AUC, pooled",
    "auc_by_request": "AUC by request",
    "calibration_ratio": "observed/predicted",
}
_MEANINGS = {
    "purchase_7d": "bought within 7 days",
    "category_visit_7d": "bought of the same product type",
    "repurchase_28d": "bought, and again within 28 days",
}


def summarise(release: Plain, dossier: Plain) -> str:
    """Write a release and its dossier on about twenty lines.

    Parameters
    ----------
    release : what `equipoise release show --json` prints.
    dossier : the gate's dossier as JSON: verdict, reasons and gates.
    """
    blocks = (_identity(release, dossier), _numbers(release), _gates(dossier["gates"]), _reasons(dossier))
    return "\n".join(line for block in blocks for line in block)


def _identity(release: Plain, dossier: Plain) -> list[str]:
    aliases = ", ".join(release["aliases"]) or "none"
    parts = f"{len(release['pins'])} pinned parts, label snapshot {release['snapshot']}"
    return [
        f"version {release['version']} (alias: {aliases}), {parts}",
        f"verdict: {dossier['verdict'].upper()}",
    ]


def _numbers(release: Plain) -> list[str]:
    metrics = {task: figures["test"] for task, figures in release["metrics"].items()}
    rows = [
        (task, *(_interval(metrics[task], metric) for metric in _COLUMNS), meaning)
        for task, meaning in _MEANINGS.items()
        if task in metrics
    ]
    title = "On the test days, calibrated and joint, with 95 % intervals over households:"
    return ["", title, *_table([("", *_COLUMNS.values(), ""), *rows])]


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        f"  {'   '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))}".rstrip()
        for row in rows
    ]


def _interval(figures: Plain, metric: str) -> str:
    """Write a figure with its interval.

    Examples
    --------
    >>> _interval({"auc": 0.9491, "auc_low": 0.9412, "auc_high": None}, "auc")
    '0.949 [0.941, ?]'
    """
    value, low, high = (figures.get(f"{metric}{end}") for end in ("", "_low", "_high"))
    shown = ["?" if figure is None else f"{figure:.3f}" for figure in (value, low, high)]
    return f"{shown[0]} [{shown[1]}, {shown[2]}]"


def _gates(gates: Sequence[Plain]) -> list[str]:
    by_gate = {name: Counter[str]() for name in dict.fromkeys(gate["gate"] for gate in gates)}
    for gate in gates:
        by_gate[gate["gate"]][gate["outcome"]] += 1
    rows = [
        (name, ", ".join(f"{count} {outcome.replace('_', ' ')}" for outcome, count in counts.most_common()))
        for name, counts in by_gate.items()
    ]
    return ["", "Gates:", *_table(rows)]


def _reasons(dossier: Plain) -> list[str]:
    reasons, shown = dossier["reasons"], 5
    if not reasons:
        return []
    more = [f"  and {len(reasons) - shown} more, in the dossier"] if len(reasons) > shown else []
    return ["", "Held because:", *(f"  - {reason}" for reason in reasons[:shown]), *more]
