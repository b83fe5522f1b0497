"""``slate.yaml``: how the ordered candidates become a slate."""

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import Field, PrivateAttr, model_validator

from ..columns import USER_ID, UTILITY
from .base import Closed, Identifier, Number, Scalar, Scalars, Slug, Text, Version

_Count = Annotated[int, Field(ge=1, le=1000)]
Boosts = Mapping[str, Mapping[str, float]]
"""By column and value what is added to the utility of the value's candidates."""
_Limits = dict[Identifier, Annotated[int, Field(ge=0, le=1000)]]


class Condition(Closed):
    """A test on one column, against values or against another column of the same candidate; exactly one.

    ``above_column`` and ``below_column`` compare two numbers or two times, as the end of a validity with
    ``shown_at``, the time of the request. ``contains`` tests a column of lists, ``contained_in_column`` names
    one.
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
        """The values of which the column's has to be one; empty for every other test."""
        return (self.one_of or ()) if self.equals is None else (self.equals,)

    @property
    def other_column(self) -> str | None:
        """The column that it is compared with."""
        return self.equals_column or self.above_column or self.below_column or self.contained_in_column

    @property
    def set_column(self) -> str | None:
        """The column that holds a list of values in each row."""
        return self.contained_in_column if self.contains is None else self.column

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it reads."""
        return (self.column,) if self.other_column is None else (self.column, self.other_column)


class Diversity(Closed):
    """Utility units subtracted for each slot that the same value already holds."""

    by: Identifier
    strength: Annotated[Number, Field(gt=0)]


class Decay(Closed):
    """Lets the k-th item of a value, from 0, count (1 - floor) x factor^k + floor of its utility.

    Only under a utility policy with an offset: a negative utility would rise.
    """

    by: Identifier
    factor: Annotated[Number, Field(gt=0, lt=1)]
    floor: Annotated[Number, Field(ge=0, lt=1)] = 0.0


class Exposure(Closed):
    """Defines what exposure each value of a column merits: ``utility``, or a task's probability.

    ``least`` is, by value, the least ratio of exposure to merit that serving aims at: to the utility of the
    value's candidates a boost is added, which monitoring raises and lowers between 0 and ``most``.
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
        """By value what is added to the utility of its candidates, from 0 to ``most``."""
        return {value: min(self._boosts.get(value, 0.0), self.most or 0.0) for value in self.least}


class Exploration(Closed):
    """Fills the last ``slots`` slots with candidates drawn at random from those that constraints allow.

    ``where`` names a condition on those candidates, ``among`` draws only from so many of the best of them by
    utility. The draw follows from a hash of salt, request, user and item, each candidate as likely as the
    others. A slot for which there is no such candidate is filled by utility.
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
    """What a context changes of the slate: each field that is given takes the place of the slate's own."""

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
        """Every column of the candidates that it reads, by name."""
        rules = (self.max_per, self.max_where, self.min_where_if_available)
        return tuple(sorted({name for rule in rules if rule for name in rule}))


class SlateSpec(Closed):
    """Slots, caps and minimums; they override utility order.

    ``max_per`` caps a column's value; ``max_where`` and ``min_where_if_available`` count candidates
    whose boolean column is true; ``required_first`` names the boolean column of those that come first.
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
        """Every column of the candidates that the policy reads, by name."""
        read = {*self.max_per, *self.max_where, *self.min_where_if_available}
        read |= {self.required_first} if self.required_first else set()
        read |= {rule.by for rule in (self.diversity, self.decay) if rule}
        read |= {self.exposure.by} if self.exposure and self.exposure.least else set()
        read |= {USER_ID} if self.exploration else set()
        read |= {*self.exploration.where.columns} if self.exploration and self.exploration.where else set()
        return tuple(sorted(read))

    def boosted(self, boosts: Boosts) -> "SlateSpec":
        """Return the policy with boosts in force; those of other columns and values are left out.

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
        changed._boosts = {**boosts.get(changed.by, {})}  # noqa: SLF001 - of its own class, and no field
        return self.model_copy(update={"exposure": changed})

    def overridden(self, change: SlateOverride) -> "SlateSpec":
        """Return the policy with the fields of a context in place of its own.

        Examples
        --------
        >>> SlateSpec(policy="feed", version=1, length=20).overridden(SlateOverride(length=8)).length
        8
        """
        return self.model_copy(update=change.model_dump(exclude_none=True))
