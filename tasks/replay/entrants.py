"""Entrants by version, so that they can be loaded wherever blocks are decided, and slates of orders.

An order is the baseline of a release without a champion.

::

    key             logged: the position; a column: its value, descending
    ties            the logged position, then item_id; unknown values and positions come last
    rules           floors, hard constraints, caps, minimums and required items of the release under test
    soft rules      diversity, decay, exploration: for a column's order only

Soft rules change the order, not the allowed items. The log was served with the rules of its time, and
applying them again would not reproduce it; so without violations the logged order equals the log. Diversity
and decay are in units of utility, which a column lacks: its order is assigned the release's utilities of the
request, best to best, so that a rule has the same effect on both (`rank_as`).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

import numpy as np
import pandas as pd

from tasks import columns as c
from tasks.arrays import Flags, Floats, Indices, Integers
from tasks.contracts import SlateSpec, UtilitySpec, canonical
from tasks.errors import DataError, unknown
from tasks.ranking.candidates import CandidateSets, read_numbers
from tasks.ranking.decide import decide
from tasks.release.view import load, with_boosts
from tasks.replay.decided_slice import Entrant, Entrants
from tasks.replay.log import PolicySlates
from tasks.replay.slates import Scored, TestSlice
from tasks.stores.aliases import CHAMPION, release_name
from tasks.stores.workspace import Workspace


@dataclass(frozen=True)
class EntrantVersions:
    """Entrants given as release versions and policy specifications.

    Attributes
    ----------
    release : the release under test.
    baseline : the release that it is compared with; None for an order.
    order : ``logged`` or a column; None for the surface's declared order.
    anchors : earlier releases by reference.
    others : further policies by name.
    """

    release: int
    baseline: int | None = None
    order: str | None = None
    anchors: Mapping[str, int] = field(default_factory=dict)
    others: Mapping[str, UtilitySpec] = field(default_factory=dict)

    @classmethod
    def of(cls, workspace: Workspace, release: int, baseline: str | None) -> "EntrantVersions":
        """Compare a release with a baseline: a version or an alias, else an order; the champion by default.

        Raises
        ------
        ContractError
            The version does not exist.
        """
        if not baseline:
            return cls(release, workspace.releases.find(CHAMPION))
        if baseline.isdecimal() or baseline in release_aliases(workspace):
            return cls(release, workspace.releases.version(baseline))
        return cls(release, order=baseline)

    def load(self, workspace: Workspace) -> Entrants:
        """Load the releases, with the boosts in force at the as-of time of the release under test."""
        tested = workspace.releases.tested_version(self.release)
        as_of = workspace.releases.manifest(tested).as_of

        def order(block: TestSlice, ours: Scored) -> PolicySlates:
            return _order_slates(workspace, block, ours, self.order)

        return Entrants(
            _entrant(workspace, self.release, "release", as_of),
            order if self.baseline is None else _entrant(workspace, self.baseline, "champion", as_of),
            {
                reference: replace(_entrant(workspace, version, "release", as_of), served_as=None)
                for reference, version in self.anchors.items()
            },
            self.others,
        )

    def to_json(self) -> str:
        """Return the versions as JSON without descriptions, which do not affect decisions.

        Examples
        --------
        >>> EntrantVersions.from_json(EntrantVersions(3, order="price").to_json())
        EntrantVersions(release=3, baseline=None, order='price', anchors={}, others={})
        """
        others = {name: canonical(policy) for name, policy in self.others.items()}
        return json.dumps({**vars(self), "anchors": dict(self.anchors), "others": others})

    @classmethod
    def from_json(cls, text: str) -> "EntrantVersions":
        """Read the output of `to_json`."""
        plain = json.loads(text)
        others = {name: UtilitySpec.model_validate(policy) for name, policy in plain.pop("others").items()}
        return cls(**plain, others=others)


def release_aliases(workspace: Workspace) -> Mapping[str, int]:
    """Return the versions of a surface's releases by alias."""
    return workspace.store.registry.aliases(release_name(workspace.surface))


def _entrant(workspace: Workspace, version: int, word: str, as_of: datetime) -> Entrant:
    tested = load(workspace, workspace.releases.tested_version(version))
    return Entrant(with_boosts(workspace, tested, as_of), f"{word} {version}", served_as=version)


def _order_slates(workspace: Workspace, test: TestSlice, ours: Scored, order: str | None) -> PolicySlates:
    """Return the slates of an order; outcome columns are refused, and the error also lists aliases."""
    tasks = workspace.contracts.tasks.tasks
    outcomes = {name for task in tasks for name in (task, c.status(task), c.at(task))}
    known = [*(name for name in map(str, test.candidates.columns) if name not in outcomes), LOGGED]
    if order is not None and order not in known:
        raise DataError(unknown("baseline", order, [*release_aliases(workspace), *known]))
    return baseline_order(test, ours, order)


LOGGED: Final = "logged"
"""Name of the logged order as a baseline."""
_ORDER: Final = "__order"
"""The term by which an order is ranked; no task may have this name."""


def baseline_order(test: TestSlice, scored: Scored, order: str | None = None) -> PolicySlates:
    """Return the slates of an order; by default of the declared substitute for a champion.

    It is ranked by its own key under the rules of the release under test: a column alone could put items into
    slots that no policy may show.

    Parameters
    ----------
    order : ``logged`` or a column of the candidates; by default ``gates.decision.first``.

    Raises
    ------
    DataError
        The candidates have no such column, it is not numeric, or the logged order is not logged.
    """
    first = test.contracts.surface.gates.decision.first
    declared = LOGGED if first == LOGGED else first.column
    named_by = "the baseline" if order else "gates.decision.first"
    order = order or declared
    if order == LOGGED:
        return _logged_order(test, scored)
    if order not in test.candidates:
        known = map(str, test.candidates.columns)
        raise DataError(unknown("column", order, known, where=f"the candidates ({named_by})"))
    values = read_numbers(test.candidates, order, named_by)
    everything = np.ones(len(values), dtype=bool)
    slot = _ranked_by(values, everything, test, scored, candidates=test.drawn_anew, slate=test.slate)
    return PolicySlates(f"order of {order}", slot)


def _logged_order(test: TestSlice, scored: Scored) -> PolicySlates:
    if not test.log.positions_logged:
        raise DataError(
            "The log carries no position, so there is no logged order to compare with. "
            "Name a column: gates.decision.first: {column: ...}"
        )
    position = test.log.logged_position
    shown = test.log.shown & np.isfinite(position)
    slate = test.slate.model_copy(update={"diversity": None, "decay": None, "exploration": None})
    slot = _ranked_by(-position, shown, test, scored, candidates=test.candidates, slate=slate)
    return PolicySlates("logged order", slot, follows_log=True)


def _ranked_by(
    values: Floats,
    rows: Flags,
    test: TestSlice,
    scored: Scored,
    *,
    candidates: pd.DataFrame,
    slate: SlateSpec,
) -> Integers:
    """Return the slots of the marked rows by their values, the greatest first, shape (n,)."""
    frame = candidates[rows]
    sets = CandidateSets.of(frame)
    keys = (test.log.logged_position[rows], -values[rows], sets.request)
    best_first = sets.order[np.lexsort([np.nan_to_num(key[sets.order], nan=np.inf) for key in keys])]
    like = None if scored.slates.utility is None else scored.slates.utility[rows]
    order = scored.policy.with_one_task(_ORDER)
    predictions = {name: each[rows] for name, each in scored.predictions.items()}
    predictions[c.expected_value(_ORDER)] = rank_as(best_first, like=like, requests=sets.request)
    decided = decide(frame, predictions, order, slate, sets=sets)
    slot = np.zeros(len(rows), dtype=np.int64)
    slot[rows] = decided.slate_position
    return slot


def rank_as(best_first: Integers, *, like: Floats | None, requests: Integers) -> Floats:
    """Return strictly decreasing utilities for an order: its best row gets the request's largest utility.

    Rows tied in the release's utility are not tied in the order: they get values between the tied utility and
    the next greater one, evenly spaced; above the greatest, in steps of the request's mean difference (1 if
    all are equal).

    Parameters
    ----------
    best_first : [m] rows sorted by request code, each request's best row first.
    like : [m] utilities of the release; unknown values count as the request's smallest. None ties all.
    requests : [m] codes.

    Examples
    --------
    >>> order, requests = np.array([1, 2, 0]), np.zeros(3, dtype=int)
    >>> rank_as(order, like=np.array([0.3, 0.1, 0.2]), requests=requests).tolist()
    [0.1, 0.3, 0.2]
    >>> rank_as(order, like=np.array([0.5, 0.5, 0.5]), requests=requests).tolist()
    [0.5, 2.5, 1.5]
    """
    ranked = np.zeros(len(requests))
    if len(ranked):
        fallen = np.lexsort((np.zeros(len(ranked)) if like is None else -like, requests))
        utility = np.zeros(len(ranked)) if like is None else like[fallen]
        ranked[best_first] = _without_ties(utility, np.flatnonzero(np.diff(requests[fallen], prepend=-1)))
    return ranked


def _without_ties(utility: Floats, first: Indices) -> Floats:
    """Return strictly decreasing values for non-increasing ones, NaN last; requests begin at ``first``."""
    rows, request = np.arange(len(utility)), np.repeat(first, np.diff(first, append=len(utility)))
    known = np.maximum.accumulate(np.where(np.isfinite(utility), rows, request))
    utility = np.nan_to_num(utility[known])
    begins = (rows == request) | (np.diff(utility, prepend=np.inf) != 0)
    tied = np.flatnonzero(begins)
    count = np.diff(tied, append=len(utility))
    last = np.r_[first[1:], len(utility)] - 1
    step = np.where(utility[first] > utility[last], utility[first] - utility[last], last - first)
    steps = np.repeat(step / np.maximum(last - first, 1), last - first + 1)
    greater = np.where(tied == request[tied], utility[tied] + count * steps[tied], utility[tied - 1])
    below = np.repeat(tied + count, count) - 1 - rows
    rise = (greater - utility[tied]) / count
    return utility + np.repeat(rise, count) * below
