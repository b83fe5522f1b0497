"""The test slice read and decided block by block: what a replay needs of each is kept, and the block dropped.

::

    day -> Arrow -> blocks of whole requests -> scored and decided by every policy -> narrow columns of numpy

    of every row             codes of request, user, item and day; segments; slots and ranks; what the policy
                             that is judged predicts, and what its utility is made of
    of rows in some slot     what other releases predict, what an outcome is worth
    of rows that were shown  labels, outcomes, predictions where the item stood

So features, texts and scored frames lie in memory for one block alone. Blocks follow in the order in which
the slice is read whole, so the log, the slates and whatever is measured are the same to the bit.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tasks import columns as c
from tasks.contracts import Contracts, UtilitySpec
from tasks.errors import DataError
from tasks.evaluation.replay_evidence import SlateRule
from tasks.release.loading import LoadedRelease
from tasks.release.slate_rules import add_slate_rules, count_slate_rules
from tasks.replay.log import CandidateLog, Floats, Slates
from tasks.replay.logged_candidates import labelled_blocks
from tasks.replay.read_log import IdCodes, LogBlock, join_blocks, read_block
from tasks.replay.slates import Scored, TestSlice, release_examination
from tasks.replay.sparse import SparseColumns
from tasks.stores.manifest import Manifest
from tasks.stores.workspace import Workspace

BLOCK_ROWS: Final = 200_000
"""Candidates that are scored and decided at once."""

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
    """

    under_test: Entrant
    baseline: Entrant | Order
    anchors: Mapping[str, Entrant] = field(default_factory=dict)
    others: Mapping[str, UtilitySpec] = field(default_factory=dict)


@dataclass(frozen=True)
class Decided:
    """An entrant's slates, and by column [n] what it predicts where the items stood."""

    slates: Slates
    where_logged: Mapping[str, Floats]


@dataclass(frozen=True)
class DecidedSlice:
    """A test slice with every entrant's slates.

    Attributes
    ----------
    contracts, complete : as those of a `TestSlice`.
    log : the candidates.
    policy, baseline : of the release under test, and of what it is compared with.
    anchors, others : slates by reference, and by the name of the policy.
    rules : how often the slates of the release under test met each rule.
    """

    contracts: Contracts
    complete: bool
    log: CandidateLog
    policy: Decided
    baseline: Decided
    anchors: Mapping[str, Slates]
    others: Mapping[str, Slates]
    rules: tuple[SlateRule, ...]


def decide_slice(
    workspace: Workspace, manifest: Manifest, entrants: Entrants, *, rows: int = BLOCK_ROWS
) -> DecidedSlice:
    """Read the days that a release was not trained on, and let every entrant decide on each block.

    Parameters
    ----------
    rows : candidates of a block, at least, but for the last of a day.

    Raises
    ------
    DataError
        The slice holds no candidate, or there is no such order.
    """
    curve = release_examination(workspace, manifest)
    complete = workspace.contracts.surface.sources.candidates is not None
    users, items, log, parts = IdCodes(), IdCodes(), list[LogBlock](), list[_Part]()
    for frame in labelled_blocks(
        workspace, snapshot=manifest.snapshot.id, days=manifest.test, most_rows=rows
    ):
        block = TestSlice(workspace, frame, complete, curve)
        reading = block.reading
        log.append(read_block(frame, reading, users=users, items=items))
        parts.append(_decide_block(block, log[-1].rows, entrants))
    if not parts:
        first, last = manifest.test
        raise DataError(f"No candidate from {first} to {last}: there is nothing to rehearse the decision on")
    whole = join_blocks(log, reading)
    log.clear()
    return _join_parts(workspace, whole, parts)


@dataclass(frozen=True)
class _Key:
    """Which entrant: ``policy``, ``baseline``, or one of the ``anchors`` or ``others`` by name."""

    role: str
    name: str = ""

    @property
    def judged(self) -> bool:
        """Whether its own utility and predictions are asked for of every candidate."""
        return self.role in {"policy", "others"}


_POLICY, _BASELINE = _Key("policy"), _Key("baseline")


@dataclass(frozen=True)
class _Part:
    """One block of n rows, decided: slates and predictions in narrow columns.

    Attributes
    ----------
    size : n.
    rows, kept : places of rows that may have an outcome, and of these and those in some slot.
    slates : predictions of a judged entrant [n], of others at ``kept`` as is worth; where shown at ``rows``.
    predicted : by column at ``rows``.
    no_order : why the block has no baseline order, which another block may have.
    """

    size: int
    rows: Rows
    kept: Rows
    slates: dict[_Key, Slates]
    predicted: dict[_Key, dict[str, Floats]]
    rules: tuple[SlateRule, ...]
    no_order: DataError | None


def _decide_block(block: TestSlice, rows: Rows, entrants: Entrants) -> _Part:
    made = {_POLICY: _enter(block, entrants.under_test)}
    ours, no_order = made[_POLICY], None
    slates = {
        _Key("others", name): block.slates_under(one, ours, name) for name, one in entrants.others.items()
    }
    made |= {_Key("anchors", name): _enter(block, one) for name, one in entrants.anchors.items()}
    if isinstance(entrants.baseline, Entrant):
        made[_BASELINE] = _enter(block, entrants.baseline)
    else:
        try:
            slates[_BASELINE] = entrants.baseline(block, ours)
        except DataError as error:
            if block.log.positions_logged:
                raise
            no_order = error  # nothing of this block was shown, which says nothing of the others
            slates[_BASELINE] = Slates("", np.zeros(len(block.candidates), dtype=np.int64), follows_log=True)
    slates |= {key: scored.slates for key, scored in made.items()}
    kept = np.zeros(len(block.candidates), dtype=bool)
    kept[rows] = True
    for one in slates.values():
        kept |= one.slot > 0
    places = np.flatnonzero(kept)
    return _Part(
        size=len(kept),
        rows=rows,
        kept=places,
        slates={key: _narrow(one, rows, places, judged=key.judged) for key, one in slates.items()},
        predicted={key: _predicted(block, made[key], rows) for key in (_POLICY, _BASELINE) if key in made},
        rules=count_slate_rules(ours.frame),
        no_order=no_order,
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


def _join_parts(workspace: Workspace, log: CandidateLog, parts: Sequence[_Part]) -> DecidedSlice:
    """Join every entrant's columns, one entrant after the other; the parts are used up."""
    errors = [part.no_order for part in parts]
    if errors[-1] is not None and all(errors):
        raise errors[-1]
    starts = np.cumsum([0, *(part.size for part in parts)])[:-1]
    rows = np.concatenate([part.rows + start for part, start in zip(parts, starts, strict=True)])
    kept = np.concatenate([part.kept + start for part, start in zip(parts, starts, strict=True)])
    predicted: dict[_Key, Mapping[str, Floats]] = {
        key: SparseColumns(len(log.shown), rows, _join_columns([part.predicted.pop(key) for part in parts]))
        for key in [*parts[0].predicted]
    }
    slates = {
        key: _join_slates(key, [part.slates.pop(key) for part in parts], rows, kept)
        for key in [*parts[0].slates]
    }
    return DecidedSlice(
        contracts=workspace.contracts,
        complete=log.complete,
        log=log,
        policy=Decided(slates[_POLICY], predicted[_POLICY]),
        baseline=Decided(slates[_BASELINE], predicted.get(_BASELINE, {})),
        anchors={key.name: one for key, one in slates.items() if key.role == "anchors"},
        others={key.name: one for key, one in slates.items() if key.role == "others"},
        rules=add_slate_rules([part.rules for part in parts]),
    )


def _join_slates(key: _Key, parts: Sequence[Slates], rows: Rows, kept: Rows) -> Slates:
    size, named = sum(len(part.slot) for part in parts), max(parts, key=lambda part: len(part.name))
    predictions = _join_columns([part.predictions for part in parts])
    return replace(
        named,
        slot=np.concatenate([part.slot for part in parts]),
        predictions=predictions if key.judged else SparseColumns(size, kept, predictions, 0.0),
        where_shown=SparseColumns(size, rows, _join_columns([part.where_shown for part in parts])),
        utility=_join_optional([part.utility for part in parts]),
        contributions=_join_columns([part.contributions for part in parts]),
        worth=SparseColumns(size, kept, _join_columns([part.worth for part in parts]), 0.0),
        rank=_join_optional([part.rank for part in parts]),
    )


def _join_columns(parts: Sequence[Mapping[str, Floats]]) -> dict[str, Floats]:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[-1]}


def _join_optional(parts: Sequence[npt.NDArray[Any] | None]) -> Any:
    there = [part for part in parts if part is not None]
    return np.concatenate(there) if len(there) == len(parts) else None
