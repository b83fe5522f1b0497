"""What feedback on exposure costs, compared with the optimum: ``python -m benchmarks.exposure``.

A group of items is undervalued: its utilities are 0.6 times those of others, so in five slots of ten
candidates it gets less exposure than it merits. Days of requests are served by utility and boost
(`tasks.ranking.decide`), and a day's ratio of exposure to merit moves the boost
(`tasks.monitoring.decisions`). Beside it stand, on the requests of the last third of the days,

::

    no target       the order by utility
    feedback        the order by utility and boost, as the days were served
    amortised LP    most utility where the ratio over all requests is the one that feedback reached (HiGHS)
    LP by request   most utility where it is reached in each request: Singh and Joachims (2018), section 3.2

Utility is that of the slots, weighted by their examination; the linear programs fill slots by lot.
"""

import argparse
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import linprog
from scipy.sparse import csr_array, kron, vstack
from scipy.sparse import eye_array as eye

from tasks.contracts.slate import Exposure, SlateSpec
from tasks.contracts.utility import UtilitySpec
from tasks.monitoring.decisions import next_boosts
from tasks.ranking.decide import decide
from tasks.replay.metrics import due_exposure

Floats = npt.NDArray[np.float64]

CURVE: Final = np.array([1.0, 0.8, 0.6, 0.5, 0.4])
EACH: Final = 10
LEAST: Final = 0.8
EXPOSURE: Final = Exposure(by="tier", least={"new": LEAST}, most=0.4)
SLATE: Final = SlateSpec(policy="exposure", version=1, length=len(CURVE), exposure=EXPOSURE)
UTILITY: Final = UtilitySpec.model_validate(
    {"policy": "u", "version": 1, "owner": "o", "approvals": ["product"], "weights": {"click": 1.0}}
)


@dataclass(frozen=True)
class Day:
    """Requests of ten candidates each, [requests, 10]: utilities, and which are of the group."""

    utility: Floats
    group: npt.NDArray[np.bool_]

    @classmethod
    def draw(cls, rng: np.random.Generator, requests: int) -> "Day":
        """Draw a day."""
        group = rng.random((requests, EACH)) < 0.3
        utility = np.minimum(rng.gamma(4.0, 0.05, group.shape), 1.0)
        return cls(np.where(group, 0.6, 1.0) * utility, group)

    @property
    def due(self) -> Floats:
        """The looks that merit is due, [requests, 10]."""
        looks = np.tile(np.r_[CURVE, np.zeros(EACH - len(CURVE))], len(self.group))
        requests = np.repeat(np.arange(len(self.group)), EACH)
        return due_exposure(looks, self.utility.ravel(), requests)[1].reshape(self.group.shape)

    def serve(self, slate: SlateSpec) -> Floats:
        """Return the looks that a slate policy gives each candidate, [requests, 10]."""
        count = len(self.group)
        frame = pd.DataFrame(
            {
                "request_id": np.repeat(np.arange(count), EACH),
                "item_id": np.tile(np.arange(EACH), count),
                "tier": np.where(self.group.ravel(), "new", "old"),
            }
        )
        slot = decide(frame, {"p_click": self.utility.ravel()}, UTILITY, slate).slate_position
        return np.r_[0.0, CURVE][slot].reshape(self.group.shape)

    def ratio(self, looks: Floats) -> float:
        """Return the group's exposure over what it merits."""
        return float(looks[self.group].sum() / self.due[self.group].sum())

    def value(self, looks: Floats) -> float:
        """Return utility per request."""
        return float((looks * self.utility).sum() / len(looks))


def solve(day: Day, least: float) -> float:
    """Return the most utility per request, slots filled by lot, where a day's ratio is at least this."""
    count, slots = len(day.group), len(CURVE)
    looks = np.tile(CURVE, count * EACH)
    worth, group = np.repeat(day.utility.ravel(), slots) * looks, np.repeat(day.group.ravel(), slots)
    once: Any = kron(eye(count * EACH), np.ones((1, slots)))
    exposure = csr_array((-looks * group)[None, :])
    full: Any = kron(eye(count), kron(np.ones((1, EACH)), eye(slots)))
    at_most: Any = vstack([once, exposure])  # linprog takes sparse matrices, and its stubs do not
    found = linprog(
        -worth,
        A_ub=at_most,
        b_ub=np.r_[np.ones(count * EACH), -least * day.due[day.group].sum()],
        A_eq=full,
        b_eq=np.ones(count * slots),
        bounds=(0, 1),
        method="highs",
    )
    return float("nan") if found.fun is None else -float(found.fun) / count


def reachable(day: Day, least: float) -> npt.NDArray[np.bool_]:
    """Return the requests in which the group can get so much of what it merits, [requests]."""
    best = np.cumsum(np.r_[0.0, CURVE, np.zeros(EACH - len(CURVE))])[day.group.sum(axis=1)]
    return np.asarray(best >= least * (day.due * day.group).sum(axis=1))


def run(*, days: int, requests: int, seed: int) -> tuple[list[float], Day, SlateSpec]:
    """Serve days under feedback; return their ratios, all of the last third in one, and the last policy."""
    rng, slate, ratios, last = np.random.default_rng(seed), SLATE, list[float](), list[Day]()
    for number in range(days):
        day = Day.draw(rng, requests)
        ratios.append(day.ratio(day.serve(slate)))
        exposure = slate.exposure or EXPOSURE
        slate = slate.boosted({"tier": next_boosts(exposure, {"new": ratios[-1]})})
        last += [day] if number >= 2 * days // 3 else []
    return ratios, Day(*(np.concatenate([getattr(d, n) for d in last]) for n in ("utility", "group"))), slate


def main() -> None:
    """Print the ratios by day, and what each way costs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=45)
    parser.add_argument("--requests", type=int, default=100, help="of a day")
    parser.add_argument("--seeds", type=int, default=5)
    asked = parser.parse_args()
    print(f"target {LEAST}; {asked.requests} requests a day, {asked.days} days")
    costs = ("cost", "cost of LP", "LP by request", "utility / LP")
    heads = ("seed", "first ratio", "within 5 % from day", "last ratio", *costs)
    print(f"| {' | '.join(heads)} |")
    print(f"|{' --- |' * len(heads)}")
    for seed in range(asked.seeds):
        ratios, day, slate = run(days=asked.days, requests=asked.requests, seed=seed)
        plain, served = day.serve(SLATE), day.serve(slate)
        best, ratio = day.value(plain), day.ratio(served)
        alone = [Day(day.utility[[n]], day.group[[n]]) for n in np.flatnonzero(reachable(day, ratio))]
        oracle, strict = solve(day, ratio), np.mean([solve(one, ratio) for one in alone])
        by_request = 1 - strict / np.mean([one.value(one.serve(SLATE)) for one in alone])
        means = np.convolve(ratios, np.ones(7) / 7, "valid")
        reached = next((n for n in range(len(means)) if (abs(means[n:] / LEAST - 1) < 0.05).all()), -1)
        cells = [f"{ratios[0]:.2f}", f"{reached}", f"{ratio:.3f}", f"{1 - day.value(served) / best:.2%}"]
        cells += [f"{1 - oracle / best:.2%}", f"{by_request:.2%}", f"{day.value(served) / oracle:.4f}"]
        print(f"| {seed} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
