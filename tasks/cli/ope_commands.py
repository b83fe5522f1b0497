"""Commands that estimate off-policy what another policy would have earned."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

from tasks.cli import ope_text
from tasks.cli.command import Group

if TYPE_CHECKING:
    from tasks.evaluation.off_policy.estimate import OffPolicyReport
    from tasks.evaluation.off_policy.gradient import GradientReport

_ope = Group("Policies", word="ope", help="Estimate a policy from a log with propensities.")
GROUPS = (_ope,)

_LOG = "Parquet: request_id, item_id, position, propensity, the reward, optional user_id, shown_at, behavior."
_TARGET = "Parquet: item_id, position, probability, request_id where it depends on it, optional q."


@_ope.command(
    "--log log.parquet --target policy.parquet --reward click",
    written=ope_text.write_report,
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
        str | None, Option(metavar="NAME", help="Which decides (default: dr; cascade_dr for slates).")
    ] = None,
    balance: Annotated[
        list[str] | None,
        Option(
            metavar="COLUMN",
            help="Check propensities by this column, which was known before the item (default: all others).",
        ),
    ] = None,
) -> "OffPolicyReport":
    """Estimate what a target policy would have earned, with intervals and a verdict."""
    from tasks.replay import off_policy

    return off_policy.run(
        log=log, target=target, reward=reward, at_least=at_least, estimator=estimator, balance=balance or None
    )


@_ope.command("--log log.parquet --reward click", written=ope_text.write_gradient)
def gradient(
    log: Annotated[
        Path, Option(metavar="FILE", help="Parquet: request_id, user_id, the reward, factor_<task>.")
    ],
    reward: Annotated[str, Option(metavar="COLUMN", help="The log's column of rewards.")],
) -> "GradientReport":
    """Estimate from perturbed weights which way each should move."""
    from tasks.replay import off_policy

    return off_policy.read_gradient(log=log, reward=reward)
