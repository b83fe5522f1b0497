"""``slate.yaml``: how the ordered candidates become a slate."""

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import Field, PrivateAttr, model_validator

from ..columns import USER_ID, UTILITY
from .base import Closed, Identifier, Number, Scalar, Scalars, Slug, Text, Version

_Count = Annotated[int, Field(ge=1, le=1000)]
Boosts = Mapping[str, Mapping[str, float]]
"""Utility added to candidates, by column and value."""
_Limits = dict[Identifier, Annotated[int, Field(ge=0, le=1000)]]


class Condition(Closed):
    """A test of one column with values or with another column of the same candidate; exactly one.

    ``above_column`` and ``below_column`` compare two numbers or two times, for example the end of an offer
    with ``shown_at``, the time of the request. ``contains`` tests a column of lists; ``contained_in_column``
    tests membership in such a column.
    """

    column: Identifier
    equals: Scalar | None = None
    one_of: Scalars | None = None
    above: Number | None = None
    below: Number | None = None
    contains: Scalar | None = None
    equals_column: Identifier | None = None
    above_column: Identifier | None = None
    below_column: Identifier | None = None
    contained_in_column: Identifier | None = None

    @model_validator(mode="after")
    def _has_one_test(self) -> Self:
        tests = [name for name in type(self).model_fields if name != "column"]
        if sum(getattr(self, name) is not None for name in tests) != 1:
            raise ValueError(f"takes exactly one of {', '.join(tests)}")
        if self.column == self.other_column:
            raise ValueError(f"compares {self.column} with itself")
        return self

    @property
    def operands(self) -> tuple[Scalar, ...]:
        """Values of which the column must equal one; empty for every other test."""
        return (self.one_of or ()) if self.equals is None else (self.equals,)

    @property
    def other_column(self) -> str | None:
        """The column to compare with."""
        return self.equals_column or self.above_column or self.below_column or self.contained_in_column

    @property
    def set_column(self) -> str | None:
        """The column that holds a list of values in each row."""
        return self.contained_in_column if self.contains is None else self.column

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the test reads."""
        return (self.column,) if self.other_column is None else (self.column, self.other_column)


class Diversity(Closed):
    """Utility subtracted for each slot that already contains the same value."""

    by: Identifier
    strength: Annotated[Number, Field(gt=0)]


class Decay(Closed):
    """Multiplies the utility of the k-th item of a value, from 0, by (1 - floor) x factor^k + floor.

    Requires a utility policy with an offset, because the product would raise a negative utility.
    """

    by: Identifier
    factor: Annotated[Number, Field(gt=0, lt=1)]
    floor: Annotated[Number, Field(ge=0, lt=1)] = 0.0


class Exposure(Closed):
    """Defines the merit that exposure is compared with: ``utility``, or a task's probability.

    ``least`` is the minimum ratio of exposure to merit by value. Monitoring adds a boost between 0 and
    ``most`` to the utility of a value's candidates and adjusts it towards this ratio.
    """

    by: Identifier
    merit: Identifier = UTILITY
    least: dict[Text, Annotated[Number, Field(gt=0)]] = {}
    most: Annotated[Number, Field(gt=0)] | None = None
    _boosts: Mapping[str, float] = PrivateAttr(default={})

    @model_validator(mode="after")
    def _bounds_the_boost(self) -> Self:
        if bool(self.least) != (self.most is not None):
            raise ValueError("takes least and most together: ratios to aim at, and the largest boost")
        return self

    @property
    def boosts(self) -> Mapping[str, float]:
        """Utility added to each value's candidates, from 0 to ``most``."""
        return {value: min(self._boosts.get(value, 0.0), self.most or 0.0) for value in self.least}


class Exploration(Closed):
    """Fills the last ``slots`` slots with candidates drawn at random among those that the rules allow.

    ``where`` is a condition on these candidates. ``among`` limits the draw to the candidates with the highest
    utility. The draw is uniform and follows from a hash of salt, request, user and item. Slots without an
    eligible candidate are filled by utility.
    """

    slots: _Count
    among: _Count | None = None
    where: Condition | None = None
    salt: Annotated[str, Field(min_length=1, max_length=100)] = "exploration"

    @model_validator(mode="after")
    def _draws_from_more_than_it_fills(self) -> Self:
        if self.among is not None and self.among <= self.slots:
            raise ValueError(f"draws {self.slots} slots among {self.among}; let among be above slots")
        return self


class SlateOverride(Closed):
    """Changes of the slate in a context; each given field replaces the slate's own."""

    length: _Count | None = None
    max_per: dict[Identifier, _Count] | None = None
    max_where: _Limits | None = None
    min_where_if_available: dict[Identifier, _Count] | None = None

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("changes nothing; give length, max_per, max_where or min_where_if_available")
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the candidates that the override reads, by name."""
        rules = (self.max_per, self.max_where, self.min_where_if_available)
        return tuple(sorted({name for rule in rules if rule for name in rule}))


class SlateSpec(Closed):
    """Slots, caps and minimums, which take precedence over utility.

    ``max_per`` caps a column's value. ``max_where`` and ``min_where_if_available`` count candidates whose
    boolean column is true. ``required_first`` names a boolean column; its candidates come first.
    """

    policy: Slug
    version: Version
    length: _Count
    max_per: dict[Identifier, _Count] = {}
    max_where: _Limits = {}
    min_where_if_available: dict[Identifier, _Count] = {}
    required_first: Identifier | None = None
    diversity: Diversity | None = None
    decay: Decay | None = None
    exposure: Exposure | None = None
    exploration: Exploration | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the candidates that the policy reads, by name."""
        read = {*self.max_per, *self.max_where, *self.min_where_if_available}
        read |= {self.required_first} if self.required_first else set()
        read |= {rule.by for rule in (self.diversity, self.decay) if rule}
        read |= {self.exposure.by} if self.exposure and self.exposure.least else set()
        read |= {USER_ID} if self.exploration else set()
        read |= {*self.exploration.where.columns} if self.exploration and self.exploration.where else set()
        return tuple(sorted(read))

    def boosted(self, boosts: Boosts) -> "SlateSpec":
        """Return the policy with these boosts; boosts of other columns and values are ignored.

        Examples
        --------
        >>> exposure = Exposure(by="tier", least={"new": 0.8}, most=0.5)
        >>> slate = SlateSpec(policy="feed", version=1, length=20, exposure=exposure)
        >>> slate.boosted({"tier": {"new": 0.7, "old": 0.1}}).exposure.boosts
        {'new': 0.5}
        """
        if self.exposure is None:
            return self
        changed = self.exposure.model_copy()
        changed._boosts = {**boosts.get(changed.by, {})}  # noqa: SLF001 - private attribute of the same class
        return self.model_copy(update={"exposure": changed})

    def overridden(self, change: SlateOverride) -> "SlateSpec":
        """Return the policy with the fields of a context's override.

        Examples
        --------
        >>> SlateSpec(policy="feed", version=1, length=20).overridden(SlateOverride(length=8)).length
        8
        """
        return self.model_copy(update=change.model_dump(exclude_none=True))
