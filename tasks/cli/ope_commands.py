"""Commands for off-policy estimation of a target policy's reward."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final

from rich.console import RenderableType, group
from rich.table import Table
from rich.text import Text
from typer import Option

from tasks.cli import text
from tasks.cli.command import CommandGroup
from tasks.cli.text import Plain
from tasks.reports.numbers import format_counted, format_number, format_share, spoken

_MOST_NAMED: Final = 5


@group()
def write_report(plain: Plain) -> Iterator[RenderableType]:
    """Write the verdict and its reasons, then every estimator."""
    bound = "" if plain["at_least"] is None else f", at least {format_number(plain['at_least'])} asked for"
    yield Text(f"{spoken(plain['verdict'])}: {plain['estimator']} decides{bound}")
    yield from (Text(f"  {reason}") for reason in plain["reasons"])
    yield _estimates(plain)
    rows, requests = format_counted(plain["n"], "row"), format_counted(plain["requests"], "request")
    never = format_share(plain["unsupported_share"])
    yield Text(
        f"{rows} of {requests}; intervals resample {plain['resampled']}{_by_day(plain)}; "
        f"{never} of what the target shows was never logged at its position; "
        f"expected rewards: {plain['reward_model']}; propensities checked by: {_balance(plain)}"
    )


def _by_day(plain: Plain) -> str:
    return "" if plain["days"] is None else f" or are by day ({plain['days']}), the wider of both"


def _balance(plain: Plain) -> str:
    """List the columns used to check propensities, and those that could not be used.

    Examples
    --------
    >>> _balance({"balanced_by": [], "not_balanced_by": ["price"]})
    'no column (not by price, which describes the item)'
    """
    describing = _listed(plain["not_balanced_by"])
    return (_listed(plain["balanced_by"]) or "no column") + (
        f" (not by {describing}, which describes the item)" if describing else ""
    )


def _listed(names: list[str]) -> str:
    """List the first columns, and count the rest.

    Examples
    --------
    >>> _listed(list("abcdefg"))
    'a, b, c, d, e and 2 more'
    """
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more


@group()
def write_gradient(plain: Plain) -> Iterator[RenderableType]:
    """Write the effect of a 10 % increase of each weight."""
    table = text.table("weight", figures=("10 % more brings", "95 % by user", "perturbed by", ""))
    for name, one in plain["gradients"].items():
        tenth = [None if one[key] is None else one[key] / 10 for key in ("value", "low", "high")]
        size = format_number(one["size"])
        table.add_row(name, _figure(tenth[0]), _interval(tenth[1], tenth[2]), size, spoken(one["direction"]))
    yield table
    rows = format_counted(plain["left_out"], "row")
    unknown = f"; {rows} without an observed label" if plain["left_out"] else ""
    requests, users = (format_counted(plain[f"{one}s"], one) for one in ("request", "user"))
    yield Text(f"{requests} of {users}, mean reward of a request {_figure(plain['mean_reward'])}{unknown}")


def _estimates(plain: Plain) -> Table:
    table = text.table("estimator", figures=("per", "value", "95 %", "Bernstein", "ess", "largest weight"))
    for name, one in plain["estimates"].items():
        table.add_row(
            name,
            one["per"],
            _figure(one["value"]),
            _interval(one["low"], one["high"]),
            _interval(one["bernstein_low"], one["bernstein_high"]),
            *_weights(one),
        )
    return table


def _weights(one: Plain) -> tuple[str, str]:
    return ("", "") if one["ess"] is None else (f"{one['ess']:,.0f}", format_number(one["max_weight"]))


def _interval(low: float | None, high: float | None) -> str:
    """Format an interval.

    Examples
    --------
    >>> _interval(0.00275, 0.00804), _interval(None, None)
    ('[0.00275, 0.00804]', '')
    """
    return "" if low is None or high is None else f"[{_figure(low)}, {_figure(high)}]"


def _figure(value: float | None) -> str:
    return "unknown" if value is None else format_number(value)


_ope = CommandGroup("Policy", word="ope", help="Estimate a policy from a log with propensities.")
GROUPS = (_ope,)

_LOG = "Parquet: request_id, item_id, position, propensity, the reward, optional user_id, shown_at, behavior."
_TARGET = "Parquet: item_id, position, probability, request_id where it depends on it, optional q."


@_ope.command(
    "--log log.parquet --target policy.parquet --reward click",
    written=write_report,
    passed=lambda report: report.passed,
)
def estimate(
    log: Annotated[Path, Option(metavar="FILE", help=_LOG)],
    target: Annotated[Path, Option(metavar="FILE", help=_TARGET)],
    reward: Annotated[str, Option(metavar="COLUMN", help="The log's column of rewards.")],
    at_least: Annotated[
        float | None, Option(metavar="X", help="The mean reward that the target must reach.")
    ] = None,
    estimator: Annotated[
        str | None,
        Option(metavar="NAME", help="Estimator of the verdict (default: dr; cascade_dr for slates)."),
    ] = None,
    balance: Annotated[
        list[str] | None,
        Option(
            metavar="COLUMN",
            help="Check propensities by this column, which was known before the item (default: all others).",
        ),
    ] = None,
) -> Any:
    """Estimate a target policy's mean reward, with intervals and a verdict."""
    from tasks.ope import off_policy

    return off_policy.run(
        log=log, target=target, reward=reward, at_least=at_least, estimator=estimator, balance=balance or None
    )


@_ope.command("--log log.parquet --reward click", written=write_gradient)
def gradient(
    log: Annotated[
        Path, Option(metavar="FILE", help="Parquet: request_id, user_id, the reward, factor_<task>.")
    ],
    reward: Annotated[str, Option(metavar="COLUMN", help="The log's column of rewards.")],
) -> Any:
    """Estimate the effect of increasing each weight, from perturbed weights."""
    from tasks.ope import off_policy

    return off_policy.read_gradient(log=log, reward=reward)
