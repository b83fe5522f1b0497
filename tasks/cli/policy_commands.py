"""Commands on policies: show, compare, apply, tune, and estimate off-policy."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

from rich.console import RenderableType, group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text
from typer import Argument, Option

from tasks.cli import text
from tasks.cli.command import Baseline, CommandGroup, ParentRun, ReleaseOption
from tasks.cli.text import Plain, change, figure, level, share, unbroken, written_segment
from tasks.errors import list_names
from tasks.reports.numbers import (
    format_change,
    format_counted,
    format_number,
    format_outcomes,
    format_share,
    spoken,
)

if TYPE_CHECKING:
    from tasks.stores.workspace import Workspace


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
    by_day = "" if plain["days"] is None else f" or are by day ({plain['days']}), the wider of both"
    yield Text(
        f"{rows} of {requests}; intervals resample {plain['resampled']}{by_day}; "
        f"{never} of what the target shows was never logged at its position; "
        f"expected rewards: {plain['reward_model']}; propensities checked by: {_balance(plain)}"
    )


def _balance(plain: Plain) -> str:
    """List the columns used to check propensities, and those that could not be used.

    Examples
    --------
    >>> _balance({"balanced_by": [], "not_balanced_by": ["price"]})
    'no column (not by price, which describes the item)'
    """
    describing = list_names(plain["not_balanced_by"], _MOST_NAMED)
    return (list_names(plain["balanced_by"], _MOST_NAMED) or "no column") + (
        f" (not by {describing}, which describes the item)" if describing else ""
    )


@group()
def write_gradient(plain: Plain) -> Iterator[RenderableType]:
    """Write the effect of a 10 % increase of each weight."""
    table = text.table("weight", figures=("10 % more brings", "95 % by user", "perturbed by", ""))
    for name, one in plain["gradients"].items():
        tenth = [None if one[key] is None else one[key] / 10 for key in ("value", "low", "high")]
        size = format_number(one["size"])
        table.add_row(name, figure(tenth[0]), _interval(tenth[1], tenth[2]), size, spoken(one["direction"]))
    yield table
    rows = format_counted(plain["left_out"], "row")
    unknown = f"; {rows} without an observed label" if plain["left_out"] else ""
    requests, users = (format_counted(plain[f"{one}s"], one) for one in ("request", "user"))
    yield Text(f"{requests} of {users}, mean reward of a request {figure(plain['mean_reward'])}{unknown}")


def _estimates(plain: Plain) -> Table:
    table = text.table("estimator", figures=("per", "value", "95 %", "Bernstein", "ess", "largest weight"))
    for name, one in plain["estimates"].items():
        table.add_row(
            name,
            one["per"],
            figure(one["value"]),
            _interval(one["low"], one["high"]),
            _interval(one["bernstein_low"], one["bernstein_high"]),
            *(("", "") if one["ess"] is None else (f"{one['ess']:,.0f}", format_number(one["max_weight"]))),
        )
    return table


def _interval(low: float | None, high: float | None) -> str:
    """Format an interval.

    Examples
    --------
    >>> _interval(0.00275, 0.00804), _interval(None, None)
    ('[0.00275, 0.00804]', '')
    """
    return "" if low is None or high is None else f"[{figure(low)}, {figure(high)}]"


_ope = CommandGroup("Policy", word="ope", help="Estimate a policy from a log with propensities.")

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


@group()
def write_policy(plain: Plain) -> Iterator[RenderableType]:
    """Write the base policy, and the scope and changes of each context."""
    roles = " and ".join(plain["approvals"])
    yield Text(f"{plain['policy']} version {plain['version']}: owner {plain['owner']}, approved by {roles}")
    if plain["experiment"]:
        yield Text(f"justified by the experiment {plain['experiment']}")
    for tier in plain["tiers"]:
        cuts = ", ".join(format_number(cut) for cut in tier["cuts"])
        yield Text(f"before any weight: {tier['task']} cut at {cuts}, {tier['first']} first")
    base, *contexts = plain["contexts"]
    yield _terms(base["terms"], plain["unit"])
    if plain["offset"]:
        yield Text(f"offset: the sum is made positive, a sum of 0 becomes {format_number(plain['offset'])}")
    yield from _rules(base)
    for context in contexts:
        where = " and ".join(f"{name} is {' or '.join(map(str, of))}" for name, of in context["when"].items())
        yield Text.assemble((context["context"], "bold"), f" where {where} changes:")
        terms = [term for term in context["terms"] if term["task"] in context["changed"]]
        yield Padding(_terms(terms, plain["unit"]), (0, 0, 0, 4)) if terms else Text("    no weight")
        yield from (Padding(line, (0, 0, 0, 4)) for line in _rules(context, base))


def _terms(terms: list[Plain], unit: str) -> Table:
    table = text.table("outcome", figures=("weight", f"worth, in {unit}"))
    for term in terms:
        name = f"{term['task']}: {term['of']}" if term["of"] else term["task"]
        table.add_row(name, format_number(term["weight"]), _worth(term))
    return table


def _worth(term: Plain) -> str:
    """Format the worth of a term with its unit.

    Examples
    --------
    >>> _worth({"worth": -125.0, "times": None, "cap": None})
    '-125'
    >>> _worth({"worth": 50.0, "times": "margin", "cap": 20.0})
    '50 for each of margin, up to 20'
    """
    each = f" for each of {term['times']}" if term["times"] else ""
    cap = f", up to {format_number(term['cap'])}" if term["cap"] else ""
    return f"{format_number(term['worth'])}{each}{cap}"


def _rules(policy: Plain, base: Plain | None = None) -> Iterator[Text]:
    """Write floors, multipliers, filters and slate; for a context only those that the base lacks."""
    known = _rule_words(base) if base else {}
    for kind, words in _rule_words(policy).items():
        own = [word for word in words if word not in known.get(kind, ())]
        if own:
            yield Text(f"{kind}: {', '.join(own)}")


def _rule_words(policy: Plain) -> dict[str, list[str]]:
    return {
        "floors": [f"{task} {floor}" for task, floor in policy["relevance_floor"].items()],
        "multipliers": [
            f"{name} x {format_number(factor)}" for name, factor in policy["multipliers"].items()
        ],
        "hard constraints": list(policy["hard_constraints"]),
        "slate": [f"{field} {_value(value)}" for field, value in policy["slate"].items()],
    }


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{key} {_value(of)}" for key, of in value.items())
    return str(value)


@group()
def write_diff(plain: Plain) -> Iterator[RenderableType]:
    """Write the size of the change, negative outcomes, moved items, and requests side by side."""
    for side in ("before", "after"):
        one = plain[side]
        yield Text(f"{side}: {one['policy']} version {one['version']} ({one['name']})")
    size = f"{format_counted(plain['requests'], 'request')} of {format_counted(plain['users'], 'user')}"
    yield Text(
        f"on the candidates and predictions of release {plain['release']}, {plain['first_day']} to "
        f"{plain['last_day']}: {size}"
    )
    yield from (Text(note) for note in plain["notes"])
    for one in plain["slate_rules"]:
        yield Text(f"slate {one['rule']}: {one['before'] or 'none'} -> {one['after'] or 'none'}")
    yield Text(f"slots with another item: {share(plain['replaced'])}")
    yield Text("predicted negatives per 1,000 slots:")
    yield _changes(
        [{**row, "segment": written_segment(row)} for row in plain["negatives"]], ("task", "segment"), level
    )
    yield Text("moved items (to better and worse places; share of exposure):")
    yield _changes(plain["value_changes"], ("column", "value", "up", "down"), _share_alone)
    yield Text(f"requests side by side: {plain['rule']}")
    for request in plain["examples"]:
        yield Padding(_side_by_side(request), (0, 0, 0, 2))
    yield unbroken(Text(f"report: {plain['report']}"))


def _changes(rows: list[Plain], names: tuple[str, ...], written: Callable[[Plain | None], str]) -> Table:
    counts = [name for name in names if name in {"up", "down"}]
    words = [name for name in names if name not in counts]
    table = text.table(*words, figures=(*counts, "before", "after", "change"), fold=True)
    for row in rows:
        cells = (f"{row[name]:,}" if isinstance(row[name], int) else str(row[name]) for name in names)
        table.add_row(*cells, written(row["before"]), written(row["after"]), change(row["relative"]))
    return table


def _side_by_side(request: Plain) -> Table:
    table = Table(box=None, pad_edge=False, title_justify="left")
    table.title = f"{request['request']}: {request['replaced']} of {len(request['slots'])} slots"
    table.add_column("slot", justify="right")
    for name in ("before", "after", "moved from"):
        table.add_column(name, overflow="fold")
    for slot in request["slots"]:
        stood = "" if slot["after"] is None else str(slot["place_before"] or "off")
        place = "" if stood == str(slot["place"]) else stood
        table.add_row(str(slot["place"]), slot["before"] or "-", slot["after"] or "-", place)
    return table


def _share_alone(estimate: Plain | None) -> str:
    return "-" if estimate is None or estimate["value"] is None else f"{estimate['value']:.1%}"


_policy = CommandGroup("Policy", word="policy", help="Show, compare and change utility policies.")
_tuning = CommandGroup("Policy")
GROUPS = (_policy, _tuning, _ope)


@_policy.command("home_feed --unit click_30m", written=write_policy)
def show(
    workspace: "Workspace",
    unit: Annotated[
        str | None, Option(metavar="TASK", help="Express weights in this outcome (default: the first gain).")
    ] = None,
) -> dict[str, Any]:
    """Show the effective weights of every context, in units of one outcome."""
    from tasks.contracts.effective_policy import default_unit, effective_policies

    utility = workspace.contracts.utility
    counted_in = unit or default_unit(utility)
    contexts = effective_policies(utility, workspace.contracts.slate, unit=counted_in)
    return {
        "policy": utility.policy,
        "version": utility.version,
        "owner": utility.owner,
        "approvals": list(utility.approvals),
        "experiment": utility.experiment,
        "tiers": [
            {"task": tier.task, "cuts": tier.cuts, "first": utility.better_first(tier)}
            for tier in utility.lexicographic
        ],
        "offset": None if utility.offset is None else utility.offset.scale,
        "unit": counted_in,
        "contexts": [asdict(one) for one in contexts],
    }


@_policy.command(
    "home_feed",
    written=text.write_verdict,
    passed=lambda result: result.verdict == "promote",
)
def apply(workspace: "Workspace", parent_run: ParentRun = None) -> Any:
    """Release the champion's models under the current policies and evaluate the gates, without training."""
    from tasks import pipeline

    return pipeline.apply_policy(workspace, parent_run=parent_run)


_POLICY = "A release's version or alias, or the file of a utility or slate policy."


@_policy.command("home_feed champion utility-proposal.yaml", written=write_diff)
def diff(
    workspace: "Workspace",
    before: Annotated[str, Argument(metavar="A", help=_POLICY)],
    after: Annotated[str, Argument(metavar="B", help=_POLICY)],
    release: Annotated[
        str | None,
        Option(metavar="REF", help="Release with the predictions (default: champion, else the newest)."),
    ] = None,
) -> Any:
    """Compare two policies on the same logged candidates: moved items and predicted negatives."""
    from tasks.replay import policy_diff

    return policy_diff.run(workspace, before=before, after=after, release=release)


_SAID = {
    "nothing better": "no weights within every bound improve significantly on the current ones",
    "within bounds": "every bound holds under the current weights",
    "out of reach": "no weights in the ranges are within every bound",
}


@group()
def write_tuning(plain: Plain) -> Iterator[RenderableType]:
    """Write days and user halves, exceeded limits, the confirmed front, and the proposal with its gain."""
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
        yield _front_table(plain)
    yield from (Text(f"note: {note}") for note in plain["notes"])
    if plain["proposal"] is None:
        yield Text(_SAID[str(plain["ending"])])
    else:
        yield from _proposal_lines(plain)
    yield Text(f"report: {plain['report']}", overflow="fold")


def _front_table(plain: Plain) -> Table:
    objectives = [
        f"{one['metric']}{'' if one['raised'] else ' (fall)'}{_note_model_judged(one)}"
        for one in plain["objectives"]
    ]
    table = text.table("trial", "", figures=objectives)
    for point in plain["front"]:
        words = "dominated" if point["dominated"] else "knee" if point["trial"] == plain["knee"] else ""
        table.add_row(str(point["trial"]), words, *(change(one) for one in point["confirmed"]))
    return table


def _proposal_lines(plain: Plain) -> Iterator[RenderableType]:
    proposal, weights = plain["proposal"], plain["proposal"]["weights"]
    now = {term: format_number(plain["current"][term]) for term in weights}
    then = {term: format_number(weight) for term, weight in weights.items()}
    moves = [f"{term} {now[term]} -> {then[term]}" for term in weights if now[term] != then[term]]
    yield Text(f"proposed: version {proposal['version']}, {', '.join(moves) or 'weights as now'}")
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


@_tuning.command(
    "home_feed --release challenger --trials 200",
    written=write_tuning,
    passed=lambda result: result["ending"] != "out of reach",
)
def tune(
    workspace: "Workspace",
    release: ReleaseOption,
    trials: Annotated[int, Option(metavar="N", help="Policies to try.")] = 200,
    seed: Annotated[int, Option(metavar="S", help="Seed of the search.")] = 0,
    baseline: Baseline = None,
    restore: Annotated[
        bool,
        Option("--restore", help="Only restore exceeded bounds, by the smallest change."),
    ] = False,
) -> dict[str, Any]:
    """Tune a policy's weights and propose its next version."""
    from tasks.tuning import tune

    request = tune.TuneRequest(
        workspace.releases.version(release), trials, seed=seed, baseline=baseline, restore=restore
    )
    result = tune.run(workspace, request)
    return {**result.evidence.content(), "run_id": result.run_id}
