"""Commands on online experiments: plan, read, list, and learn weights from them."""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

from rich.console import RenderableType, group
from rich.table import Table
from rich.text import Text
from typer import Argument, Option

from tasks.cli import text
from tasks.cli.command import AsOf, CommandGroup
from tasks.cli.text import Plain, change, level
from tasks.reports.numbers import format_counted, format_number, format_share, spoken

if TYPE_CHECKING:
    from tasks.stores.workspace import Workspace

_experiments = CommandGroup("Release", word="experiment", help="Plan and read online experiments.")
GROUPS = (_experiments,)

Name = Annotated[str, Argument(metavar="NAME", help="An experiment: experiments/NAME.yaml.")]


@group()
def write_plan(plain: Plain) -> Iterator[RenderableType]:
    """Write the days that each limit needs, and whether the plan is accepted."""
    first, last = plain["past"]
    users = format_counted(round(plain["users_a_day"]), "user")
    yield Text(f"from {plain['starts']} to {plain['ends']}, planned from {first} to {last}: {users} a day")
    table = text.table("metric", "", figures=("bound", "days needed"))
    table.add_column("")
    for one in plain["metrics"]:
        days = "-" if one["days_needed"] is None else str(one["days_needed"])
        bound = "" if one["bound"] is None else format_number(one["bound"])
        table.add_row(one["metric"], "critical" if one["critical"] else "", bound, days, one["reason"])
    yield table
    yield from (Text(f"note: {reason}") for reason in plain["reasons"])
    arms = ", ".join(f"{arm} release {release}" for arm, release in plain["arms"].items())
    if plain["accepted"]:
        yield Text(f"accepted: version {plain['experiment_version']} is pinned, {arms}")
    else:
        yield Text("refused: critical guardrails are not decided by the end. Lengthen the experiment")


@group()
def write_readout(plain: Plain) -> Iterator[RenderableType]:
    """Write the state, the arms and, unless withheld, effects and the decision."""
    yield Text(f"{plain['experiment']} as of {plain['as_of']}: {plain['state']}")
    if (ratio := plain["sample_ratio"]) is not None:
        arms = ", ".join(f"{arm} {format_counted(n, 'user')}" for arm, n in ratio["users"].items())
        yield Text(
            f"arms: {arms}; alarm since {ratio['alarmed_on']}" if ratio["alarmed_on"] else f"arms: {arms}"
        )
    if plain["metrics"]:
        yield _effects(plain)
    yield Text(f"decision: {plain['decision']}" + "".join(f"\n  {reason}" for reason in plain["reasons"]))
    yield from (Text(f"note: {note}") for note in plain["notes"])
    yield Text(f"report: {plain['report']}", overflow="fold")


def _effects(plain: Plain) -> Table:
    table = text.table("metric", figures=("change",))
    for name in ("interval", "outcome"):
        table.add_column(name)
    for one in plain["metrics"]:
        interval = "planned" if one["final"] else f"always-valid until {one['mature_on']}"
        outcomes = [spoken(verdict["outcome"]) for verdict in one["verdicts"]]
        table.add_row(one["metric"], change(one["change"]), interval, ", ".join(outcomes))
        for verdict in one["segments"]:
            if verdict["outcome"] == "block":
                segment = verdict["segment"]
                where = f"  {segment['column']}={segment['value']}"
                table.add_row(where, change(verdict["observed"]), "", "harmed")
    return table


@group()
def write_list(plain: Plain) -> Iterator[RenderableType]:
    """Write a row per experiment, problems of files, and effects compared with the gate's changes."""
    if not plain["experiments"]:
        yield Text("no experiment of this surface")
        return
    table = text.table("experiment", "starts", "ends", "state", "decision")
    for one in plain["experiments"]:
        state = one["state"] or ("planned" if one["planned"] else "not planned")
        days = (one["starts"] or "-", one["ends"] or "-")
        table.add_row(
            one["experiment"], *days, "refused" if one["problem"] else state, one["decision"] or "-"
        )
    yield table
    yield from (Text(one["problem"]) for one in plain["experiments"] if one["problem"])
    if plain["offline_online"]:
        yield Text("\nonline effects on the changes that the gate printed:")
        yield _agreements(plain["offline_online"])
    if plain["surrogates"]:
        yield Text("\nchanges of slow outcomes on those of their proxies:")
        yield _surrogates(plain["surrogates"])


def _surrogates(plain: list[Plain]) -> Table:
    table = text.table("slow outcome", "fast outcome", figures=("experiments", "slope"))
    table.add_column("moving the fast one")
    for one in plain:
        slope = "-" if one["slope"]["value"] is None else level(one["slope"])
        table.add_row(one["slow"], one["fast"], str(one["experiments"]), slope, one["conclusion"])
    return table


def _agreements(plain: list[Plain]) -> Table:
    table = text.table("metric", figures=("experiments", "slope", "intercept", "same sign"))
    for one in plain:
        count, same = str(one["experiments"]), format_share(one["agreeing"])
        table.add_row(one["metric"], count, level(one["slope"]), level(one["intercept"]), same)
    return table


@group()
def write_learning(plain: Plain) -> Iterator[RenderableType]:
    """Write the current weights, the learned weights and the proposal, or why there is none."""
    rows = [one for one in plain["experiments"] if not one["reason"]]
    perturbed = plain["source"] == "perturbation"
    source = "perturbed weights" if perturbed else format_counted(len(rows), "experiment")
    yield Text(f"{source}, long outcome {plain['long']}")
    for one in plain["experiments"]:
        if one["reason"]:
            version = "" if one["version"] is None else f" version {one['version']}"
            yield Text(f"left out: {one['experiment']}{version}: {one['reason']}")
    heading = "gradient" if perturbed else "learned"
    table = text.table("term", figures=("weight now", heading, "proposed"))
    for one in plain["terms"]:
        proposed = "-" if one["proposed"] is None else format_number(one["proposed"])
        learned = "-" if one["learned"] is None else level(one["learned"])
        table.add_row(one["task"], format_number(one["current"]), learned, proposed)
    yield table
    yield from (Text(f"refused: {reason}") for reason in plain["refused"])
    if plain["file"] is not None:
        yield Text(f"proposed: version {plain['policy_version']}\npolicy: {plain['file']}", overflow="fold")


@_experiments.command(
    "home_feed feed-cap --as-of 2026-03-01T00:00:00Z",
    written=write_plan,
    passed=lambda result: result["accepted"],
)
def plan(workspace: "Workspace", name: Name, as_of: AsOf) -> dict[str, Any]:
    """Plan an experiment from past traffic, and pin its file and releases."""
    from tasks.experiments import plan

    done = plan.run(workspace, name, as_of=as_of)
    return {**done.evidence.content(), "run_id": done.run_id}


@_experiments.command(
    "home_feed feed-cap --as-of 2026-04-01T00:00:00Z",
    written=write_readout,
    passed=lambda result: result["decision"] in {"ship", "continue"},
)
def read(workspace: "Workspace", name: Name, as_of: AsOf) -> dict[str, Any]:
    """Read an experiment as of an instant: sample ratio, effects, and ship, hold or stop."""
    from tasks.experiments import read

    done = read.run(workspace, name, as_of=as_of)
    return {**done.evidence.content(), "run_id": done.run_id}


@_experiments.command(
    "home_feed --long satisfied_7d_rate --as-of 2026-06-01T00:00:00Z",
    written=write_learning,
    passed=lambda result: not result["refused"],
)
def learn(
    workspace: "Workspace",
    long: Annotated[str, Option(metavar="METRIC", help="The long outcome: the rate of a task.")],
    as_of: AsOf,
    *,
    perturbation: Annotated[
        bool, Option("--perturbation", help="Learn from users whose weights were perturbed.")
    ] = False,
    since: Annotated[
        datetime | None,
        Option(metavar="DAY", help="The first day of the perturbation.", formats=["%Y-%m-%d"]),
    ] = None,
) -> dict[str, Any]:
    """Learn the utility's weights from experiments or perturbation, and propose its next version."""
    from tasks.experiments import learn, perturbed

    if perturbation:
        first = None if since is None else since.date()
        done = perturbed.run(workspace, long=long, as_of=as_of, since=first)
    else:
        done = learn.run(workspace, long=long, as_of=as_of)
    return {**done.evidence.content(), "run_id": done.run_id}


@_experiments.command("home_feed", name="list", written=write_list)
def list_(workspace: "Workspace") -> dict[str, Any]:
    """List a surface's experiments, and compare their effects with the gate's and the proxies' changes."""
    from tasks.experiments.offline import compare_experiments, find_surrogates
    from tasks.experiments.results import list_experiments

    return {
        "experiments": [asdict(one) for one in list_experiments(workspace)],
        "offline_online": [asdict(one) for one in compare_experiments(workspace)],
        "surrogates": [asdict(one) for one in find_surrogates(workspace)],
    }
