"""Which values of scored candidates no training of the release saw: they are scored all the same, and said.

::

    categorical   a value that no head's training rows held: the model takes it for a missing one
    numeric       below the least or above the greatest value that any head learned from

Both are read from the release itself: from the categories of its encoders, and from the ranges that LightGBM
keeps with its trees. A null is no strange value. A feature that was constant in training has no range.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

_CHUNK = 1 << 17
_RANGE = re.compile(r"\[(?P<least>[^:\]]+):(?P<greatest>[^:\]]+)\]")

Flags = npt.NDArray[np.bool_]


def find_strange_inputs(heads: Iterable[Any], frame: pd.DataFrame) -> dict[str, float]:
    """Return by feature the share of candidates whose value no head saw in training; only shares above 0."""
    own = list(heads)
    strange: dict[str, int] = {}
    for start in range(0, len(frame), _CHUNK):
        for name, flags in _strange_rows(own, frame.iloc[start : start + _CHUNK]).items():
            strange[name] = strange.get(name, 0) + int(flags.sum())
    return {name: count / len(frame) for name, count in sorted(strange.items()) if count}


def _strange_rows(heads: Iterable[Any], frame: pd.DataFrame) -> dict[str, Flags]:
    """Return by feature the rows whose value is strange to every head that reads it."""
    strange: dict[str, Flags] = {}
    for head in heads:
        matrix, ranges = head.encoder.matrix(frame, head.held), _ranges(head.booster)
        for place, name in enumerate(head.encoder.names):
            if name in head.held:
                continue
            values = matrix[:, place]
            if name in head.encoder.categories:
                flags = np.isnan(values) & frame[name].notna().to_numpy()
            else:
                least, greatest = ranges.get(place, (-np.inf, np.inf))
                flags = (values < least) | (values > greatest)
            strange[name] = strange[name] & flags if name in strange else flags
    return strange


def _ranges(booster: Any) -> Mapping[int, tuple[float, float]]:
    """Return by the place of a feature the least and the greatest value that the trees were grown on."""
    header = booster.model_to_string(num_iteration=1)
    line = next((line for line in header.splitlines() if line.startswith("feature_infos=")), "")
    infos = enumerate(line.partition("=")[2].split())
    found = ((place, _RANGE.fullmatch(info)) for place, info in infos)
    return {place: (float(m["least"]), float(m["greatest"])) for place, m in found if m}
