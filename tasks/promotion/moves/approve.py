"""The approve step: a reviewer answers on the command line, under their own account.

The reviewer's name is the operating system's name of the process owner; it cannot be typed or set in the
environment. A surface must permit this, since it trusts the accounts of the machine
(``approvals_on_command_line``).
"""

from dataclasses import dataclass, replace

from tasks.errors import ContractError, GateRefused
from tasks.privacy import process_account
from tasks.promotion.moves import promote
from tasks.promotion.moves.answers import Review, answer
from tasks.promotion.moves.promote import GateEvaluator
from tasks.promotion.moves.rules import PromotionSupport
from tasks.stores.audit import one_line
from tasks.stores.workspace import Workspace


@dataclass(frozen=True)
class ApproveResult:
    """A reviewer's answer to an evidence digest, and the warnings of the gates."""

    release: int
    champion: int | None
    role: str
    by: str
    approves: bool
    evidence: str
    as_of: str
    warnings: list[str]


def run(
    workspace: Workspace,
    review: Review,
    *,
    release: str | int,
    support: PromotionSupport,
    evaluate_gate: GateEvaluator,
) -> ApproveResult:
    """Evaluate a release against the current champion, and record a reviewer's answer to this evidence.

    Parameters
    ----------
    review : the reviewer's answer (`account_name`), with a prefix of the evidence digest they read.
    release : version or alias.
    support : support of the promotion with its reason: an approval is valid for no other support.
    evaluate_gate : `tasks.pipeline.recheck`.
    """
    if workspace.contracts.surface.promotion.approvals_on_command_line is False:
        raise ContractError(
            f"{workspace.surface} takes no approvals on the command line (surface.yaml, promotion."
            f"approvals_on_command_line): review it in the DAG {workspace.surface}__promote"
        )
    if not review.why.strip():
        raise ContractError("A review needs a reason (--why)")
    why = one_line("why", review.why)
    request = promote.prepare(workspace, release=release, evaluate_gate=evaluate_gate, support=support)
    if not request.evidence.startswith(review.evidence):
        raise GateRefused(
            f"The evidence for release {request.release} is {request.evidence[:12]} now, not "
            f"{review.evidence[:12]}: review it again"
        )
    answer(workspace, replace(review, evidence=request.evidence, why=why), release=request.release, run="")
    return ApproveResult(
        request.release,
        request.champion,
        review.role,
        review.by,
        review.approves,
        request.evidence,
        request.as_of,
        list(request.gate.warnings),
    )


def account_name() -> str:
    """Return the account name of this process."""
    name = process_account()
    if name is None:
        raise ContractError("This account has no name on this machine, so it cannot be a reviewer's")
    return name
