"""The words of the simulated feed: values of its categorical columns, its sizes, its curve."""

from typing import Final

CATEGORIES: Final = ("books", "electronics", "fashion", "garden", "groceries", "home", "sports", "toys")
TENURES: Final = ("new", "returning", "loyal")
REGIONS: Final = ("north", "south", "east", "west", "islands")
DEVICES: Final = ("desktop", "mobile", "tablet")
PAGES: Final = ("home", "checkout")
SOURCES: Final = ("personal", "trending", "following", "fresh", "sponsored", "explore")
PERSONAL, TRENDING, FOLLOWING, FRESH, SPONSORED, EXPLORE = range(len(SOURCES))

GROUPS: Final = 38
SHELVES_PER_GROUP: Final = 160
SHELVES: Final = GROUPS * SHELVES_PER_GROUP
SHELF_DAYS: Final = 120
"""How long an item stays on its shelf."""
CREATORS: Final = 400

CONTROLS: Final = ("more", "less")
"""What people ask of a creator or category, besides that it is muted."""
NO_CONTROL, MORE, LESS, MUTED = range(4)

EVERYWHERE: Final = -1
PERMIT_UNKNOWN: Final = -2
"""In place of the region where an item may not be shown: there is none, and nobody knows."""

CANDIDATES: Final = 40
"""Scored candidates of a request."""

SLOTS: Final = 12
"""Candidates of a request that are shown."""

EXAMINATION: Final = (1.0, 0.92, 0.84, 0.77, 0.71, 0.66, 0.61, 0.57, 0.53, 0.5, 0.47, 0.45)
"""Probability that a person looks at a position; ``surface.yaml`` declares the same curve."""

VISIBLE_RATE: Final = 0.96
"""Probability that a shown item was rendered on screen, whatever its position."""

VALUES: Final = ("dwell_seconds_1d",)
"""Tasks whose truth is a mean and no probability."""

DWELL_CLIP_SECONDS: Final = 1800.0
