"""A local search beside the kernel: the best swap of a chosen and another candidate, until none gains.

Every pair is tried; a slate with fewer shortfalls beats one of more worth, and an empty slot may be filled.
It is slow and plain: it tells what swaps could gain, not what they cost.
"""

from collections.abc import Iterator

import numpy as np

from benchmarks.slating.instances import Instance, Places

_LEAST_GAIN = 1e-12


def swap_pairs(instance: Instance, slate: Places) -> Places:
    """Return the places of a slate that no swap of two candidates betters."""
    chosen, now = sorted(slate), _value(instance, slate)
    while True:
        values = [(_value(instance, other), other) for other in _neighbours(instance, chosen)]
        best, other = max(values, default=(now, chosen))
        if best[0] < now[0] or (best[0] == now[0] and best[1] <= now[1] + _LEAST_GAIN):
            return chosen
        now, chosen = best, sorted(other)


def _value(instance: Instance, slate: Places) -> tuple[int, float]:
    return -instance.shortfall(slate), instance.worth(slate)


def _neighbours(instance: Instance, chosen: Places) -> Iterator[Places]:
    """Yield every slate that one swap, or one candidate more, makes of another under the caps."""
    others = np.setdiff1d(np.arange(instance.block.utility.shape[1]), chosen).tolist()
    kept = [[at for at in chosen if at != out] for out in chosen]
    kept += [chosen] if len(chosen) < instance.length else []
    for rest in kept:
        yield from (slate for into in others if instance.keeps_caps(slate := [*rest, into]))
