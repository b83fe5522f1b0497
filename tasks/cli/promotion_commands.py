"""Commands to promote, roll back and ramp a release, and to restart the audit log."""

from datetime import datetime
from functools import partial
from getpass import getuser
from typing import TYPE_CHECKING, Annotated, Any

from typer import Option

from tasks.cli import text
from tasks.cli.command import AsOf, By, CommandGroup, Release, Why, parse_instant
from tasks.errors import ContractError

if TYPE_CHECKING:
    from tasks.promotion.moves.promote import MoveResult
    from tasks.stores.workspace import Workspace

_releases = CommandGroup("Release")
_audit = CommandGroup("Release", word="audit", help="The record of alias updates and approvals.")
GROUPS = (_releases, _audit)

Override = Annotated[
    str | None, Option(metavar="WHY", help="Reason to override the gates that hold the release.")
]
Experiment = Annotated[
    str | None, Option(metavar="REF", help="The online experiment that supports the change.")
]
Waiver = Annotated[str | None, Option(metavar="WHY", help="Reason why no online test is needed.")]
Stage = Annotated[
    str | None,
    Option(metavar="canary|champion", help="Stage to promote to (default: the surface's first)."),
]
PromotionAsOf = Annotated[
    datetime | None,
    Option(
        metavar="T", parser=parse_instant, help="As-of of the request (default: the log's last midnight)."
    ),
]


@_releases.command('home_feed challenger --role safety --why "hides are steady" --promotion-why "carts rose"')
def approve(  # noqa: PLR0913 - options of the command line
    workspace: "Workspace",
    ref: Release,
    *,
    role: Annotated[str, Option(metavar="ROLE", help="The role that you review for.")],
    why: Why,
    reject: Annotated[bool, Option("--reject", help="Reject instead of approving.")] = False,
    promotion_why: Annotated[
        str, Option(metavar="TEXT", help="The reason of the promotion, as in --why of `promote`.")
    ] = "",
    evidence: Annotated[
        str, Option(metavar="DIGEST", help="Digest of the evidence you reviewed; refuse if it has changed.")
    ] = "",
    experiment: Experiment = None,
    waiver: Waiver = None,
    override: Override = None,
    stage: Stage = None,
    as_of: PromotionAsOf = None,
) -> Any:
    """Approve or reject a promotion for a role, under your own account and with the request's options."""
    from tasks.promotion.moves import promote
    from tasks.promotion.moves.answers import Review
    from tasks.promotion.moves.rules import PromotionSupport

    support = PromotionSupport(experiment, waiver, override, stage, promotion_why)
    review = Review(role, promote.account_name(), not reject, evidence, why)
    return promote.approve(
        workspace, review, release=ref, support=support, evaluate_gate=_gate_evaluator(as_of)
    )


@_releases.command('home_feed challenger --why "carts rose" --experiment feed-142', written=text.write_move)
def promote(  # noqa: PLR0913 - options of the command line
    workspace: "Workspace",
    ref: Release,
    *,
    why: Why,
    by: By = None,
    experiment: Experiment = None,
    waiver: Waiver = None,
    override: Override = None,
    stage: Stage = None,
    as_of: PromotionAsOf = None,
) -> dict[str, Any]:
    """Promote a release to champion or canary if its gates allow it and its reviewers approved."""
    person = _person(by)
    from tasks.promotion.moves import promote
    from tasks.promotion.moves.rules import Actor, PromotionSupport

    support, evaluate = PromotionSupport(experiment, waiver, override, stage, why), _gate_evaluator(as_of)
    return _moved(
        promote.run(workspace, release=ref, by=Actor(person), evaluate_gate=evaluate, support=support)
    )


@_releases.command('home_feed --why "returns rose"', written=text.write_move)
def rollback(
    workspace: "Workspace",
    why: Why,
    by: By = None,
    to: Annotated[
        str | None, Option(metavar="REF", help="An earlier champion (default: the previous one).")
    ] = None,
    canary: Annotated[
        int | None, Option(metavar="VERSION", help="End only this canary (default: all).")
    ] = None,
) -> dict[str, Any]:
    """Make the previous champion the champion again."""
    person = _person(by)
    from tasks.promotion.moves import rollback

    return _moved(rollback.run(workspace, why=why, by=person, to=to, canary=canary))


@_releases.command(
    "home_feed --as-of 2026-03-09T07:00:00Z",
    written=text.write_ramp,
    passed=lambda result: result.state != "roll_back",
)
def ramp(
    workspace: "Workspace",
    as_of: AsOf,
    *,
    release: Annotated[int | None, Option(metavar="VERSION", help="The release, if several ramp.")] = None,
    dry_run: Annotated[bool, Option("--dry-run", help="Print the decision without acting on it.")] = False,
    advance: Annotated[
        bool, Option("--advance", help="Advance a ramp that asks a person, under your own account.")
    ] = False,
    why: Annotated[str, Option(metavar="TEXT", help="Reason to advance, kept in the audit.")] = "",
) -> Any:
    """Decide on a release in its ramp: advance, wait, ask a person or roll back."""
    from tasks.promotion.moves import promote, ramp

    answer = ramp.Advance(promote.account_name(), why) if advance else None
    return ramp.run(workspace, as_of=as_of, release=release, advance=answer, dry_run=dry_run)


@_releases.command("home_feed --user u-17", written=text.write_assignments)
def assign(
    workspace: "Workspace",
    *,
    user: Annotated[list[str] | None, Option("--user", metavar="ID", help="A user; may be repeated.")] = None,
) -> Any:
    """Show the share of users of each release in its ramp, and the arm and release of given users."""
    from tasks.experiments import ramp_log

    return ramp_log.assign(workspace, user or [])


@_audit.command('home_feed --why "the disk with the audit was lost"', written=text.write_history)
def restart(workspace: "Workspace", why: Why, by: By = None) -> list[dict[str, Any]]:
    """Start a new audit after the old one was lost, or sign one that was started without a key."""
    return [workspace.aliases.restart(why=why, by=_person(by)).to_json()]


def _gate_evaluator(as_of: datetime | None) -> Any:
    from tasks.pipeline import recheck

    return partial(recheck, as_of=as_of)


def _person(by: str | None) -> str:
    try:
        return getuser() if by is None else by
    except (OSError, KeyError):
        raise ContractError("This user has no name on this machine: give one with --by NAME") from None


def _moved(result: "MoveResult") -> dict[str, Any]:
    champion = result.champion
    move = result.moved.to_json() if result.moved else {"from": champion, "to": champion}
    return {"moved": result.moved is not None, **move, "canary": result.canary, "ended": [*result.ended]}
