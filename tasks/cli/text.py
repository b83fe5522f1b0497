"""Results as text that fits a terminal."""

import textwrap
from collections import Counter
from collections.abc import Mapping
from typing import Any

Plain = Mapping[str, Any]
_WIDTH = 110


def lines(plain: Any, indent: str = "") -> str:
    """Write plain data as indented lines."""
    if isinstance(plain, dict):
        return "\n".join(_entry(name, value, indent) for name, value in plain.items())
    if isinstance(plain, list):
        items = (f"{indent}- {lines(item, indent + '  ').lstrip()}" for item in plain)
        return "\n".join(items) or f"{indent}none"
    return f"{indent}{plain}"


def _entry(name: str, value: Any, indent: str) -> str:
    if isinstance(value, dict | list) and value:
        return f"{indent}{name}:\n{lines(value, indent + '  ')}"
    return f"{indent}{name}: {'none' if value in (None, {}, []) else value}"


def sql(plain: Plain) -> str:
    """Write the SQL alone."""
    return str(plain["sql"])


def checked(plain: Plain) -> str:
    """Write one line a problem, with the way out below it."""
    found = [
        f"{kind} {p['surface']}/{p['file']}: {p['field'] or 'file'}"
        f"{' = ' if p['found'] else ''}{p['found']}\n{_wrapped(p['hint'])}"
        for kind, problems in (("problem", plain["problems"]), ("warning", plain["warnings"]))
        for p in problems
    ]
    surfaces = ", ".join(plain["digests"])
    verdict = f"valid: {surfaces}" if plain["valid"] else f"{len(plain['problems'])} problem(s)"
    return "\n".join([*found, verdict])


def judged(plain: Plain) -> str:
    """Write the verdict on a release, why, and how many gates said what."""
    outcomes = Counter(gate["outcome"] for gate in plain["gates"])
    counts = ", ".join(f"{n} {outcome}" for outcome, n in outcomes.most_common())
    return "\n".join(
        [
            f"release {plain['release']}: {plain['verdict']}",
            *(_wrapped(f"- {reason}") for reason in plain["reasons"]),
            f"gates: {counts}",
            f"dossier: {plain['dossier']}",
        ]
    )


def release(plain: Plain) -> str:
    """Write what a release is, its figures and its pins."""
    names = ("auc", "auc_by_request", "normalized_entropy", "calibration_ratio", "rows", "positives")
    tasks = {task: figures["test"] for task, figures in plain["metrics"].items()}
    width = max((len(task) for task in tasks), default=4)
    head = f"  {'task':<{width}}" + "".join(f"  {name.replace('_', ' '):>18}" for name in names)
    rows = [
        f"  {task:<{width}}" + "".join(f"  {_number(figures.get(name)):>18}" for name in names)
        for task, figures in tasks.items()
    ]
    about = {name: plain[name] for name in ("version", "aliases", "as_of", "snapshot", "verdict", "run_id")}
    pins = [f"  {name} {version}" for name, version in plain["pins"].items()]
    return "\n".join(
        [lines(about), "", "on the test days, calibrated and joint:", head, *rows, "", "pins:", *pins]
    )


def moved(plain: Plain) -> str:
    """Write what became of the champion."""
    if not plain["moved"]:
        return f"nothing to do: release {plain['to']} is the champion"
    before = plain["from"] or "none"
    return f"champion: {before} -> {plain['to']} ({plain['kind']} by {plain['by']}: {plain['why']})"


def history(plain: list[Plain]) -> str:
    """Write one line a row of the audit, with what supports it below."""
    return "\n".join(line for row in plain for line in _audited(row)) or "no move was recorded"


def _audited(row: Plain) -> list[str]:
    at, kind = row["at"][:19].replace("T", " "), row["kind"]
    what = f"{row['role']}, release {row['to']}" if row["role"] else f"{row['from'] or 'none'} -> {row['to']}"
    head = f"{row['number']:>4}  {at}  {kind:<8}  {what}  by {row['by']}"
    support = {name: row[name] for name in ("why", "experiment", "waiver", "evidence", "run") if row[name]}
    if "evidence" in support:
        support["evidence"] = support["evidence"][:12]
    return [head, *(_wrapped(f"{name}: {value}") for name, value in support.items())]


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"


def _wrapped(text: str) -> str:
    return textwrap.fill(text, _WIDTH, initial_indent="    ", subsequent_indent="      ")
