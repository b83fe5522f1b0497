"""The decided blocks of a slice joined: the log, and every entrant's slates over all of its rows."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from tasks.contracts import Contracts
from tasks.errors import DataError
from tasks.evaluation.replay_evidence import ConstraintLeak, SlateRule
from tasks.release.slate_rules import add_slate_rules
from tasks.replay.decided_block import BASELINE, POLICY, DecidedBlock, EntrantKey, Rows
from tasks.replay.growing import GrowingColumn, GrowingColumns
from tasks.replay.leaks import add_leaks
from tasks.replay.log import CandidateLog, Floats, Slates
from tasks.replay.log_block import LogReading
from tasks.replay.read_log import LogBuilder
from tasks.replay.sparse import SparseColumns


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
    leaks : by the name of a release, what its slates hold that a hard constraint keeps out.
    """

    contracts: Contracts
    complete: bool
    log: CandidateLog
    policy: Decided
    baseline: Decided
    anchors: Mapping[str, Slates]
    others: Mapping[str, Slates]
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
            key: columns.build(rows, self._kept.array, judged=key.judged)
            for key, columns in self._slates.items()
        }
        predicted = {
            key: SparseColumns(self._log.size, rows, columns.arrays)
            for key, columns in self._predicted.items()
        }
        return DecidedSlice(
            contracts=contracts,
            complete=log.complete,
            log=log,
            policy=Decided(slates[POLICY], predicted[POLICY]),
            baseline=Decided(slates[BASELINE], predicted.get(BASELINE, {})),
            anchors={key.name: one for key, one in slates.items() if key.role == "anchors"},
            others={key.name: one for key, one in slates.items() if key.role == "others"},
            rules=self._rules,
            leaks=self._leaks,
        )


class GrowingSlates:
    """One entrant's slates, growing by blocks."""

    def __init__(self, first: Slates) -> None:
        """Hold no row yet; ``first`` is the first block, which names the entrant."""
        self._named = first
        self._columns, self._predictions, self._where_shown = (GrowingColumns() for _ in range(3))
        self._contributions, self._worth = GrowingColumns(), GrowingColumns()

    def add(self, slates: Slates) -> None:
        """Put a block's rows behind the others."""
        if len(slates.name) > len(self._named.name):  # where there is no order, it has no name either
            self._named = slates
        self._columns.append({"slot": slates.slot, "utility": slates.utility, "rank": slates.rank})
        self._predictions.append(slates.predictions)
        self._where_shown.append(slates.where_shown)
        self._contributions.append(slates.contributions)
        self._worth.append(slates.worth)

    def build(self, rows: Rows, kept: Rows, *, judged: bool) -> Slates:
        """Return the slates of all rows [n].

        Parameters
        ----------
        rows : those of which predictions where the item stood were added.
        kept : those of which the worth was added, and the predictions too unless it is judged.
        """
        slot, predictions = self._columns.arrays["slot"], self._predictions.arrays
        size = len(slot)
        return replace(
            self._named,
            slot=slot,
            predictions=predictions if judged else SparseColumns(size, kept, predictions, 0.0),
            where_shown=SparseColumns(size, rows, self._where_shown.arrays),
            utility=self._columns.whole("utility", size),
            contributions=self._contributions.arrays,
            worth=SparseColumns(size, kept, self._worth.arrays, 0.0),
            rank=self._columns.whole("rank", size),
        )
