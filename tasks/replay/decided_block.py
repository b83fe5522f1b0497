"""One block of candidates decided by every entrant, in narrow columns: what a replay needs of it.

::

    of every row             codes of request, user, item and day; segments; slots and ranks; what the policy
                             that is judged predicts, and what its utility is made of
    of rows in some slot     what other releases predict, what an outcome is worth
    of rows that were shown  labels, outcomes, predictions where the item stood

A block holds whole requests, so it is decided without the others, wherever that is.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from tasks import columns as c
from tasks.contracts.slate import SlateSpec
from tasks.contracts.utility import UtilitySpec
from tasks.errors import DataError
from tasks.evaluation.replay_evidence import ConstraintLeak, SlateRule
from tasks.release.loading import LoadedRelease
from tasks.release.slate_rules import count_slate_rules
from tasks.replay.log import Floats, Slates
from tasks.replay.log_block import LogBlock, read_block
from tasks.replay.slates import Scored, TestSlice

Rows = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Entrant:
    """A release that decides on every block; ``served_as`` is the version by which the log knows it."""

    release: LoadedRelease
    name: str
    served_as: int | None = None


Order = Callable[[TestSlice, Scored], Slates]
"""Returns the slates of an order, under the rules of the release that is judged."""


@dataclass(frozen=True)
class Entrants:
    """Who decides on every block.

    Attributes
    ----------
    under_test : the release that is judged.
    baseline : what it is compared with, a release or an order.
    anchors : earlier releases by reference.
    others : further utility policies by name, on the predictions of the release under test.
    slates : the slate policies of others, by their names; without one it is the surface's.
    later : whether policies will decide on the rows later, so that what others keep is kept of every row.
    """

    under_test: Entrant
    baseline: Entrant | Order
    anchors: Mapping[str, Entrant] = field(default_factory=dict)
    others: Mapping[str, UtilitySpec] = field(default_factory=dict)
    slates: Mapping[str, SlateSpec] = field(default_factory=dict)
    later: bool = False


class EntrantKey(NamedTuple):
    """Which entrant: ``policy``, ``baseline``, or one of the ``anchors`` or ``others`` by name."""

    role: str
    name: str = ""

    @property
    def judged(self) -> bool:
        """Whether its own utility and predictions are asked for of every candidate."""
        return self.role in {"policy", "others"}


POLICY: Final = EntrantKey("policy")
BASELINE: Final = EntrantKey("baseline")


@dataclass(frozen=True)
class DecidedBlock:
    """One block of n rows, decided.

    Attributes
    ----------
    log : the candidates; of its ``rows`` [m] an outcome may be known.
    kept : [k] these rows and those in some slot.
    slates : predictions of a judged entrant [n], of others [k] as is worth; where shown [m].
    predicted : by column [m].
    no_order : why the block has no baseline order, which another block may have.
    leaks : by the name of a release, what its slates hold that a hard constraint keeps out.
    """

    log: LogBlock
    kept: Rows
    slates: Mapping[EntrantKey, Slates]
    predicted: Mapping[EntrantKey, Mapping[str, Floats]]
    rules: tuple[SlateRule, ...]
    no_order: str = ""
    leaks: Mapping[str, tuple[ConstraintLeak, ...]] = field(default_factory=dict)


def decide_block(block: TestSlice, entrants: Entrants) -> DecidedBlock:
    """Let every entrant decide on a block.

    Raises
    ------
    DataError
        A release cannot score it, or there is no such order.
    """
    log = read_block(block.candidates, block.reading)
    made = {POLICY: _enter(block, entrants.under_test)}
    ours, no_order = made[POLICY], ""
    slates = {
        EntrantKey("others", name): block.slates_by(one, ours, name, slate=entrants.slates.get(name))
        for name, one in entrants.others.items()
    }
    made |= {EntrantKey("anchors", name): _enter(block, one) for name, one in entrants.anchors.items()}
    if isinstance(entrants.baseline, Entrant):
        made[BASELINE] = _enter(block, entrants.baseline)
    else:
        try:
            slates[BASELINE] = entrants.baseline(block, ours)
        except DataError as error:
            if block.log.positions_logged:
                raise
            no_order = str(error)  # nothing of this block was shown, which says nothing of the others
            slates[BASELINE] = Slates("", np.zeros(len(block.candidates), dtype=np.int64), follows_log=True)
    slates |= {key: scored.slates for key, scored in made.items()}
    kept = np.full(len(block.candidates), entrants.later)
    kept[log.rows] = True
    for one in slates.values():
        kept |= one.slot > 0
    places = np.flatnonzero(kept)
    return DecidedBlock(
        log=log,
        kept=places,
        slates={key: _narrow(one, log.rows, places, judged=key.judged) for key, one in slates.items()},
        predicted={key: _predicted(block, made[key], log.rows) for key in (POLICY, BASELINE) if key in made},
        rules=count_slate_rules(ours.frame),
        no_order=no_order,
        leaks={one.slates.name: one.leaks for one in made.values()},
    )


def _enter(block: TestSlice, entrant: Entrant) -> Scored:
    return block.slates_of(entrant.release, entrant.name, served_as=entrant.served_as)


def _predicted(block: TestSlice, scored: Scored, rows: Rows) -> dict[str, Floats]:
    names = [name for task in block.contracts.tasks.tasks for name in (c.given(task), c.probability(task))]
    where_logged = scored.where_logged
    return {name: where_logged[name][rows] for name in names if name in where_logged}


def _narrow(slates: Slates, rows: Rows, kept: Rows, *, judged: bool) -> Slates:
    """Keep of an entrant's columns the rows that a replay asks for; a view would keep the whole frame."""
    return replace(
        slates,
        slot=slates.slot.astype(np.int32),
        predictions=_copy(slates.predictions) if judged else _at(slates.predictions, kept),
        where_shown=_at(slates.where_shown, rows),
        utility=slates.utility.copy() if judged and slates.utility is not None else None,
        contributions=_copy(slates.contributions) if judged else {},
        worth=_at(slates.worth, kept),
        rank=None if slates.rank is None else slates.rank.astype(np.int32),
    )


def _copy(columns: Mapping[str, Floats]) -> dict[str, Floats]:
    return {name: column.copy() for name, column in columns.items()}


def _at(columns: Mapping[str, Floats], rows: Rows) -> dict[str, Floats]:
    return {name: column[rows] for name, column in columns.items()}
