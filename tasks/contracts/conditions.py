"""A test on one column, as contracts declare it."""

from typing import Self

from pydantic import model_validator

from tasks.contracts.base import Closed, Identifier, Number, Scalar, Scalars


class Condition(Closed):
    """A test on one column; exactly one of equals, one_of, above, below."""

    column: Identifier
    equals: Scalar | None = None
    one_of: Scalars | None = None
    above: Number | None = None
    below: Number | None = None

    @model_validator(mode="after")
    def _has_one_test(self) -> Self:
        if sum(x is not None for x in (self.equals, self.one_of, self.above, self.below)) != 1:
            raise ValueError("takes exactly one of equals, one_of, above, below")
        return self
