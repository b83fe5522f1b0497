"""The command that tunes the weights of a policy."""

from typing import TYPE_CHECKING, Annotated, Any

from typer import Option

from tasks.cli import tune_text
from tasks.cli.command import Group
from tasks.cli.options import ReleaseOption

if TYPE_CHECKING:
    from tasks.stores.workspace import Workspace

_policies = Group("Policies")
GROUPS = (_policies,)


@_policies.command(
    "home_feed --release challenger --trials 200",
    written=tune_text.write_tuning,
    passed=lambda result: result["ending"] != "out of reach",
)
def tune(
    workspace: "Workspace",
    release: ReleaseOption,
    trials: Annotated[int, Option(metavar="N", help="Policies to try.")] = 200,
    seed: Annotated[int, Option(metavar="S", help="Another seed draws other weights.")] = 0,
    baseline: Annotated[
        str | None,
        Option(metavar="REF|logged|COLUMN", help="A release, or an order of items (default: champion)."),
    ] = None,
    restore: Annotated[
        bool,
        Option("--restore", help="Only bring exceeded bounds back, by the smallest change."),
    ] = False,
) -> dict[str, Any]:
    """Tune a policy's weights and propose its next version."""
    from tasks.stores.releases import resolve_release
    from tasks.tuning import tune

    request = tune.TuneRequest(
        resolve_release(workspace, release), trials, seed=seed, baseline=baseline, restore=restore
    )
    result = tune.run(workspace, request)
    return {**result.evidence.content(), "run_id": result.run_id}
