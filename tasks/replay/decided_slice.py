"""A test slice decided block by block, in narrow columns: what a replay needs of it.

::

    day -> Arrow -> blocks of whole requests -> scored and decided by every policy -> DecidedBlock
    DecidedBlock, DecidedBlock ... -> SliceBuilder -> DecidedSlice

    of every row             codes of request, user, item and day; segments; slots and ranks; predictions and
                             parts of the utility of the policy under test
    of rows in some slot     predictions of other releases, worth of an outcome
    of rows that were shown  labels, outcomes, predictions where the item stood

Features, texts and scored frames lie in memory for one block alone. Blocks follow in the order in which the
slice is read whole, so the log, the slates and every figure are the same to the bit.
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
from tasks.release.slate_rules import add_slate_rules, count_slate_rules
from tasks.replay.evidence import ConstraintLeak
from tasks.replay.joined_columns import GrowingColumn, GrowingColumns, narrow, sparse_columns
from tasks.replay.leaks import add_leaks
from tasks.replay.log import CandidateLog, PolicySlates
from tasks.replay.logged_candidates import Days, candidate_blocks
from tasks.replay.read_log import LogBlock, LogBuilder, LogReading, read_block
from tasks.replay.slates import Scored, TestSlice, log_reading, release_examination
from tasks.stores.manifest import Manifest
from tasks.stores.workspace import Workspace


@dataclass(frozen=True)
class Entrant:
    """A release that decides on every block; ``served_as`` is the version by which the log knows it."""

    release: LoadedRelease
    name: str
    served_as: int | None = None


Order = Callable[[TestSlice, Scored], PolicySlates]
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
    def evaluated(self) -> bool:
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
    slates : predictions of the release under test [n], which those of ``others`` are, of the rest [k] as is
        worth; where shown [m].
    predicted : by column [m].
    no_order : why the block has no baseline order, which another block may have.
    leaks : by the name of a release, what its slates hold that a hard constraint keeps out.
    """

    log: LogBlock
    kept: Indices
    slates: Mapping[EntrantKey, PolicySlates]
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
            no_order = str(error)  # nothing of this block was shown, which says nothing of the others
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
    """Keep of an entrant's columns the rows that a replay asks for."""
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
class Decided:
    """An entrant's slates, and by column [n] what it predicts where the items stood."""

    slates: PolicySlates
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
    leaks : by the name of a release, what its slates hold that a hard constraint keeps out.
    """

    contracts: Contracts
    complete: bool
    log: CandidateLog
    policy: Decided
    baseline: Decided
    anchors: Mapping[str, PolicySlates]
    others: Mapping[str, PolicySlates]
    rules: tuple[SlateRule, ...]
    leaks: Mapping[str, tuple[ConstraintLeak, ...]]


class SliceBuilder:
    """A slice to which decided blocks are added in the order of its rows; a block can be dropped then."""

    def __init__(self) -> None:
        """Hold no block yet."""
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
        """The id of each item by the code that the log of this slice gives it."""
        return self._log.item_ids

    def build(self, contracts: Contracts, reading: LogReading) -> DecidedSlice:
        """Return the slice.

        Raises
        ------
        DataError
            No block has the order that is the baseline.
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
            policy=Decided(ours, predicted[POLICY]),
            baseline=Decided(slates[BASELINE], predicted.get(BASELINE, {})),
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
    """One entrant's slates, growing by blocks."""

    def __init__(self, first: PolicySlates) -> None:
        """Hold no row yet; ``first`` is the first block, which names the entrant."""
        self._named = first
        self._columns, self._predictions, self._where_shown = (GrowingColumns() for _ in range(3))
        self._contributions, self._worth = GrowingColumns(), GrowingColumns()

    def add(self, slates: PolicySlates) -> None:
        """Put a block's rows behind the others."""
        if len(slates.name) > len(self._named.name):  # where there is no order, it has no name either
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
        rows : those of which predictions where the item stood were added.
        kept : those of which the worth was added, and the predictions too unless it is judged.
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
"""Candidates that are scored and decided at once: more take more memory and hardly less time."""


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
    builder = SliceBuilder()
    for _, decided in decided_blocks(workspace, manifest, entrants, rows=rows):
        builder.add(decided)
    return build_slice(builder, workspace, manifest)


def decided_blocks(
    workspace: Workspace, manifest: Manifest, entrants: Entrants, *, rows: int = BLOCK_ROWS
) -> Iterator[tuple[TestSlice, DecidedBlock]]:
    """Yield each block as it was read and as it was decided; parameters as of `decide_slice`."""
    for test in slice_blocks(workspace, manifest, manifest.test, rows=rows):
        yield test, decide_block(test, entrants)


def slice_blocks(
    workspace: Workspace, manifest: Manifest, days: Days, *, rows: int = BLOCK_ROWS
) -> Iterator[TestSlice]:
    """Yield the candidates of some days in blocks of whole requests, as they are read for a release.

    Parameters
    ----------
    days : the first and the last day, both included.
    rows : as of `decide_slice`.
    """
    curve = release_examination(workspace, manifest)
    complete = workspace.contracts.surface.logs_all_candidates
    blocks = candidate_blocks(workspace, snapshot=manifest.snapshot.id, days=days, most_rows=rows)
    yield from (TestSlice(workspace, block.frame, complete, curve) for block in blocks)


def build_slice(builder: SliceBuilder, workspace: Workspace, manifest: Manifest) -> DecidedSlice:
    """Return the slice of all blocks that were added.

    Raises
    ------
    DataError
        There is none, or no block has the order that is the baseline.
    """
    if builder.empty:
        first, last = manifest.test
        raise DataError(f"No candidate from {first} to {last}: there is nothing to replay the decision on")
    reading = log_reading(workspace.contracts, release_examination(workspace, manifest))
    return builder.build(workspace.contracts, reading)
