"""A log that no shipped surface knows: a newsletter of ten articles, of which readers open, read and mute some.

Its columns have names of their own, nothing is numbered by position, and the order is random. Readers open
articles of their favourite section, loud headlines are opened and not read, and loud headlines of other
sections are muted.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

DAYS, SESSIONS_PER_DAY, ARTICLES_SHOWN = 56, 90, 10
READERS, ARTICLES = 600, 400
SECTIONS = np.array(["politics", "sport", "culture", "local"])
FIRST_DAY = np.datetime64("2026-01-05", "us")
LATEST = {"open": 600, "read": 3_000, "mute": 40_000}
"""Seconds within which readers react."""


def write_newsletter(folder: Path, *, seed: int = 5) -> None:
    """Write ``shown.parquet`` and ``reactions.parquet`` into a new folder."""
    rng = np.random.default_rng(seed)
    sessions = DAYS * SESSIONS_PER_DAY
    session = np.repeat(np.arange(sessions), ARTICLES_SHOWN)
    reader = rng.integers(READERS, size=sessions)[session]
    drawn = [rng.choice(ARTICLES, ARTICLES_SHOWN, replace=False) for _ in range(sessions)]
    article = np.concatenate(drawn)
    sent = np.sort(rng.integers(DAYS * 86_400, size=sessions))[session]
    section, words = rng.integers(len(SECTIONS), size=ARTICLES)[article], rng.integers(120, 2_400, ARTICLES)
    loud = rng.random(ARTICLES)[article]
    favourite = rng.integers(len(SECTIONS), size=READERS)[reader] == section
    opened = rng.random(len(session)) < np.where(favourite, 0.22, 0.05) * (0.6 + loud)
    read = opened & (rng.random(len(session)) < 0.75 - 0.45 * loud)
    muted = rng.random(len(session)) < 0.004 + 0.02 * loud * ~favourite
    shown = {
        "session": np.char.add("s", session.astype(str)),
        "reader": np.char.add("r", reader.astype(str)),
        "article": np.char.add("a", article.astype(str)),
    }
    features = {
        "section": SECTIONS[section],
        "words": words[article],
        "loudness": loud.round(3),
        "favourite_section": favourite,
    }
    folder.mkdir(parents=True)
    pq.write_table(pa.table({**shown, "seen_at": _instants(sent), **features}), folder / "shown.parquet")
    reactions = [
        {"event": np.repeat(event, happened.sum())}
        | {name: values[happened] for name, values in shown.items()}
        | {"happened_at": _instants(sent[happened] + rng.integers(1, LATEST[event], happened.sum()))}
        for event, happened in zip(LATEST, (opened, read, muted), strict=True)
    ]
    pq.write_table(pa.concat_tables([pa.table(each) for each in reactions]), folder / "reactions.parquet")


def _instants(seconds: np.ndarray) -> pa.Array:
    """Return seconds since the first day as instants."""
    return pa.array(FIRST_DAY + seconds.astype("timedelta64[s]"), pa.timestamp("us", "UTC"))
