"""One head per task: a booster, its encoder, its calibrator, and its place in the chain of parents.

::

    booster -> calibrator                                        = p_<task>__given (its own factor)
    product of the factors along the chain -> [map on the joint] = p_<task>
    a value task: expected value given its parent x that parent's product -> [map] = v_<task>

A composite is a head like any other. A task without a parent has one factor, which is its probability.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import lightgbm as lgb
import numpy as np
import pandas as pd

from ..calibration.maps import CalibrationMap
from ..columns import expected_value, given, probability
from ..errors import DataError, StoreError, unknown
from .candidates import Floats, examples
from .features import FeatureEncoder

Kind = Literal["binary", "value"]
Level = Literal["impression", "request"]
_CHUNK = 1 << 17  # rows encoded at once: bounds memory, not the result


@dataclass(frozen=True)
class Head:
    """What predicts one task.

    Attributes
    ----------
    calibrator : map of ``scores``; None only while there is none yet to fit it.
    parent : the task on whose positives this one was learned, or None.
    joint : map on the product along the chain where that is miscalibrated, or None.
    """

    task: str
    kind: Kind
    booster: lgb.Booster
    encoder: FeatureEncoder
    calibrator: CalibrationMap | None
    parent: str | None = None
    level: Level = "impression"
    joint: CalibrationMap | None = None

    def __post_init__(self) -> None:
        """Refuse a booster and an encoder that were not made for each other."""
        found, known = self.booster.num_feature(), len(self.encoder.names)
        if found != known:
            raise StoreError(f"The model of '{self.task}' reads {found} features, its encoder makes {known}.")

    def scores(self, matrix: Floats, *, threads: int = 0) -> Floats:
        """Return what the calibrator is fitted on and applied to, shape [rows].

        A probability (or value) on the scale of all rows, not calibrated; 0 threads lets LightGBM choose.
        """
        return np.asarray(self.booster.predict(matrix, num_threads=threads), dtype=np.float64)

    def factor(self, matrix: Floats, *, threads: int = 0) -> Floats:
        """Return the calibrated probability (or value) given the parent, shape [rows]."""
        scores = self.scores(matrix, threads=threads)
        return scores if self.calibrator is None else self.calibrator.apply(scores)


@dataclass(frozen=True)
class Heads:
    """The heads of a release by task, whole chains of parents included.

    Raises
    ------
    StoreError
        A parent is missing, is a value task or a descendant of its child.
    """

    heads: Mapping[str, Head]

    def __post_init__(self) -> None:
        """Refuse chains that do not end."""
        for task in self.heads:
            self.chain(task)

    def chain(self, task: str) -> tuple[str, ...]:
        """Return a task's ancestors and itself, root first."""
        chain = [task]
        while (parent := self.heads[chain[0]].parent) is not None:
            if parent not in self.heads:
                raise StoreError(unknown("parent", parent, self.heads, where=f"the head of '{chain[0]}'"))
            if parent in chain or self.heads[parent].kind != "binary":
                raise StoreError(f"'{parent}' cannot be the parent of '{chain[0]}': {' <- '.join(chain)}.")
            chain.insert(0, parent)
        return tuple(chain)

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column of the candidates that the heads read, by name."""
        return tuple(sorted({name for head in self.heads.values() for name in head.encoder.names}))

    def predict(self, frame: pd.DataFrame, *, threads: int = 0) -> dict[str, Floats]:
        """Predict every task for every candidate.

        Returns
        -------
        dict
            ``p_<task>`` joint and calibrated (``v_<task>`` for a value task), and ``p_<task>__given`` for
            a binary task with a parent; each of shape [rows].

        Raises
        ------
        DataError
            A feature's column is missing, of the wrong kind or infinite; a prediction is not finite.
        """
        factors = {task: np.empty(len(frame)) for task in self.heads}
        for start in range(0, len(frame), _CHUNK):
            rows = slice(start, start + _CHUNK)
            chunk = frame.iloc[rows]
            for encoder, heads in self._by_encoder:
                matrix = encoder.matrix(chunk)
                for head in heads:
                    factors[head.task][rows] = head.factor(matrix, threads=threads)
        predictions = dict(self._composed(factors))
        for name, values in predictions.items():
            bad = ~np.isfinite(values)
            if bad.any():
                raise DataError(f"Prediction '{name}' is not finite in {examples(frame, bad)}.")
        return predictions

    @cached_property
    def _by_encoder(self) -> list[tuple[FeatureEncoder, list[Head]]]:
        distinct: list[tuple[FeatureEncoder, list[Head]]] = []
        for head in self.heads.values():
            same = next((heads for encoder, heads in distinct if encoder.same_as(head.encoder)), None)
            if same is None:
                distinct.append((head.encoder, [head]))
            else:
                same.append(head)
        return distinct

    def _composed(self, factors: Mapping[str, Floats]) -> Iterator[tuple[str, Floats]]:
        for task, head in self.heads.items():
            product = np.multiply.reduce([factors[name] for name in self.chain(task)])
            joint = product if head.joint is None else head.joint.apply(product)
            yield (probability(task) if head.kind == "binary" else expected_value(task)), joint
            if head.parent is not None and head.kind == "binary":
                yield given(task), factors[task]
