"""What people have asked the feed for: to be spared a creator, to get less or more of one or of a category.

::

    mute        creators                        muted_by_user  true
    less, more  creators, and one category      user_control   less | more | null
                the category that they truly care for least or most

What they asked for stands from the first day on, is logged with every candidate as it is when the feed
serves it, and is what they want: it moves what they click, hide and like (``truth.py``). The policy that
filled the log knows nothing of it. What is said of a creator counts before what is said of a category.
"""

import numpy as np

from tasks.datasets.world.catalog import draw_creators
from tasks.datasets.world.entities import Controls, Trait
from tasks.datasets.world.streams import Stream, generator
from tasks.datasets.world.vocabulary import LESS, MORE, MUTED

_MUTES, _OF_CREATORS = 6, 3
"""Creators that a person mutes, and of whom they ask for less or more."""
_SHARE = 0.5
"""Share of people who use a control, for each of the three."""


def draw_controls(seed: int, taste: Trait) -> Controls:
    """Draw what each person has asked for.

    Parameters
    ----------
    taste : [users, categories].
    """
    count = len(taste.true)
    rng = generator(seed, Stream.CONTROLS, count)
    uses = {wish: rng.random(count) < _SHARE for wish in (MUTED, LESS, MORE)}
    creators = {
        wish: np.where(uses[wish][:, None], draw_creators(rng, (count, size)), -1)
        for wish, size in ((MUTED, _MUTES), (LESS, _OF_CREATORS), (MORE, _OF_CREATORS))
    }
    least, most = taste.true.argmin(axis=1), taste.true.argmax(axis=1)
    categories = {LESS: np.where(uses[LESS], least, -1), MORE: np.where(uses[MORE], most, -1)}
    return Controls(creators, {wish: of.astype(np.int8) for wish, of in categories.items()})
