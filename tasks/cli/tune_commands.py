"""The command that tunes the weights of a policy."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

from rich.console import RenderableType, group
from rich.table import Table
from rich.text import Text
from typer import Option

from tasks.cli.command import CommandGroup, ReleaseOption
from tasks.cli.text import Plain, change
from tasks.reports.numbers import format_change, format_counted, format_number, format_outcomes, format_share

if TYPE_CHECKING:
    from tasks.stores.workspace import Workspace

_SAID = {
    "nothing better": "no weights were found that keep every bound and are shown to be better than now",
    "within bounds": "every bound holds under the current weights",
    "out of reach": "no weights of the ranges were found that keep every bound",
}


@group()
def write_tuning(plain: Plain) -> Iterator[RenderableType]:
    """Write days and halves, exceeded bounds, the confirmed front, and the proposal with its gain."""
    first, last = plain["days"]
    searched, confirmed = (format_counted(count, "request") for count in plain["requests"])
    yield Text(f"release {plain['release']} against {plain['baseline']}, candidates from {first} to {last}")
    yield Text(
        f"{plain['searched_policies'][0]} policies on {searched} of half of the users, "
        f"{plain['confirmed_policies'][0]} confirmed on {confirmed} of the other half"
    )
    for metric, excess in plain["exceeded"].items():
        yield Text(f"exceeded by the current weights: {metric}, by {format_share(excess)}")
    if plain["front"]:
        yield _front(plain)
    yield from (Text(f"note: {note}") for note in plain["notes"])
    if plain["proposal"] is None:
        yield Text(_SAID[str(plain["ending"])])
    else:
        yield from _proposal(plain)
    yield Text(f"report: {plain['report']}", overflow="fold")


def _front(plain: Plain) -> Table:
    table = Table("trial", "", box=None, pad_edge=False)
    for objective in plain["objectives"]:
        fall = "" if objective["raised"] else " (fall)"
        table.add_column(objective["metric"] + fall + _note_model_judged(objective), justify="right")
    for point in plain["front"]:
        words = "dominated" if point["dominated"] else "knee" if point["trial"] == plain["knee"] else ""
        table.add_row(str(point["trial"]), words, *(change(one) for one in point["confirmed"]))
    return table


def _proposal(plain: Plain) -> Iterator[RenderableType]:
    proposal = plain["proposal"]
    yield Text(f"proposed: version {proposal['version']}, {_weights(plain, proposal['weights'])}")
    if proposal["gain"] is not None:
        maximised = plain["objectives"][0]
        metric, confirmed = proposal["gain_metric"], change(proposal["gain"])
        yield Text(f"{metric} {confirmed} vs the current weights, by outcomes of the other half")
        again, searched = change(proposal["gain_predicted"]), format_change(proposal["gain_searched"])
        name = f"{maximised['metric']}{_note_model_judged(maximised)}"
        yield Text(f"{name} {again} on the other half, {searched} where it was chosen")
    counts = format_outcomes(Counter(one["outcome"] for one in proposal["verdicts"]))
    yield Text(f"guardrails on the other half: {counts}")
    yield Text(f"policy: {proposal['file']}", overflow="fold")


def _note_model_judged(objective: Plain) -> str:
    return ", model-judged" if objective["model_judged"] else ""


def _weights(plain: Plain, weights: Mapping[str, float]) -> str:
    now = {term: format_number(plain["current"][term]) for term in weights}
    then = {term: format_number(weight) for term, weight in weights.items()}
    moves = [f"{term} {now[term]} -> {then[term]}" for term in weights if now[term] != then[term]]
    return ", ".join(moves) or "weights as now"


_policies = CommandGroup("Policy")
GROUPS = (_policies,)


@_policies.command(
    "home_feed --release challenger --trials 200",
    written=write_tuning,
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
    from tasks.tuning import tune

    request = tune.TuneRequest(
        workspace.releases.version(release), trials, seed=seed, baseline=baseline, restore=restore
    )
    result = tune.run(workspace, request)
    return {**result.evidence.content(), "run_id": result.run_id}
