"""A test slice decided block by block, stored in narrow columns that the replay reads.

::

    day -> Arrow -> blocks of whole requests -> scored and decided by every policy -> DecidedBlock
    DecidedBlock, DecidedBlock ... -> SliceBuilder -> DecidedSlice

    every row                codes of request, user, item and day; segments; slots and ranks; predictions and
                             utility terms of the policy under test
    rows in some slot        predictions of other releases, value of an outcome
    shown rows               labels, outcomes, predictions at the shown position

Features, texts and scored frames are in memory for one block only. Blocks follow in the order of the whole
slice, so the log, the slates and every figure are identical to the bit.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple

import numpy as np

from tasks import columns as c
from tasks.arrays import Floats, Indices
from tasks.contracts import Contracts, SlateSpec, UtilitySpec
from tasks.errors import DataError
from tasks.evaluation.evidence import SlateRule
from tasks.release.loading import LoadedRelease
from tasks.release.score import add_slate_rules, count_slate_rules
from tasks.replay.evidence import ConstraintLeak
from tasks.replay.joined_columns import GrowingColumn, GrowingColumns, narrow, sparse_columns
from tasks.replay.log import CandidateLog, PolicySlates
from tasks.replay.logged_candidates import Days, candidate_blocks
from tasks.replay.read_log import LogBlock, LogBuilder, LogReading, read_block
from tasks.replay.slate_checks import add_leaks
from tasks.replay.slates import Scored, TestSlice, log_reading, release_examination
from tasks.stores.manifest import Manifest
from tasks.stores.workspace import Workspace


@dataclass(frozen=True)
class Entrant:
    """A release that decides on every block; ``served_as`` is its version in the log."""

    release: LoadedRelease
    name: str
    served_as: int | None = None


Order = Callable[[TestSlice, Scored], PolicySlates]
"""Returns the slates of an order, under the rules of the release under test."""


@dataclass(frozen=True)
class Entrants:
    """The releases, orders and policies that decide on every block.

    Attributes
    ----------
    under_test : the release under test.
    baseline : the release or order that it is compared with.
    anchors : earlier releases by reference.
    others : further utility policies by name, on the predictions of the release under test.
    slates : the slate policies of ``others`` by name; the surface's slate policy where none is declared.
    later : keep every row's columns because more policies will be replayed.
    """

    under_test: Entrant
    baseline: Entrant | Order
    anchors: Mapping[str, Entrant] = field(default_factory=dict)
    others: Mapping[str, UtilitySpec] = field(default_factory=dict)
    slates: Mapping[str, SlateSpec] = field(default_factory=dict)
    later: bool = False


class EntrantKey(NamedTuple):
    """Key of an entrant: ``policy``, ``baseline``, or one of the ``anchors`` or ``others`` by name."""

    role: str
    name: str = ""

    @property
    def evaluated(self) -> bool:
        """Whether metrics read its utility and predictions for every candidate."""
        return self.role in {"policy", "others"}


POLICY: Final = EntrantKey("policy")
BASELINE: Final = EntrantKey("baseline")


@dataclass(frozen=True)
class DecidedBlock:
    """One block of n rows, decided.

    Attributes
    ----------
    log : the candidates; its ``rows`` [m] may have a known outcome.
    kept : [k] these rows and rows in some slot.
    slates : predictions of the release under test [n], shared by ``others``; those of other entrants and the
        values of outcomes [k]; predictions at the shown position [m].
    predicted : by column [m].
    no_order : why the block has no baseline order; another block may have one.
    leaks : by release name, items in its slates that break a hard constraint.
    """

    log: LogBlock
    kept: Indices
    slates: Mapping[EntrantKey, PolicySlates]
    predicted: Mapping[EntrantKey, Mapping[str, Floats]]
    rules: tuple[SlateRule, ...]
    no_order: str = ""
    leaks: Mapping[str, tuple[ConstraintLeak, ...]] = field(default_factory=dict)


def decide_block(block: TestSlice, entrants: Entrants) -> DecidedBlock:
    """Decide on a block for every entrant.

    Raises
    ------
    DataError
        A release cannot score the block, or the order does not exist.
    """
    log = read_block(block.candidates, block.reading)
    made = {POLICY: _enter(block, entrants.under_test)}
    ours, no_order = made[POLICY], ""
    slates = {
        EntrantKey("others", name): replace(
            block.slates_by(one, ours, name, slate=entrants.slates.get(name)), predictions={}, where_shown={}
        )
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
            no_order = str(error)  # no row of this block was shown; other blocks may still have shown rows
            slates[BASELINE] = PolicySlates(
                "", np.zeros(len(block.candidates), dtype=np.int64), follows_log=True
            )
    slates |= {key: scored.slates for key, scored in made.items()}
    kept = np.full(len(block.candidates), entrants.later)
    kept[log.rows] = True
    for one in slates.values():
        kept |= one.slot > 0
    places = np.flatnonzero(kept)
    return DecidedBlock(
        log=log,
        kept=places,
        slates={key: _narrow(one, log.rows, places, evaluated=key.evaluated) for key, one in slates.items()},
        predicted={key: _predicted(block, made[key], log.rows) for key in (POLICY, BASELINE) if key in made},
        rules=count_slate_rules(ours.frame),
        no_order=no_order,
        leaks={one.slates.name: one.leaks for one in made.values()},
    )


def _enter(block: TestSlice, entrant: Entrant) -> Scored:
    return block.slates_of(entrant.release, entrant.name, served_as=entrant.served_as)


def _predicted(block: TestSlice, scored: Scored, rows: Indices) -> dict[str, Floats]:
    names = [name for task in block.contracts.tasks.tasks for name in (c.given(task), c.probability(task))]
    where_logged = scored.where_logged
    return {name: where_logged[name][rows] for name in names if name in where_logged}


def _narrow(slates: PolicySlates, rows: Indices, kept: Indices, *, evaluated: bool) -> PolicySlates:
    """Keep only the rows of an entrant's columns that a replay reads."""
    return replace(
        slates,
        slot=slates.slot.astype(np.int32),
        predictions=slates.predictions if evaluated else _at(slates.predictions, kept),
        where_shown=_at(slates.where_shown, rows),
        utility=slates.utility if evaluated else None,
        contributions=slates.contributions if evaluated else {},
        worth=_at(slates.worth, kept),
        rank=None if slates.rank is None else slates.rank.astype(np.int32),
    )


def _at(columns: Mapping[str, Floats], rows: Indices) -> dict[str, Floats]:
    return {name: column[rows] for name, column in columns.items()}


@dataclass(frozen=True)
class DecidedSlice:
    """A test slice with every entrant's slates.

    Attributes
    ----------
    contracts, complete : as in `TestSlice`.
    log : the candidates.
    policy, baseline : slates of the release under test and of its baseline.
    predicted : predictions of these two at the shown positions, by column [n]; an order has none.
    anchors, others : slates by reference, and by policy name.
    rules : how often the slates of the release under test met each rule.
    leaks : by release name, items in its slates that break a hard constraint.
    """

    contracts: Contracts
    complete: bool
    log: CandidateLog
    policy: PolicySlates
    baseline: PolicySlates
    predicted: Mapping[EntrantKey, Mapping[str, Floats]]
    anchors: Mapping[str, PolicySlates]
    others: Mapping[str, PolicySlates]
    rules: tuple[SlateRule, ...]
    leaks: Mapping[str, tuple[ConstraintLeak, ...]]


class SliceBuilder:
    """Collects decided blocks in the order of their rows; a block can be freed once it is added."""

    def __init__(self) -> None:
        """Create a builder without blocks."""
        self._log, self._kept = LogBuilder(), GrowingColumn()
        self._slates: dict[EntrantKey, GrowingSlates] = {}
        self._predicted: dict[EntrantKey, GrowingColumns] = {}
        self._rules: tuple[SlateRule, ...] = ()
        self._leaks: dict[str, tuple[ConstraintLeak, ...]] = {}
        self._no_order: list[str] = []

    def add(self, block: DecidedBlock) -> None:
        """Add a block."""
        self._kept.append(block.kept + self._log.size)
        self._log.add(block.log)
        for key, slates in block.slates.items():
            self._slates.setdefault(key, GrowingSlates(slates)).add(slates)
        for key, columns in block.predicted.items():
            self._predicted.setdefault(key, GrowingColumns()).append(columns)
        self._rules = add_slate_rules([self._rules, block.rules])
        for name, leaks in block.leaks.items():
            self._leaks[name] = add_leaks([self._leaks.get(name, ()), leaks])
        self._no_order.append(block.no_order)

    @property
    def empty(self) -> bool:
        """Whether no block was added."""
        return not self._no_order

    @property
    def item_ids(self) -> list[Any]:
        """Item ids by the item code of this log."""
        return self._log.item_ids

    def build(self, contracts: Contracts, reading: LogReading) -> DecidedSlice:
        """Return the slice.

        Raises
        ------
        DataError
            No block has the baseline order.
        """
        if all(self._no_order):
            raise DataError(self._no_order[-1])
        log, rows = self._log.build(reading), self._log.rows
        slates = {
            key: columns.build(rows, self._kept.array, evaluated=key.evaluated)
            for key, columns in self._slates.items()
        }
        predicted = {
            key: sparse_columns(self._log.size, rows, columns) for key, columns in self._predicted.items()
        }
        ours = slates[POLICY]
        return DecidedSlice(
            contracts=contracts,
            complete=log.complete,
            log=log,
            policy=ours,
            baseline=slates[BASELINE],
            predicted=predicted,
            anchors={key.name: one for key, one in slates.items() if key.role == "anchors"},
            others={
                key.name: replace(one, predictions=ours.predictions, where_shown=ours.where_shown)
                for key, one in slates.items()
                if key.role == "others"
            },
            rules=self._rules,
            leaks=self._leaks,
        )


class GrowingSlates:
    """One entrant's slates, extended block by block."""

    def __init__(self, first: PolicySlates) -> None:
        """Create empty columns; ``first`` is the first block, which names the entrant."""
        self._named = first
        self._columns, self._predictions, self._where_shown = (GrowingColumns() for _ in range(3))
        self._contributions, self._worth = GrowingColumns(), GrowingColumns()

    def add(self, slates: PolicySlates) -> None:
        """Append a block's rows."""
        if len(slates.name) > len(self._named.name):  # a block without the order has no name either
            self._named = slates
        self._columns.append({"slot": slates.slot, "utility": slates.utility, "rank": slates.rank})
        self._predictions.append(slates.predictions)
        self._where_shown.append(slates.where_shown)
        self._contributions.append(slates.contributions)
        self._worth.append(slates.worth)

    def build(self, rows: Indices, kept: Indices, *, evaluated: bool) -> PolicySlates:
        """Return the slates of all rows [n].

        Parameters
        ----------
        rows : rows with predictions at the shown position.
        kept : rows with values of outcomes; also with predictions, unless the entrant is evaluated.
        """
        slot, predictions = self._columns["slot"], self._predictions
        size = len(slot)
        return replace(
            self._named,
            slot=slot,
            predictions=predictions if evaluated else sparse_columns(size, kept, predictions, 0.0),
            where_shown=sparse_columns(size, rows, self._where_shown),
            utility=self._columns.whole("utility", size),
            contributions=self._contributions,
            worth=sparse_columns(size, kept, {k: narrow(one) for k, one in self._worth.items()}, 0.0),
            rank=self._columns.whole("rank", size),
        )


BLOCK_ROWS: Final = 50_000
"""Candidates scored and decided at once: more take more memory and save hardly any time."""


def decide_slice(
    workspace: Workspace, manifest: Manifest, entrants: Entrants, *, rows: int = BLOCK_ROWS
) -> DecidedSlice:
    """Read the days that a release was not trained on, and decide on each block for every entrant.

    Parameters
    ----------
    rows : minimum number of candidates per block, except for the last of a day.

    Raises
    ------
    DataError
        The slice has no candidates, or the order does not exist.
    """
    builder = SliceBuilder()
    for _, decided in decided_blocks(workspace, manifest, entrants, rows=rows):
        builder.add(decided)
    return build_slice(builder, workspace, manifest)


def decided_blocks(
    workspace: Workspace, manifest: Manifest, entrants: Entrants, *, rows: int = BLOCK_ROWS
) -> Iterator[tuple[TestSlice, DecidedBlock]]:
    """Yield each block as read and as decided; parameters as in `decide_slice`."""
    for test in slice_blocks(workspace, manifest, manifest.test, rows=rows):
        yield test, decide_block(test, entrants)


def slice_blocks(
    workspace: Workspace, manifest: Manifest, days: Days, *, rows: int = BLOCK_ROWS
) -> Iterator[TestSlice]:
    """Yield the candidates of a range of days in blocks of whole requests, as read for a release.

    Parameters
    ----------
    days : the first and the last day, both included.
    rows : as in `decide_slice`.
    """
    curve = release_examination(workspace, manifest)
    complete = workspace.contracts.surface.logs_all_candidates
    blocks = candidate_blocks(workspace, snapshot=manifest.snapshot.id, days=days, most_rows=rows)
    yield from (TestSlice(workspace, block.frame, complete, curve) for block in blocks)


def build_slice(builder: SliceBuilder, workspace: Workspace, manifest: Manifest) -> DecidedSlice:
    """Return the slice of all added blocks.

    Raises
    ------
    DataError
        There are no blocks, or no block has the baseline order.
    """
    if builder.empty:
        first, last = manifest.test
        raise DataError(f"No candidate from {first} to {last}: there is nothing to replay the decision on")
    reading = log_reading(workspace.contracts, release_examination(workspace, manifest))
    return builder.build(workspace.contracts, reading)
