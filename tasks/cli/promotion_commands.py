"""Commands that move a release towards serving, and back: approve, promote, roll back."""

from datetime import datetime
from functools import partial
from getpass import getuser
from typing import TYPE_CHECKING, Annotated, Any

from typer import Option

from tasks.cli import text
from tasks.cli.command import By, CommandGroup, Release, Why, parse_instant
from tasks.errors import ContractError

if TYPE_CHECKING:
    from tasks.promotion.moves.approve import ApproveResult
    from tasks.promotion.moves.promote import GateEvaluator, MoveResult
    from tasks.stores.workspace import Workspace

_releases = CommandGroup("Release")
GROUPS = (_releases,)

Override = Annotated[str | None, Option(metavar="WHY", help="Why gates that hold it are overridden.")]
Stage = Annotated[
    str | None,
    Option(metavar="canary|champion", help="How far it moves (default: the first stage of the surface)."),
]
CaseAsOf = Annotated[
    datetime | None,
    Option(metavar="T", parser=parse_instant, help="The day of the case (default: the log's last midnight)."),
]


@_releases.command('home_feed challenger --role safety --why "hides are steady"')
def approve(  # noqa: PLR0913 - options, not what a caller hands on
    workspace: "Workspace",
    ref: Release,
    *,
    role: Annotated[str, Option(metavar="ROLE", help="The role that you review for.")],
    why: Why,
    reject: Annotated[bool, Option("--reject", help="Say no instead of yes.")] = False,
    evidence: Annotated[str, Option(metavar="DIGEST", help="Refuse where it is another one now.")] = "",
    override: Override = None,
    stage: Stage = None,
    as_of: CaseAsOf = None,
) -> "ApproveResult":
    """Answer for a role, under the account that you are logged in as, where the surface allows it."""
    from tasks.promotion.moves import approve
    from tasks.promotion.moves.approve import Reply
    from tasks.promotion.moves.rules import PromotionSupport

    reply = Reply(role, why, not reject, evidence, PromotionSupport(override=override, stage=stage))
    return approve.run(workspace, reply, release=ref, by=approve.account_name(), judge=_judge(as_of))


@_releases.command('home_feed challenger --why "carts rose" --experiment feed-142', written=text.write_move)
def promote(  # noqa: PLR0913 - options, not what a caller hands on
    workspace: "Workspace",
    ref: Release,
    *,
    why: Why,
    by: By = None,
    experiment: Annotated[str | None, Option(metavar="REF", help="The online test of what changed.")] = None,
    waiver: Annotated[str | None, Option(metavar="WHY", help="Why no online test is needed.")] = None,
    override: Override = None,
    stage: Stage = None,
    as_of: CaseAsOf = None,
) -> dict[str, Any]:
    """Make a release the champion, or the canary, where its gates allow it and its reviewers approved."""
    person = _person(by)
    from tasks.promotion.moves import promote
    from tasks.promotion.moves.rules import Actor, PromotionSupport

    support, mover = PromotionSupport(experiment, waiver, override, stage), Actor(person)
    return _moved(
        promote.run(workspace, release=ref, why=why, by=mover, judge=_judge(as_of), support=support)
    )


@_releases.command('home_feed --why "returns rose"', written=text.write_move)
def rollback(
    workspace: "Workspace",
    why: Why,
    by: By = None,
    to: Annotated[str | None, Option(metavar="REF", help="Another release that was champion before.")] = None,
) -> dict[str, Any]:
    """Make the previous champion the champion again."""
    person = _person(by)
    from tasks.promotion.moves import rollback

    return _moved(rollback.run(workspace, why=why, by=person, to=to))


def _judge(as_of: datetime | None) -> "GateEvaluator":
    from tasks.pipeline import recheck

    return partial(recheck, as_of=as_of)


def _person(by: str | None) -> str:
    try:
        return getuser() if by is None else by
    except (OSError, KeyError):
        raise ContractError("This user has no name here: say who moves it (--by NAME)") from None


def _moved(result: "MoveResult") -> dict[str, Any]:
    champion = result.champion
    move = result.moved.to_json() if result.moved else {"from": champion, "to": champion}
    return {"moved": result.moved is not None, **move, "canary": result.canary}
