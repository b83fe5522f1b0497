"""Independent random streams, one for each thing that is drawn.

A stream's key says what is drawn and on which day, never how many days there are: the first twenty
days of a world are the same whether twenty or two hundred are generated.
"""

from enum import IntEnum

import numpy as np


class Stream(IntEnum):
    """What a stream draws; the number is part of its key and never changes."""

    USERS = 1
    SHELVES = 2
    ITEMS = 3
    OUT_OF_STOCK = 4
    INELIGIBLE = 5
    REQUESTS = 6
    FEED = 7
    BEHAVIOUR = 8
    CONTROLS = 9


def generator(seed: int, stream: Stream, *key: int) -> np.random.Generator:
    """Return the generator of one stream, independent of all others.

    Examples
    --------
    >>> a, b = generator(7, Stream.FEED, 3, 0), generator(7, Stream.FEED, 3, 0)
    >>> bool(a.random() == b.random())
    True
    >>> bool(a.random() == generator(7, Stream.FEED, 3, 1).random())
    False
    """
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(int(stream), *key)))
