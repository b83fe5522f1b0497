"""``slate.yaml``: how the ordered candidates become a slate."""

from typing import Annotated

from pydantic import Field

from tasks.contracts.base import Closed, Identifier, Number, Slug, Version

_Count = Annotated[int, Field(ge=1, le=1000)]


class Diversity(Closed):
    """Utility units subtracted for each slot that the same value already holds."""

    by: Identifier
    strength: Annotated[Number, Field(gt=0)]


class SlateSpec(Closed):
    """Slots, caps and minimums; they override utility order.

    ``max_per`` caps a column's value; ``max_where`` and ``min_where_if_available`` count candidates
    whose boolean column is true; ``required_first`` names the boolean column of those that come first.
    """

    policy: Slug
    version: Version
    length: _Count
    max_per: dict[Identifier, _Count] = {}
    max_where: dict[Identifier, Annotated[int, Field(ge=0, le=1000)]] = {}
    min_where_if_available: dict[Identifier, _Count] = {}
    required_first: Identifier | None = None
    diversity: Diversity | None = None
