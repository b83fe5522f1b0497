"""A utility policy as text for people: what each outcome is worth, context by context."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import RenderableType, group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from tasks.cli.text import Plain


@group()
def write_policy(plain: Plain) -> Iterator[RenderableType]:
    """Write the base whole, and of each context where it holds and what it changes."""
    roles = " and ".join(plain["approvals"])
    yield Text(f"{plain['policy']} version {plain['version']}: {plain['owner']} owns it, {roles} approve it")
    if plain["experiment"]:
        yield Text(f"justified by the experiment {plain['experiment']}")
    base, *contexts = plain["contexts"]
    yield _terms(base["terms"], plain["unit"])
    yield from _rules(base)
    for context in contexts:
        yield Text.assemble((context["context"], "bold"), f" where {_where(context['when'])} changes:")
        terms = [term for term in context["terms"] if term["task"] in context["changed"]]
        yield Padding(_terms(terms, plain["unit"]), (0, 0, 0, 4)) if terms else Text("    no weight")
        yield from (Padding(line, (0, 0, 0, 4)) for line in _rules(context, base))


def _terms(terms: list[Plain], unit: str) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("outcome")
    table.add_column("weight", justify="right")
    table.add_column(f"worth, in {unit}", justify="right")
    for term in terms:
        table.add_row(term["task"], f"{term['weight']:g}", _worth(term))
    return table


def _worth(term: Plain) -> str:
    """Write a worth with what it is counted for.

    Examples
    --------
    >>> _worth({"worth": -125.0, "times": None, "cap": None})
    '-125'
    >>> _worth({"worth": 50.0, "times": "margin", "cap": 20.0})
    '50 for each of margin, up to 20'
    """
    each = f" for each of {term['times']}" if term["times"] else ""
    cap = f", up to {term['cap']:g}" if term["cap"] else ""
    return f"{term['worth']:,.4g}{each}{cap}"


def _where(when: Mapping[str, list[Any]]) -> str:
    return " and ".join(f"{column} is {' or '.join(map(str, values))}" for column, values in when.items())


def _rules(policy: Plain, base: Plain | None = None) -> Iterator[Text]:
    """Write floors, multipliers, filters and slate; of a context those that the base has not."""
    known = _rule_words(base) if base else {}
    for kind, words in _rule_words(policy).items():
        own = [word for word in words if word not in known.get(kind, ())]
        if own:
            yield Text(f"{kind}: {', '.join(own)}")


def _rule_words(policy: Plain) -> dict[str, list[str]]:
    return {
        "floors": [f"{task} {floor}" for task, floor in policy["relevance_floor"].items()],
        "multipliers": [f"{name} x {factor:g}" for name, factor in policy["multipliers"].items()],
        "hard constraints": list(policy["hard_constraints"]),
        "slate": [f"{field} {_value(value)}" for field, value in policy["slate"].items()],
    }


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{key} {_value(of)}" for key, of in value.items())
    return str(value)
