"""Streams of chance: equal by seed, kind and key, and independent of all others."""

import numpy as np

from tasks.datasets.world.streams import Stream, generator


def draw(seed: int, stream: Stream, *key: int) -> list[float]:
    return generator(seed, stream, *key).random(3).tolist()


def test_a_stream_is_the_same_for_the_same_seed_kind_and_key() -> None:
    assert draw(7, Stream.FEED, 3, 0) == draw(7, Stream.FEED, 3, 0)


def test_another_seed_kind_or_key_is_another_stream() -> None:
    first = draw(7, Stream.FEED, 3, 0)
    others = [draw(8, Stream.FEED, 3, 0), draw(7, Stream.ITEMS, 3, 0), draw(7, Stream.FEED, 3, 1)]
    assert all(other != first for other in others)


def test_streams_of_neighbouring_days_are_uncorrelated() -> None:
    left, right = (generator(7, Stream.REQUESTS, day).random(10_000) for day in (1, 2))
    assert abs(np.corrcoef(left, right)[0, 1]) < 0.04
