"""Tuned weights as text for people: what was found, the front, and what is proposed."""

from collections.abc import Iterator, Mapping

from rich.console import RenderableType, group
from rich.table import Table
from rich.text import Text

from tasks.cli.simulation_text import change
from tasks.cli.text import Plain
from tasks.reports.numbers import format_change, format_counted, format_number, format_share, spoken

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
        table.add_column(objective["metric"] + fall + _judged(objective), justify="right")
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
        name = f"{maximised['metric']}{_judged(maximised)}"
        yield Text(f"{name} {again} on the other half, {searched} where it was chosen")
    outcomes = [one["outcome"] for one in proposal["verdicts"]]
    counts = (f"{outcomes.count(word)} {spoken(word)}" for word in dict.fromkeys(outcomes))
    yield Text(f"guardrails on the other half: {', '.join(counts)}")
    yield Text(f"policy: {proposal['file']}", overflow="fold")


def _judged(objective: Plain) -> str:
    return ", model-judged" if objective["model_judged"] else ""


def _weights(plain: Plain, weights: Mapping[str, float]) -> str:
    now = {term: format_number(plain["current"][term]) for term in weights}
    then = {term: format_number(weight) for term, weight in weights.items()}
    moves = [f"{term} {now[term]} -> {then[term]}" for term in weights if now[term] != then[term]]
    return ", ".join(moves) or "weights as now"
