"""The best slate of an instance, by two exact solvers from one linear program.

Item i stands as the k-th of its value of decay (x[i, k], 0 or 1), and a value of diversity is held by y[v]
slots or more for the k-th time (between 0 and 1: later ones cost more, so they fill up in order)::

    maximise   sum of share[k] x utility[i] x x[i, k]  -  strength x sum of k x y[v, k]
    each item once, each (value of decay, k) once, `length` items in all
    of each value at most its cap, of each minimum at least its least, each required item

scipy brings HiGHS; OR-tools' CP-SAT is asked where it is installed (``pip install ortools``; it is no
dependency: it wants another protobuf than the lock holds).
"""

import importlib
import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.optimize import Bounds, LinearConstraint, milp

from benchmarks.slating.instances import Instance, Places, draw_instance
from benchmarks.slating.swaps import swap_pairs

_UNITS = 10_000_000
"""CP-SAT counts in whole numbers: utilities are rounded to one part of this."""


@dataclass
class Program:
    """A linear program, built row by row: gains and kinds of its variables, and rows between bounds."""

    gains: list[float] = field(default_factory=list)
    whole: list[bool] = field(default_factory=list)
    rows: list[tuple[dict[int, float], float, float]] = field(default_factory=list)

    def variable(self, gain: float, *, whole: bool) -> int:
        """Add a variable between 0 and 1."""
        self.gains.append(gain)
        self.whole.append(whole)
        return len(self.gains) - 1

    def bound(self, row: dict[int, float], low: float, high: float) -> None:
        """Demand that a weighted sum lies between two bounds."""
        self.rows.append((row, low, high))


def program_of(instance: Instance) -> Program:
    """Write an instance down."""
    block, made = instance.block, Program()
    size = block.utility.shape[1]
    decayed = block.fading.values[0] if block.fading is not None else np.arange(size)
    deepest = {v: min(int((decayed == v).sum()), instance.length) for v in np.unique(decayed).tolist()}
    stands: list[dict[int, float]] = []
    of_value: dict[tuple[int, int], dict[int, float]] = {}
    for i in range(size):
        places = {}
        for k in range(deepest[int(decayed[i])]):
            x = made.variable(float(block.utility[0, i]) * instance.share(k), whole=True)
            places[x] = 1.0
            of_value.setdefault((int(decayed[i]), k), {})[x] = 1.0
        stands.append(places)
        required = block.required is not None and bool(block.required[0, i])
        made.bound(places, float(required), 1.0)
    for row in of_value.values():
        made.bound(row, 0.0, 1.0)

    def among(marked: npt.NDArray[Any]) -> dict[int, float]:
        return {x: 1.0 for i in np.flatnonzero(marked) for x in stands[int(i)]}

    made.bound(among(np.ones(size)), instance.length, instance.length)
    for cap in block.caps:
        for value in np.unique(cap.values[0][cap.values[0] >= 0]):
            made.bound(among(cap.values[0] == value), 0.0, cap.limit)
    for minimum in block.minimums:
        made.bound(among(minimum.marked[0]), minimum.least, np.inf)
    if block.penalty is not None:
        for value in np.unique(block.penalty.values[0]):
            row = among(block.penalty.values[0] == value)
            costs = [-block.penalty.strength * k for k in range(instance.length)]
            row |= {made.variable(cost, whole=False): -1.0 for cost in costs}
            made.bound(row, 0.0, 0.0)
    return made


def best_by_highs(program: Program) -> float | None:
    """Return the greatest worth, None where no slate meets all."""
    entries = [(r, c, v) for r, (row, _, _) in enumerate(program.rows) for c, v in row.items()]
    r, c, v = zip(*entries, strict=True)
    matrix = sparse.csr_array((v, (r, c)), shape=(len(program.rows), len(program.gains)))
    bounds = [(low, high) for _, low, high in program.rows]
    found = milp(
        -np.array(program.gains),
        constraints=LinearConstraint(matrix, *np.array(bounds).T),
        integrality=np.array(program.whole, dtype=int),
        bounds=Bounds(0, 1),
        options={"mip_rel_gap": 1e-9},
    )
    return -float(found.fun) if found.success else None


def has_cp_sat() -> bool:
    """Whether OR-tools is installed."""
    return importlib.util.find_spec("ortools") is not None


def best_by_cp_sat(program: Program) -> float | None:
    """Return the greatest worth to one part in ten million, None where no slate meets all."""
    cp_model = importlib.import_module("ortools.sat.python.cp_model")
    model, solver = cp_model.CpModel(), cp_model.CpSolver()
    variables = [model.new_bool_var(str(i)) for i in range(len(program.gains))]
    for row, low, high in program.rows:
        total = sum(int(weight) * variables[at] for at, weight in row.items())
        model.add(total >= int(low))
        if np.isfinite(high):
            model.add(total <= int(high))
    gains = [round(gain * _UNITS) for gain in program.gains]
    model.maximize(sum(gain * x for gain, x in zip(gains, variables, strict=True)))
    solver.parameters.num_workers = 1
    status = solver.solve(model)
    return solver.objective_value / _UNITS if status == cp_model.OPTIMAL else None


@dataclass(frozen=True)
class Gaps:
    """What kernel slates lack of the best, as shares of its worth; instances solvable and missed."""

    gaps: npt.NDArray[np.float64]
    solvable: int
    missed: int


def measure_gaps(seeds: Iterable[int], *, contended: bool) -> tuple[Gaps, Gaps]:
    """Hold the kernel's slates against the best ones, as they are and after swaps of pairs."""
    filled, swapped = list[float | None](), list[float | None]()
    for seed in seeds:
        instance = draw_instance(seed, contended=contended)
        best = best_by_highs(program_of(instance))
        if best is not None:
            slate = instance.fill()
            filled.append(_gap(instance, slate, best))
            swapped.append(_gap(instance, swap_pairs(instance, slate), best))
    return _gaps(filled), _gaps(swapped)


def _gap(instance: Instance, slate: Places, best: float) -> float | None:
    """Return the share of the best worth that a slate lacks, None where it does not meet all."""
    return (best - instance.worth(slate)) / abs(best) if instance.meets_all(slate) else None


def _gaps(found: list[float | None]) -> Gaps:
    gaps = [gap for gap in found if gap is not None]
    return Gaps(np.array(gaps), len(found), len(found) - len(gaps))
