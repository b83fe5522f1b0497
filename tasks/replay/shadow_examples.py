"""Requests of the newest traffic on which challenger and champion differ most, with the reason.

::

    slot   champion   challenger
    1      tea        soup         soup was at 3; purchase_7d adds 0.12 more to it
    2      bread      bread
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

import numpy as np
import pandas as pd

from tasks import columns as c
from tasks.arrays import Integers
from tasks.ranking.explain import CONTRIBUTION, TASK
from tasks.replay.evidence import ExampleSlot, MovedItem, ShadowExample
from tasks.replay.moves import side_by_side

MOST_EXAMPLES: Final = 10
Explain = Callable[[str], pd.DataFrame]
"""Returns the utility terms of a request's candidates, one row per candidate and term."""


def shadow_examples(
    challenger: pd.DataFrame, champion: pd.DataFrame, explained: tuple[Explain, Explain]
) -> Iterator[ShadowExample]:
    """Yield the requests with the most slots whose item is not on the champion's slate.

    Ties are broken by the number of slots with another item, then by request_id.

    Parameters
    ----------
    challenger, champion : n scored candidates each, with the same keys in the same order.
    explained : the explain functions of both releases.
    """
    of_challenger, of_champion = (_slots(frame) for frame in (challenger, champion))
    requests, names = pd.factorize(challenger[c.REQUEST_ID].astype(str))
    items = challenger[c.ITEM_ID].astype(str).tolist()
    count = len(names)
    replaced = np.bincount(requests, (of_challenger > 0) & (of_champion == 0), count)
    moved = np.bincount(requests, (of_challenger != of_champion) & (of_challenger > 0), count)
    order = np.lexsort((np.asarray(names, dtype=str), -moved, -replaced))
    for code in [one for one in order[:MOST_EXAMPLES] if moved[one] > 0]:
        rows = np.flatnonzero(requests == code)
        slots = tuple(side_by_side(rows, of_champion, of_challenger, items))
        request = str(names[code])
        yield ShadowExample(
            request=request,
            replaced=int(replaced[code]),
            slots=slots,
            moved=_why(slots, *(explain(request) for explain in explained)),
        )


def _slots(scored: pd.DataFrame) -> Integers:
    """Return the slot of every row, 0 off the slate."""
    return scored[c.SLATE_POSITION].fillna(0).to_numpy(dtype=np.int64)


def _why(
    slots: Sequence[ExampleSlot], of_challenger: pd.DataFrame, of_champion: pd.DataFrame
) -> MovedItem | None:
    """Return the term that moved the first new or risen item; None if no item rose or no term changed."""
    risen = next((slot for slot in slots if slot.moved in {"new", "up"}), None)
    if risen is None or risen.after is None:
        return None
    after, before = (_contributions(frame, risen.after) for frame in (of_challenger, of_champion))
    change = after.sub(before, fill_value=0.0).dropna()
    if change.empty or not change.abs().max() > 0:
        return None
    task = str(change.abs().idxmax())
    return MovedItem(
        item=risen.after,
        place=risen.place,
        place_before=risen.place_before,
        task=task,
        before=float(before.get(task, 0.0)),
        after=float(after.get(task, 0.0)),
    )


def _contributions(explained: pd.DataFrame, item: str) -> "pd.Series[float]":
    mine = explained[explained[c.ITEM_ID].astype(str) == item]
    return mine.set_index(TASK)[CONTRIBUTION].astype(float)
