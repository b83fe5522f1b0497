"""Counts how often slates meet the rules of a slate policy, from the certificates of scored candidates."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Final

import numpy as np
import pandas as pd

from tasks import columns as c
from tasks.arrays import Floats
from tasks.evaluation.evidence import SlateRule

_ORDER: Final = (
    "max_per",
    "max_where",
    "required_first",
    "min_where_if_available",
    "exploration",
    "length",
)
"""Kinds of rules in the order in which they claim slots."""


def count_slate_rules(scored: pd.DataFrame) -> tuple[SlateRule, ...]:
    """Count over all slates how often each rule was met, in the order in which rules claim slots.

    Parameters
    ----------
    scored : scored candidates with the column ``certificate``. Without it there are no counts.

    Examples
    --------
    >>> short = {"rule": "length", "wanted": 3, "got": 2, "available": 2, "dropped": 0, "kept_out": {}}
    >>> texts = ['{"met":["length"],"unmet":[]}', json.dumps({"met": [], "unmet": [short]}), None]
    >>> count_slate_rules(pd.DataFrame({"certificate": texts}))
    (SlateRule(rule='length', slates=2, unmet=1, too_few=1, slots_short=1),)
    """
    if c.CERTIFICATE not in scored:
        return ()
    slates, unmet, too_few, slots_short = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
    for text, times in scored[c.CERTIFICATE].value_counts(sort=False).items():
        for rule, wanted, got, available in _rules(str(text)):
            slates[rule] += times
            unmet[rule] += times * (got < wanted)
            too_few[rule] += times * (available < wanted)
            slots_short[rule] += times * max(wanted - got, 0)
    return tuple(
        SlateRule(rule=r, slates=n, unmet=unmet[r], too_few=too_few[r], slots_short=slots_short[r])
        for r, n in sorted(slates.items(), key=lambda counted: _place(counted[0]))
    )


def mark_unmet(certificates: Iterable[str]) -> dict[str, Floats]:
    """Return by rule whether each slate violates it, NaN if the slate has no such rule, [slates].

    Examples
    --------
    >>> mark_unmet(['{"met":["length"],"unmet":[]}', '{"met":["max_per:source"],"unmet":[]}'])
    {'max_per:source': array([nan,  0.]), 'length': array([ 0., nan])}
    """
    slates = [{rule: float(got < wanted) for rule, wanted, got, _ in _rules(text)} for text in certificates]
    rules = sorted(set(chain.from_iterable(slates)), key=_place)
    return {rule: np.array([one.get(rule, np.nan) for one in slates]) for rule in rules}


def add_slate_rules(parts: Iterable[Sequence[SlateRule]]) -> tuple[SlateRule, ...]:
    """Sum the counts of several sets of slates.

    Examples
    --------
    >>> one = SlateRule(rule="length", slates=2, unmet=1, too_few=1, slots_short=3)
    >>> add_slate_rules([[one], [], [one]])
    (SlateRule(rule='length', slates=4, unmet=2, too_few=2, slots_short=6),)
    """
    of_rule: dict[str, list[SlateRule]] = {}
    for rule in chain.from_iterable(parts):
        of_rule.setdefault(rule.rule, []).append(rule)
    return tuple(
        SlateRule(
            rule=name,
            slates=sum(one.slates for one in counted),
            unmet=sum(one.unmet for one in counted),
            too_few=sum(one.too_few for one in counted),
            slots_short=sum(one.slots_short for one in counted),
        )
        for name, counted in sorted(of_rule.items(), key=lambda each: _place(each[0]))
    )


def _place(rule: str) -> tuple[int, str]:
    kind, _, column = rule.partition(":")
    return _ORDER.index(kind) if kind in _ORDER else len(_ORDER), column


def _rules(text: str) -> Iterator[tuple[str, int, int, int]]:
    """Yield each rule of a certificate with wanted, got and available, which are 0 for met rules."""
    certificate = json.loads(text)
    yield from ((rule, 0, 0, 0) for rule in certificate["met"])
    for short in certificate["unmet"]:
        yield short["rule"], short["wanted"], short["got"], short["available"]
