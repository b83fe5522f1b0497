"""The slate policy's columns, read once, and cut into blocks for the kernel."""

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from ..contracts.slate import SlateSpec
from .block import Block, Cap, Draws, Fading, Minimum, Penalty, Values
from .candidates import Floats, Integers, Mask
from .conditions import encode_groups, read_flag
from .exploration import EXPLORATION, Pool

LENGTH = "length"
REQUIRED_FIRST = "required_first"
DIVERSITY = "diversity"
DECAY = "decay"


def max_per_rule(column: str) -> str:
    """Return the name of the rule that caps a column's values.

    Examples
    --------
    >>> max_per_rule("creator")
    'max_per:creator'
    """
    return f"max_per:{column}"


def max_where_rule(column: str) -> str:
    """Return the name of the rule that caps the candidates whose column is true.

    Examples
    --------
    >>> max_where_rule("sponsored")
    'max_where:sponsored'
    """
    return f"max_where:{column}"


def min_where_rule(column: str) -> str:
    """Return the name of the rule that requires candidates whose column is true.

    Examples
    --------
    >>> min_where_rule("new")
    'min_where_if_available:new'
    """
    return f"min_where_if_available:{column}"


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
    pool: Pool | None

    @classmethod
    def of(cls, candidates: pd.DataFrame, policy: SlateSpec) -> "SlateColumns":
        """Read a slate policy's columns."""
        first, spread, decay = policy.required_first, policy.diversity, policy.decay
        grouped = sorted({*policy.max_per, *(rule.by for rule in (spread, decay) if rule is not None)})
        values = {name: encode_groups(candidates, name, _rule_reading(name, policy)) for name in grouped}
        caps = {max_per_rule(name): (values[name], limit) for name, limit in sorted(policy.max_per.items())}
        for name, limit in sorted(policy.max_where.items()):
            true, known = read_flag(candidates, name, f"slate rule '{max_where_rule(name)}'")
            caps[max_where_rule(name)] = (np.where(true | ~known, 0, -1).astype(np.int32), limit)
        return cls(
            rows=len(candidates),
            length=policy.length,
            caps=caps,
            minimums={
                min_where_rule(name): (
                    read_flag(candidates, name, f"slate rule '{min_where_rule(name)}'")[0],
                    least,
                )
                for name, least in sorted(policy.min_where_if_available.items())
            },
            required=read_flag(candidates, first, f"slate rule '{REQUIRED_FIRST}'")[0]
            if first is not None
            else None,
            penalty=(values[spread.by], spread.strength) if spread is not None else None,
            fading=(values[decay.by], decay.factor, decay.floor) if decay is not None else None,
            pool=None if policy.exploration is None else Pool.of(candidates, policy.exploration),
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
            else Draws(
                self.pool.rows[rows] & valid, self.pool.numbers[rows], self.pool.slots, self.pool.among
            ),
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
            yield EXPLORATION, self.pool.rows, self.pool.slots
        yield LENGTH, np.ones(self.rows, dtype=np.bool_), self.length


def _rule_reading(name: str, policy: SlateSpec) -> str:
    if name in policy.max_per:
        return f"slate rule '{max_per_rule(name)}'"
    return f"slate rule '{DIVERSITY if policy.diversity and policy.diversity.by == name else DECAY}'"
