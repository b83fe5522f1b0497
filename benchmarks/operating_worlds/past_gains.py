"""Gains of retrains with an unchanged recipe; those of the other worlds are taken for earlier weeks.

A surface with a champion has been retrained before, and the gate allows a head four standard deviations of
the gains of those retrains. A world has two retrains only, so the gains of the other worlds of its size are
taken, in the same setting. Each is the fall of normalized entropy from the champion's heads to the
challenger's.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter

from benchmarks.operating_worlds.head_figures import HeadFigures
from benchmarks.operating_worlds.scored_slice import read_or_make
from benchmarks.operating_worlds.settings import logged
from benchmarks.operating_worlds.worlds import World
from tasks import columns as c
from tasks.evaluation.binary import normalize_entropy, row_losses
from tasks.evaluation.subjects import Subject

_GAINS = TypeAdapter(dict[str, float])


PastGains = Mapping[str, Mapping[Subject, Sequence[float]]]
"""Gains of earlier retrains, by setting and by subject of the gate's verdict."""


def measure_gains(world: World, settings: Sequence[str]) -> None:
    """Write the gains of a world's second retrain over its first by task, for each setting that has none."""
    files = {setting: _file(world, setting) for setting in settings}
    missing = {setting: file for setting, file in files.items() if not file.exists()}
    if not missing:
        return
    data = read_or_make(world)
    for setting, file in missing.items():
        heads = HeadFigures(logged(world, data, setting))
        gains = {task: _gain(heads, task) for task in heads.data.known_tasks}
        unfinished = file.with_suffix(".unfinished")
        unfinished.write_bytes(_GAINS.dump_json(gains))
        unfinished.rename(file)


def past_gains(world: World, others: Sequence[World], settings: Sequence[str]) -> PastGains:
    """Return the gains of the retrains of other worlds."""
    return {setting: _past(world, others, setting) for setting in settings}


def _past(world: World, others: Sequence[World], setting: str) -> dict[Subject, list[float]]:
    past: dict[Subject, list[float]] = {}
    for other in others:
        if other.seed != world.seed and _file(other, setting).exists():
            for task, gain in _GAINS.validate_json(_file(other, setting).read_bytes()).items():
                past.setdefault(Subject("normalized_entropy_fall", task=task), []).append(gain)
    return past


def _file(world: World, setting: str) -> Path:
    return world.folder / f"{setting}_gains.json"


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
