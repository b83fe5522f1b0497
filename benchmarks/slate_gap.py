"""How far the kernel's slates lie below the best ones: ``python -m benchmarks.slate_gap``.

Random requests are filled by the kernel and solved exactly, as a rule and where rules contend
(``slating/instances.py``). An instance counts as missed where some slate is full and meets caps, minimums and
requirements and the kernel's is or does not. Of the others the gap is what the kernel's slate lacks of the
best one's worth, in per cent of it. Beside it stands what a search that swaps pairs makes of the kernel's
slate (``slating/swaps.py``). CP-SAT is asked beside HiGHS where it is installed, and must agree.
"""

import argparse

import numpy as np
import numpy.typing as npt

from benchmarks.slating.instances import draw_instance
from benchmarks.slating.optimum import (
    Gaps,
    best_by_cp_sat,
    best_by_highs,
    has_cp_sat,
    measure_gaps,
    program_of,
)

MOST = 1.0
"""Per cent of the best worth that the mean gap may be."""


def main() -> None:
    """Print gaps and what was missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--instances", type=int, default=500, help="of each kind")
    parser.add_argument("--checked", type=int, default=100, help="of each kind that CP-SAT solves too")
    asked = parser.parse_args()
    print(f"slate gaps: {asked.instances} instances of each kind (mean wanted: at most {MOST:g} %)")
    for name, contended in (("as a rule", False), ("where rules contend", True)):
        filled, swapped = measure_gaps(range(asked.instances), contended=contended)
        print(f"  {name}, {filled.solvable} that some slate meets")
        print(f"    kernel       {describe(filled)}")
        print(f"    after swaps  {describe(swapped)}")
        if has_cp_sat():
            furthest = max(_difference(seed, contended=contended) for seed in range(asked.checked))
            print(f"    CP-SAT and HiGHS differ by at most {furthest:.1e} on {asked.checked} of them")


def describe(gaps: Gaps) -> str:
    """Write what was found of one kind of instances."""
    mean, high, most = (100 * of(gaps.gaps) for of in (np.mean, _high, np.max))
    spread = f"95 % of them at most {high:.2f} %, greatest {most:.2f} %"
    return f"mean gap {mean:.3f} %, {spread}; missed {gaps.missed}"


def _high(values: npt.NDArray[np.float64]) -> float:
    return float(np.quantile(values, 0.95))


def _difference(seed: int, *, contended: bool) -> float:
    program = program_of(draw_instance(seed, contended=contended))
    one, other = best_by_highs(program), best_by_cp_sat(program)
    if one is None or other is None:
        return 0.0 if one is other else float("inf")
    return abs(one - other) / abs(one)


if __name__ == "__main__":
    main()
