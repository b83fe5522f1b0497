"""A simulation as text for people: what is judged, the harmed segments first, and figures side by side."""

from collections.abc import Callable, Iterator
from typing import Final

from rich.console import RenderableType, group
from rich.table import Table
from rich.text import Text

from tasks.cli.text import Plain, unbroken, written_subject
from tasks.reports.numbers import format_change, format_counted, format_number, spoken

_STYLES: Final = {"pass": "green", "block": "red", "metric_missing": "red"}


@group()
def write_simulation(plain: Plain) -> Iterator[RenderableType]:
    """Write primary and guardrails, the headline, and further policies beside the release."""
    release = plain["release"]
    yield Text(f"release {release} against {plain['baseline']}")
    yield _verdicts(plain["guardrails"])
    if plain["headline"]:
        yield Text()
        yield _headline(plain["headline"])
    if plain["off_policy"]:
        yield Text()
        yield from _off_policy(plain["off_policy"])
    further = plain["policies"][1:]
    for policy in further:
        yield Text()
        yield Text(f"{policy['name']} against {plain['baseline']}: {policy['verdict']}")
        yield _verdicts(policy["verdicts"])
        table = Table(box=None, pad_edge=False)
        table.add_column("metric", overflow="fold")
        for name in ("policy", "baseline", "change"):
            table.add_column(name, justify="right")
        for metric, row in policy["metrics"].items():
            relative = "-" if row["change"] is None else format_change(row["change"])
            table.add_row(metric, *(_number(row[name]) for name in ("value", "baseline")), relative)
        yield table
    if further:
        yield Text(_selection(plain["selection"]))
    yield unbroken(Text(f"report: {plain['report']}"))


@group()
def write_shadow(plain: Plain) -> Iterator[RenderableType]:
    """Write what the newest traffic says of a challenger: its verdicts, and why some are not a pass."""
    beside = "without a champion" if plain["champion"] is None else f"beside champion {plain['champion']}"
    size = format_counted(plain["candidates"], "candidate")
    yield Text(f"release {plain['challenger']} {beside}: {size} of {plain['day']}")
    yield _verdicts(plain["verdicts"])
    for one in plain["verdicts"]:
        if one["outcome"] != "pass" and one["reason"]:
            yield Text(f"  {written_subject(one)}: {one['reason']}")
    yield Text(f"run: {plain['run_id']}")


def _selection(selection: Plain) -> str:
    """Say how many policies these days have judged, and what that leaves of the best gain."""
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
    """Lay out one row a verdict, harmed segments first."""
    table = Table("verdict", box=None, pad_edge=False)
    for name in ("metric", "segment"):
        table.add_column(name, overflow="fold")
    table.add_column("observed", justify="right")
    table.add_column("allowed", justify="right")
    for one in sorted(verdicts, key=lambda one: not _is_harm(one)):
        written = change if one["relative"] else level
        outcome = Text(spoken(one["outcome"]), style=_STYLES.get(one["outcome"], "yellow"))
        table.add_row(
            outcome, written_subject(one), one["segment"], written(one["observed"]), _threshold(one)
        )
    return table


def _threshold(verdict: Plain) -> str:
    from tasks.evaluation.subjects import Threshold

    return str(Threshold(**verdict["threshold"]))


def _is_harm(verdict: Plain) -> bool:
    from tasks.evaluation.segments import ALL  # imports pandas, for which no help waits

    return verdict["segment"] != ALL and verdict["outcome"] in {"block", "warn"}


def _headline(headline: Plain) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("metric", overflow="fold")
    for name in ("policy", "baseline", "change"):
        table.add_column(name, justify="right")
    for metric, row in headline.items():
        table.add_row(metric, level(row["policy"]), level(row["baseline"]), change(row["relative"]))
    return table


def _off_policy(checks: list[Plain]) -> Iterator[RenderableType]:
    """Lay out a row a figure that was estimated from propensities alone, then why some cannot be told."""
    yield Text("off-policy beside the replay (judges nothing):")
    table = Table("says", box=None, pad_edge=False)
    table.add_column("metric", overflow="fold")
    for name in ("replayed", "off-policy", "effective rows"):
        table.add_column(name, justify="right")
    for one in checks:
        written = level if one["bound"] == "level" else change
        says = Text(spoken(one["verdict"]), style="red" if one["verdict"] == "disagrees" else "")
        rows = "-" if one["ess"] is None else f"{one['ess']:,.0f}"
        table.add_row(says, written_subject(one), written(one["replayed"]), written(one["off_policy"]), rows)
    yield table
    reasons: dict[str, list[str]] = {one["reason"]: [] for one in checks if one["reason"]}
    for one in checks:
        if one["reason"]:
            reasons[one["reason"]].append(written_subject(one))
    for reason, metrics in reasons.items():
        yield Text(f"  {', '.join(dict.fromkeys(metrics))}: {reason}")


def level(estimate: Plain | None) -> str:
    """Write a figure with its interval; ``[?]`` where only the interval is unknown, a dash for no figure.

    A count has no interval.

    Examples
    --------
    >>> level({"value": 0.5, "low": 0.25, "high": 0.75, "n": 90}), level(None)
    ('0.5 [0.25, 0.75]', '-')
    >>> level({"value": 1234.0, "low": 1234.0, "high": 1234.0, "n": 90})
    '1,234'
    """
    if estimate and estimate["low"] == estimate["high"] and float(estimate["value"] or 0.5).is_integer():
        return format_number(estimate["value"])
    return _interval(estimate, format_number)


def change(estimate: Plain | None) -> str:
    """Write a relative change with its interval.

    Examples
    --------
    >>> change({"value": 0.05, "low": None, "high": None, "n": 3})
    '+5.0% [?]'
    """
    return _interval(estimate, format_change)


def share(estimate: Plain | None) -> str:
    """Write a share with its interval.

    Examples
    --------
    >>> share({"value": 0.2, "low": 0.1, "high": 0.3, "n": 90})
    '20.0% [10.0%, 30.0%]'
    """
    return _interval(estimate, "{:.1%}".format)


def _interval(estimate: Plain | None, write: Callable[[float], str]) -> str:
    if estimate is None or estimate["value"] is None:
        return "-"
    value, low, high = (estimate[name] for name in ("value", "low", "high"))
    if low is None or high is None:
        return f"{write(value)} [?]"
    return f"{write(value)} [{write(low)}, {write(high)}]"


def _number(value: float | None) -> str:
    return "-" if value is None else format_number(value)
