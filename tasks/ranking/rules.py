"""The rules of a slate: the policy's columns, read once, and cut into blocks for the kernel.

A block holds requests as rectangular arrays: candidates and rules as the slate kernel reads them.
"""

from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..columns import ITEM_ID, REQUEST_ID, USER_ID
from ..contracts.slate import Exploration, SlateSpec
from .candidates import Floats, Integers, Mask, hash_ids, mix, read_column
from .conditions import encode_groups, evaluate_condition, read_flag

Rectangle = npt.NDArray[np.bool_]
Counts = npt.NDArray[np.int16]
Values = npt.NDArray[np.int32]
Column = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Cap:
    """At most ``limit`` slots for one value; -1 where a candidate is not counted."""

    values: Values
    limit: int


@dataclass(frozen=True)
class Minimum:
    """At least ``least`` slots for the marked candidates, if enough are available."""

    marked: Rectangle
    least: int


@dataclass(frozen=True)
class Penalty:
    """Utility units subtracted for each slot that already has the same value."""

    values: Values
    strength: float


@dataclass(frozen=True)
class Fading:
    """Share (1 - floor) x factor^k + floor of the utility of a value's k-th item, counted from 0."""

    values: Values
    factor: float
    floor: float

    def shares(self, repeats: Counts) -> npt.NDArray[np.float64]:
        """Return the shares for the given numbers of slots that already have the value.

        Examples
        --------
        >>> Fading(np.array([[7, 7]], dtype=np.int32), 0.5, 0.25).shares(np.array([[0, 1]], dtype=np.int16))
        array([[1.   , 0.625]])
        """
        return np.asarray((1.0 - self.floor) * self.factor ** repeats.astype(np.float64) + self.floor)


@dataclass(frozen=True)
class Draws:
    """The last ``slots`` slots are drawn from the ``marked`` candidates, by their random ``numbers``.

    Both have shape [rows], in a block [requests, most candidates].

    ``among`` : draw only from this many of the best ranked of them; None for all.
    """

    marked: Rectangle
    numbers: npt.NDArray[np.uint64]
    slots: int
    among: int | None = None


@dataclass(frozen=True)
class Block:
    """Requests of similar size, each array of shape [requests, most candidates], best rank first.

    ``valid`` marks cells with a candidate; ``tier`` is None if no tier is declared.
    """

    valid: Rectangle
    utility: npt.NDArray[np.float64]
    tier: npt.NDArray[np.int32] | None = None
    caps: tuple[Cap, ...] = ()
    minimums: tuple[Minimum, ...] = ()
    required: Rectangle | None = None
    penalty: Penalty | None = None
    fading: Fading | None = None
    draws: Draws | None = None

    @property
    def has_rules(self) -> bool:
        """Whether anything but the rank decides on the slots."""
        return bool(self.caps) or self._has_more_than_caps

    @property
    def only_cap(self) -> Cap | None:
        """The only rule, if it is a cap."""
        return self.caps[0] if len(self.caps) == 1 and not self._has_more_than_caps else None

    @property
    def swaps(self) -> bool:
        """Whether candidates may be swapped to meet a rule: there are caps, and no tiers."""
        return bool(self.caps) and self.tier is None

    def count_undrawn(self, length: int) -> int:
        """Count the slots that are not drawn."""
        return length if self.draws is None else max(length - self.draws.slots, 0)

    @property
    def _has_more_than_caps(self) -> bool:
        single = (self.required, self.penalty, self.fading, self.draws)
        return bool(self.minimums) or any(rule is not None for rule in single)


def take_requests(block: Block, rows: Column) -> Block:
    """Return some requests of a block.

    Examples
    --------
    >>> block = Block(valid=np.ones((2, 1), dtype=bool), utility=np.array([[1.0], [2.0]]))
    >>> take_requests(block, np.array([1])).utility
    array([[2.]])
    """
    return _pick(block, lambda cells: cells[rows])


def arrange(block: Block, order: Column) -> Block:
    """Return the same requests with reordered candidates; ``order`` has shape [requests, candidates].

    Examples
    --------
    >>> block = Block(valid=np.ones((1, 2), dtype=bool), utility=np.array([[1.0, 2.0]]))
    >>> arrange(block, np.array([[1, 0]])).utility
    array([[2., 1.]])
    """
    return _pick(block, lambda cells: np.take_along_axis(cells, order, axis=1))


def _pick(block: Block, pick: Callable[[npt.NDArray[Any]], npt.NDArray[Any]]) -> Block:
    spread, fading, draws = block.penalty, block.fading, block.draws
    return Block(
        valid=pick(block.valid),
        utility=pick(block.utility),
        tier=None if block.tier is None else pick(block.tier),
        caps=tuple(Cap(pick(cap.values), cap.limit) for cap in block.caps),
        minimums=tuple(Minimum(pick(one.marked), one.least) for one in block.minimums),
        required=None if block.required is None else pick(block.required),
        penalty=None if spread is None else replace(spread, values=pick(spread.values)),
        fading=None if fading is None else replace(fading, values=pick(fading.values)),
        draws=None
        if draws is None
        else replace(draws, marked=pick(draws.marked), numbers=pick(draws.numbers)),
    )


LENGTH = "length"
REQUIRED_FIRST = "required_first"
DIVERSITY = "diversity"
DECAY = "decay"
EXPLORATION = "exploration"


def find_drawable(candidates: pd.DataFrame, rule: Exploration) -> Draws:
    """Mark the candidates that exploration may draw, each with a random number, shape [rows].

    A candidate with an unknown column is not one of them. A candidate's number depends only on salt, request,
    user, item and draw: there is no state, and it is the same in every process, batch and order of rows. Each
    draw takes the smallest number among the candidates allowed in the slot, and numbers of two draws are
    independent. So each of n such candidates is drawn with probability 1/n, independently of earlier draws.

    Examples
    --------
    >>> two = pd.DataFrame({"request_id": ["r"] * 2, "user_id": ["ana"] * 2, "item_id": ["a", "b"]})
    >>> find_drawable(two, Exploration(slots=1, salt="spring")).marked
    array([ True,  True])
    """
    asked_by = f"slate rule '{EXPLORATION}'"
    rows = np.ones(len(candidates), dtype=np.bool_)
    if rule.where is not None:
        rows = np.logical_and(*evaluate_condition(candidates, rule.where, asked_by))
    numbers = np.zeros(len(candidates), dtype=np.uint64)
    for name in (REQUEST_ID, USER_ID, ITEM_ID):
        column = read_column(candidates, name, asked_by)[rows]
        numbers[rows] = mix(numbers[rows] ^ hash_ids(column, name, rule.salt))
    return Draws(rows, numbers, rule.slots, rule.among)


@dataclass(frozen=True)
class SlateColumns:
    """Inputs of each rule of a slate policy for each candidate.

    Attributes
    ----------
    rows : number of candidates.
    length : slots of a slate.
    caps : name -> (value per row, -1 where not counted; limit).
    minimums : name -> (marked rows, least).
    required : rows that must come first, or None.
    penalty : (value per row, strength), or None.
    fading : (value per row, factor, floor), or None.
    pool : candidates that exploration may draw, or None.
    """

    rows: int
    length: int
    caps: Mapping[str, tuple[Values, int]]
    minimums: Mapping[str, tuple[Mask, int]]
    required: Mask | None
    penalty: tuple[Values, float] | None
    fading: tuple[Values, float, float] | None
    pool: Draws | None

    @classmethod
    def of(cls, candidates: pd.DataFrame, policy: SlateSpec) -> "SlateColumns":
        """Read a slate policy's columns."""
        first, spread, decay = policy.required_first, policy.diversity, policy.decay
        grouped = sorted({*policy.max_per, *(rule.by for rule in (spread, decay) if rule is not None)})
        values = {name: encode_groups(candidates, name, _rule_reading(name, policy)) for name in grouped}
        caps = {f"max_per:{name}": (values[name], limit) for name, limit in sorted(policy.max_per.items())}
        for name, limit in sorted(policy.max_where.items()):
            true, known = read_flag(candidates, name, f"slate rule 'max_where:{name}'")
            caps[f"max_where:{name}"] = (np.where(true | ~known, 0, -1).astype(np.int32), limit)
        minimums = {}
        for name, least in sorted(policy.min_where_if_available.items()):
            rule = f"min_where_if_available:{name}"
            minimums[rule] = (read_flag(candidates, name, f"slate rule '{rule}'")[0], least)
        return cls(
            rows=len(candidates),
            length=policy.length,
            caps=caps,
            minimums=minimums,
            required=read_flag(candidates, first, f"slate rule '{REQUIRED_FIRST}'")[0]
            if first is not None
            else None,
            penalty=(values[spread.by], spread.strength) if spread is not None else None,
            fading=(values[decay.by], decay.factor, decay.floor) if decay is not None else None,
            pool=None if policy.exploration is None else find_drawable(candidates, policy.exploration),
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the rules, caps and minimums first."""
        single = (self.required, self.penalty, self.fading, self.pool)
        named = zip((REQUIRED_FIRST, DIVERSITY, DECAY, EXPLORATION), single, strict=True)
        return (*self.caps, *self.minimums, *(name for name, rule in named if rule is not None))

    def only(self, names: Container[str]) -> "SlateColumns":
        """Return the inputs of some of the rules."""
        return replace(
            self,
            caps={name: cap for name, cap in self.caps.items() if name in names},
            minimums={name: minimum for name, minimum in self.minimums.items() if name in names},
            required=self.required if REQUIRED_FIRST in names else None,
            penalty=self.penalty if DIVERSITY in names else None,
            fading=self.fading if DECAY in names else None,
            pool=self.pool if EXPLORATION in names else None,
        )

    def block(self, rows: Integers, valid: Mask, utility: Floats, tier: Values | None) -> Block:
        """Return a block of the given rows, sorted best first."""
        return Block(
            valid=valid,
            utility=utility[rows],
            tier=None if tier is None else tier[rows],
            caps=tuple(Cap(values[rows], limit) for values, limit in self.caps.values()),
            minimums=tuple(Minimum(marked[rows] & valid, least) for marked, least in self.minimums.values()),
            required=None if self.required is None else self.required[rows] & valid,
            penalty=None if self.penalty is None else Penalty(self.penalty[0][rows], self.penalty[1]),
            fading=None if self.fading is None else Fading(self.fading[0][rows], *self.fading[1:]),
            draws=None
            if self.pool is None
            else replace(self.pool, marked=self.pool.marked[rows] & valid, numbers=self.pool.numbers[rows]),
        )

    def requirements(self) -> Iterator[tuple[str, Mask, int | None]]:
        """Yield the rules that may fall short, in the order in which they claim slots.

        Each has a name, the rows that meet it, and the least slots; None requires all available rows.
        """
        if self.required is not None:
            yield REQUIRED_FIRST, self.required, None
        for name, (marked, least) in self.minimums.items():
            yield name, marked, least
        if self.pool is not None:
            yield EXPLORATION, self.pool.marked, self.pool.slots
        yield LENGTH, np.ones(self.rows, dtype=np.bool_), self.length


def _rule_reading(name: str, policy: SlateSpec) -> str:
    if name in policy.max_per:
        return f"slate rule 'max_per:{name}'"
    return f"slate rule '{DIVERSITY if policy.diversity and policy.diversity.by == name else DECAY}'"
