"""One head per task: a booster, its encoder, its calibrator, and its parent in the chain of tasks.

::

    booster, shared trunk or the mean of both -> calibrator      = p_<task>__given (its own factor)
    product of the factors along the chain -> [map on the joint] = p_<task>
    a value task: expected value given its parent x that parent's product -> [map] = v_<task>
    a quantile (q_<task>) and an order within the request (s_<task>) are conditional on the parent, not joint

A composite is an ordinary head. A task without a parent has one factor, which is its probability.

A debiased head predicts for the reference position. If the candidates have positions, it also predicts for
the item's own position (``p_<task>__shown``), which is compared with outcomes: by its position feature and
the position effect of a trunk's log odds, or by the examination of the position.

A trunk shared by several heads is computed once. Means are of log odds; for a value task, of values.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import lightgbm as lgb
import numpy as np
import pandas as pd

from ..columns import POSITION, at_position, given, predicted
from ..errors import DataError, StoreError, unknown
from .candidates import Floats, describe_rows, read_numbers
from .examination import MOST, Examination
from .features import FeatureEncoder
from .maps import CalibrationMap, expit, logit
from .segmented_map import Calibrator, SegmentedMap, apply_calibrator
from .trunk import TrunkModel

Kind = Literal["binary", "value", "quantile", "ranking"]
_CHUNK = 1 << 17
"""Rows encoded at once: limits memory, does not change the result (``benchmarks/scoring.py``)."""


def blend_scores(kind: Kind, trees: Floats | None, trunk: Floats) -> Floats:
    """Return the scores of a head with a trunk, shape [rows].

    Parameters
    ----------
    trees : [rows] scores of its trees, if the head is the mean of both.
    trunk : [rows] log odds; for a value task, values.

    Examples
    --------
    >>> blend_scores("binary", np.array([0.5]), logit([0.8])).round(3)
    array([0.667])
    """
    if kind == "value":
        return trunk if trees is None else (trees + trunk) / 2
    return expit(trunk if trees is None else (logit(trees) + trunk) / 2)


@dataclass(frozen=True)
class Head:
    """A model that predicts one task.

    Attributes
    ----------
    calibrator : map of ``scores``; None only before it is fitted.
    parent : the task on whose positives this head was trained, or None.
    joint : map on the product along the chain if that is miscalibrated, or None.
    held : features used only in training and calibration, with their fixed values for scoring.
    examination : the curve that converts predictions from the reference position to another, or None.
    trunk, blended : the shared trunk, or None, and whether it is blended with the trees or replaces them.
    """

    task: str
    kind: Kind
    booster: lgb.Booster
    encoder: FeatureEncoder
    calibrator: Calibrator | None
    parent: str | None = None
    joint: CalibrationMap | None = None
    held: Mapping[str, float] = field(default_factory=dict)
    examination: Examination | None = None
    trunk: TrunkModel | None = None
    blended: bool = False

    def __post_init__(self) -> None:
        """Raise an error if booster and encoder do not match, or the trunk lacks the task."""
        width, known = self.booster.num_feature(), len(self.encoder.names)
        if width != known:
            raise StoreError(f"The model of '{self.task}' reads {width} features, its encoder makes {known}.")
        if self.trunk is not None and self.task not in self.trunk.tasks:
            raise StoreError(unknown("task", self.task, self.trunk.tasks, where="the shared trunk"))

    def scores(self, matrix: Floats, trunk: Floats | None = None, *, threads: int = 0) -> Floats:
        """Return the scores that the calibrator is fitted on and applied to, shape [rows].

        They are uncalibrated probabilities (or values) on the scale of all rows; 0 threads uses LightGBM's
        default.

        Parameters
        ----------
        trunk : [rows] output of the trunk, for a head with a trunk.
        """
        if self.trunk is None or self.blended or trunk is None:
            trees = np.asarray(self.booster.predict(matrix, num_threads=threads), dtype=np.float64)
            return trees if self.trunk is None or trunk is None else blend_scores(self.kind, trees, trunk)
        return blend_scores(self.kind, None, trunk)

    @property
    def columns(self) -> frozenset[str]:
        """The candidate columns that the head needs: features, and the segments of its calibrator."""
        mapped = self.calibrator.columns if isinstance(self.calibrator, SegmentedMap) else ()
        shared = () if self.trunk is None else self.trunk.columns
        return frozenset({*self.encoder.names} - {*self.held} | {*mapped, *shared})

    def calibrate(self, scores: Floats, frame: pd.DataFrame) -> Floats:
        """Return the calibrated probability (or value) of scores, shape [rows]."""
        return scores if self.calibrator is None else apply_calibrator(self.calibrator, scores, frame)

    @property
    def debiased(self) -> bool:
        """Whether the head predicts for the reference position, independent of the item's own."""
        return bool(self.held) or self.examination is not None

    def factor_shown(
        self,
        matrix: Floats,
        frame: pd.DataFrame,
        factor: Floats,
        positions: Floats,
        *,
        threads: int = 0,
    ) -> Floats:
        """Return the factor of a debiased head at the items' own positions, shape [rows].

        Parameters
        ----------
        factor : [rows] at the reference.
        positions : [rows] from 1; an item without a position, NaN, is taken to be at the reference.
        """
        if self.examination is None:
            actual = matrix.copy()
            actual[:, self.encoder.names.index(POSITION)] = positions
            trunk = self.trunk
            shared = None if trunk is None else trunk.log_odds(frame, positions=positions)[self.task]
            moved = self.calibrate(self.scores(actual, shared, threads=threads), frame)
        else:
            moved = factor * self.examination.relative(positions)
            moved = np.minimum(moved, MOST) if self.kind == "binary" else moved
        return np.where(np.isnan(positions), factor, moved)


@dataclass(frozen=True)
class Heads:
    """The heads of a release by task, including whole chains of parents.

    Raises
    ------
    StoreError
        A parent is missing, is a value task or is a descendant of its child.
    """

    heads: Mapping[str, Head]

    def __post_init__(self) -> None:
        """Raise an error for cyclic chains."""
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

    def of(self, tasks: Collection[str]) -> "Heads":
        """Return the heads of the given tasks and of their ancestors, in the same order."""
        needed = {name for task in tasks for name in self.chain(task)}
        return Heads({name: head for name, head in self.heads.items() if name in needed})

    @property
    def conditional(self) -> tuple[str, ...]:
        """The binary tasks with a parent, whose joint probability is a product; parents first."""
        of = [task for task, head in self.heads.items() if head.parent is not None and head.kind == "binary"]
        return tuple(sorted(of, key=lambda task: len(self.chain(task))))

    @property
    def columns(self) -> tuple[str, ...]:
        """Every candidate column that the heads need, by name."""
        return tuple(sorted(frozenset().union(*(head.columns for head in self.heads.values()))))

    @property
    def optional(self) -> tuple[str, ...]:
        """Columns that the heads can do without: the position, if one of them is corrected for it."""
        return (POSITION,) if any(head.debiased for head in self.heads.values()) else ()

    def predict(self, frame: pd.DataFrame, *, threads: int = 0) -> dict[str, Floats]:
        """Predict every task for every candidate.

        Returns
        -------
        dict
            ``p_<task>`` joint and calibrated (``v_<task>`` for a value task, ``q_<task>`` for a quantile,
            ``s_<task>`` for an order within the request), and ``p_<task>__given`` for
            a binary task with a parent; each of shape [rows]. Where the frame has positions and a head of the
            chain is debiased, also ``p_<task>__shown``, NaN where an item has no position.

        Raises
        ------
        DataError
            A feature's column is missing, of the wrong kind or infinite; a prediction is not finite.
        """
        factors = {task: np.empty(len(frame)) for task in self.heads}
        positions = self._positions(frame)
        shown = (
            {}
            if positions is None
            else {t: np.empty(len(frame)) for t in self.heads if self.heads[t].debiased}
        )
        for start in range(0, len(frame), _CHUNK):
            rows = slice(start, start + _CHUNK)
            chunk = frame if len(frame) <= _CHUNK else frame.iloc[rows]
            shared = self._trunks(chunk)
            for encoder, heads in self._by_encoder:
                matrix = encoder.matrix(chunk, heads[0].held)
                # trees evict other data from the processor's cache, so they run first
                scores = [head.scores(matrix, shared.get(head.task), threads=threads) for head in heads]
                for head, own in zip(heads, scores, strict=True):
                    factors[head.task][rows] = factor = head.calibrate(own, chunk)
                    if positions is not None and head.debiased:
                        moved = head.factor_shown(matrix, chunk, factor, positions[rows], threads=threads)
                        shown[head.task][rows] = moved
        predictions = dict(self._composed(factors))
        _require_finite(frame, predictions)
        if positions is not None:
            standing = dict(self._shown({**factors, **shown}, moved=shown))
            _require_finite(frame, standing)
            predictions |= {n: np.where(np.isnan(positions), np.nan, p) for n, p in standing.items()}
        return predictions

    def _trunks(self, frame: pd.DataFrame) -> dict[str, Floats]:
        """Return the outputs of the trunks by task, for heads with a trunk; each trunk is computed once."""
        held = [head for head in self.heads.values() if head.trunk is not None]
        models = {id(head.trunk): head.trunk for head in held if head.trunk}
        given = {key: model.log_odds(frame) for key, model in models.items()}
        return {head.task: given[id(head.trunk)][head.task] for head in held if head.trunk}

    def _positions(self, frame: pd.DataFrame) -> Floats | None:
        if not self.optional or POSITION not in frame:
            return None
        return read_numbers(frame, POSITION, "the prediction for an item at its position")

    @cached_property
    def _by_encoder(self) -> list[tuple[FeatureEncoder, list[Head]]]:
        distinct: list[tuple[FeatureEncoder, list[Head]]] = []
        for head in self.heads.values():
            same = next(
                (
                    heads
                    for encoder, heads in distinct
                    if encoder.same_as(head.encoder) and heads[0].held == head.held
                ),
                None,
            )
            if same is None:
                distinct.append((head.encoder, [head]))
            else:
                same.append(head)
        return distinct

    def _composed(self, factors: Mapping[str, Floats]) -> Iterator[tuple[str, Floats]]:
        for task, head in self.heads.items():
            yield self._joint(task, factors)
            if head.parent is not None and head.kind == "binary":
                yield given(task), factors[task]

    def _shown(self, factors: Mapping[str, Floats], moved: Collection[str]) -> Iterator[tuple[str, Floats]]:
        for task in self.heads:
            if not set(self._multiplied(task)).isdisjoint(moved):
                name, joint = self._joint(task, factors)
                yield at_position(name), joint

    def _joint(self, task: str, factors: Mapping[str, Floats]) -> tuple[str, Floats]:
        head = self.heads[task]
        product = np.multiply.reduce([factors[name] for name in self._multiplied(task)])
        joint = product if head.joint is None else head.joint.apply(product)
        return predicted(task, head.kind), joint

    def _multiplied(self, task: str) -> tuple[str, ...]:
        return self.chain(task) if self.heads[task].kind in {"binary", "value"} else (task,)


def _require_finite(frame: pd.DataFrame, predictions: Mapping[str, Floats]) -> None:
    for name, values in predictions.items():
        finite = np.isfinite(values)
        if not finite.all():
            raise DataError(f"Prediction '{name}' is not finite in {describe_rows(frame, ~finite)}.")
