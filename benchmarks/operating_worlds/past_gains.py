"""What retrains of an unchanged recipe gain by themselves: those of the other worlds stand for earlier weeks.

A surface with a champion has been retrained before, and the gate allows a head four standard deviations of
what those retrains changed. A world has two retrains only, so the changes of the other worlds of its size
are taken: each is the fall of normalized entropy from one week's heads to the next one's.
"""

from collections.abc import Sequence

import numpy as np
from pydantic import TypeAdapter

from benchmarks.operating_worlds.head_figures import HeadFigures
from benchmarks.operating_worlds.scored_slice import read_or_make
from benchmarks.operating_worlds.worlds import World
from tasks import columns as c
from tasks.evaluation.binary import normalize_entropy, row_losses
from tasks.evaluation.subjects import Subject

_GAINS = TypeAdapter(dict[str, float])


def measure_gains(world: World) -> None:
    """Write what a world's second retrain gains over its first, by task, unless it is there."""
    file = world.folder / "gains.json"
    if not file.exists():
        heads = HeadFigures(read_or_make(world))
        gains = {task: _gain(heads, task) for task in heads.data.tasks}
        unfinished = file.with_suffix(".unfinished")
        unfinished.write_bytes(_GAINS.dump_json(gains))
        unfinished.rename(file)


def past_gains(world: World, others: Sequence[World]) -> dict[Subject, list[float]]:
    """Return what the retrains of other worlds gained, by the subject of the gate's verdict."""
    past: dict[Subject, list[float]] = {}
    for other in others:
        file = other.folder / "gains.json"
        if other.seed != world.seed and file.exists():
            for task, gain in _GAINS.validate_json(file.read_bytes()).items():
                past.setdefault(Subject("normalized_entropy_fall", task=task), []).append(gain)
    return past


def _gain(heads: HeadFigures, task: str) -> float:
    """Return the fall of normalized entropy on what was shown and has a known outcome."""
    data, outcomes = heads.data, heads.outcomes(task)
    known = np.isfinite(outcomes)
    old, new = (
        row_losses(outcomes[known], said[c.probability(task)][data.shown][known])
        for said in (data.champion, data.challenger)
    )
    losses, positives, rows = np.array([[np.sum(new - old)], [np.sum(outcomes[known])], [np.sum(known)]])
    return -float(normalize_entropy(losses, positives, rows)[0])
