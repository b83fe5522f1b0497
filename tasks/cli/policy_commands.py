"""Commands on a surface's utility policy."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from tasks.cli import policy_text, text
from tasks.cli.command import Group
from tasks.cli.options import ParentRun

if TYPE_CHECKING:
    from tasks.evaluation.policy_changes import PolicyDiff
    from tasks.pipeline import RetrainResult
    from tasks.stores.workspace import Workspace

_policy = Group("Policies", word="policy", help="Show, compare and change utility policies.")
GROUPS = (_policy,)


@_policy.command("home_feed --unit click_30m", written=policy_text.write_policy)
def show(
    workspace: "Workspace",
    unit: Annotated[
        str | None, Option(metavar="TASK", help="Count worth in this outcome (default: the first gain).")
    ] = None,
) -> dict[str, Any]:
    """Show the effective weights of every context, in units of one outcome."""
    from tasks.contracts.effective_policy import default_unit, effective_policies, effective_tiers

    contracts = workspace.contracts
    counted_in = unit or default_unit(contracts.utility)
    offset = contracts.utility.offset
    return {
        "policy": contracts.utility.policy,
        "version": contracts.utility.version,
        "owner": contracts.utility.owner,
        "approvals": list(contracts.utility.approvals),
        "experiment": contracts.utility.experiment,
        "tiers": [asdict(one) for one in effective_tiers(contracts.utility)],
        "offset": None if offset is None else offset.scale,
        "unit": counted_in,
        "contexts": [
            asdict(one) for one in effective_policies(contracts.utility, contracts.slate, unit=counted_in)
        ],
    }


@_policy.command(
    "home_feed",
    written=text.write_verdict,
    passed=lambda result: result.verdict == "promote",
)
def apply(workspace: "Workspace", parent_run: ParentRun = None) -> "RetrainResult":
    """Release the champion's models under the policies in force and judge them; nothing is trained."""
    from tasks import pipeline

    return pipeline.apply_policy(workspace, parent_run=parent_run)


_POLICY = "A release's version or alias, or the file of a utility or slate policy."


@_policy.command("home_feed champion utility-proposal.yaml", written=policy_text.write_diff)
def diff(
    workspace: "Workspace",
    before: Annotated[str, Argument(metavar="A", help=_POLICY)],
    after: Annotated[str, Argument(metavar="B", help=_POLICY)],
    release: Annotated[
        str | None,
        Option(metavar="REF", help="Whose predictions both get (default: champion, else the newest)."),
    ] = None,
) -> "PolicyDiff":
    """Say who moves between two policies on the same logged candidates, and what it does to negatives."""
    from tasks.replay import policy_diff

    return policy_diff.run(workspace, before=before, after=after, release=release)
