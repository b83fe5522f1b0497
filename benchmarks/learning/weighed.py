"""Loss weights, example weights, sampling and dense starts: ``python -m benchmarks.learning.weighed``.

::

    interest = sin(3 a) + b c           log odds of a click    = -1.5 + interest
                                        log odds of a purchase = -7 + interest + d / 2, one in 500

Each way learns from the same rows; what it says of fresh rows is held against their true chances.
"""

from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np
import numpy.typing as npt

from tasks.training.examples import Examples
from tasks.training.fit import Learning, fit_head
from tasks.training.sampling import age_weights, balance_classes, combine_factors, propensity_weights
from tasks.training.trees import start_from_dense

Floats = npt.NDArray[np.float64]

NAMES = tuple("abcd")
TREES: dict[str, float | int] = {
    "rounds": 200,
    "num_leaves": 7,
    "learning_rate": 0.1,
    "early_stopping_rounds": 20,
    "lambda_l2": 5.0,
}
SEEDS = (0, 1, 2)


@dataclass(frozen=True)
class Told:
    """What a way says of fresh rows: normalized entropy, and predictions over true chances, both in all."""

    entropy: float
    ratio: float

    @classmethod
    def of(cls, said: Floats, true: Floats) -> "Told":
        """Hold predictions [n] against true chances [n]; the outcomes' own chance is left out."""
        mean = true.mean()
        base = -mean * np.log(mean) - (1 - mean) * np.log(1 - mean)
        lost = -true * np.log(said) - (1 - true) * np.log(1 - said)
        return cls(float(lost.mean() / base), float(said.sum() / true.sum()))


def mean_of(told: list[Told]) -> Told:
    """Return the mean over seeds."""
    return Told(*(float(np.mean([getattr(one, name) for one in told])) for name in ("entropy", "ratio")))


def expit(log_odds: Floats) -> Floats:
    """Return chances of log odds."""
    return np.asarray(1 / (1 + np.exp(-log_odds)))


def interest(rows: Floats) -> Floats:
    """Return what draws people to an item, shape [rows]."""
    return np.asarray(np.sin(3 * rows[:, 0]) + rows[:, 1] * rows[:, 2])


def clicks(rows: Floats) -> Floats:
    """Return each row's chance of a click."""
    return expit(-1.5 + interest(rows))


def purchases(rows: Floats) -> Floats:
    """Return each row's chance of a purchase."""
    return expit(-7 + interest(rows) + rows[:, 3] / 2)


def drawn(rows: Floats, chances: Floats, random: np.random.Generator) -> Examples:
    """Draw outcomes and a fold of a tenth."""
    outcomes = (random.random(len(rows)) < chances).astype(np.float64)
    return Examples(rows, outcomes, random.random(len(rows)) < 0.1, NAMES)


def loss_weight() -> float:
    """Return how much a loss weight of 4 moves the greatest prediction of separate trees."""
    random = np.random.default_rng(0)
    rows = random.normal(size=(60_000, len(NAMES)))
    examples = drawn(rows, purchases(rows), random)
    free = {**TREES, "min_sum_hessian_in_leaf": 0.0, "lambda_l2": 0.0}
    one, four = (
        fit_head(examples, Learning(parameters=free, loss_weight=w)).booster.predict(rows) for w in (1.0, 4.0)
    )
    return float(np.abs(one - four).max())


def rare(*, count: int = 60_000) -> dict[str, Told]:
    """Learn purchases, one in 300 of few rows, alone and from what clicks have taught."""
    found: dict[str, list[Told]] = {}
    for seed in SEEDS:
        random = np.random.default_rng(seed)
        rows, fresh = (random.normal(size=(n, len(NAMES))) for n in (count, 100_000))
        clicked, bought = (drawn(rows, of(rows), random) for of in (clicks, purchases))
        dense = fit_head(clicked, Learning(parameters=TREES)).booster
        balanced, offset = balance_classes(bought.labels, None)
        even = replace(bought, weights=balanced, offsets=np.full(count, offset))
        ways = {
            "alone": fit_head(bought, Learning(parameters=TREES)),
            "weights: {balanced: true}": fit_head(even, Learning(parameters=TREES)),
            "start_from, by predictions": fit_head(
                bought, Learning(parameters=TREES), start=start_from_dense(dense, bought, by="predictions")
            ),
            "start_from, by leaves": fit_head(
                bought, Learning(parameters=TREES), start=start_from_dense(dense, bought, by="leaves")
            ),
        }
        for name, fitted in ways.items():
            found.setdefault(name, []).append(Told.of(fitted.booster.predict(fresh), purchases(fresh)))
        found.setdefault("the truth itself", []).append(Told.of(purchases(fresh), purchases(fresh)))
    return {name: mean_of(told) for name, told in found.items()}


def drift(*, count: int = 60_000, days: int = 28) -> dict[str, Told]:
    """Learn clicks whose taste turns within the train days; the next day is asked for."""

    def chances(rows: Floats, day: Floats) -> Floats:
        return expit(
            -1.5 + np.cos(np.pi * day / days) * interest(rows) + np.sin(np.pi * day / days) * rows[:, 3]
        )

    found: dict[str, list[Told]] = {}
    for seed in SEEDS:
        random = np.random.default_rng(seed)
        rows, fresh = (random.normal(size=(n, len(NAMES))) for n in (count, 50_000))
        day = np.sort(random.random(count) * days)
        examples, truth = (
            drawn(rows, chances(rows, day), random),
            chances(fresh, np.full(50_000, float(days))),
        )
        shown_at = np.datetime64("2026-01-01", "us") + (day * 86_400e6).astype("timedelta64[us]")
        ways = {"every day alike": None, "weights: {half_life: P7D}": 7, "weights: {half_life: P2D}": 2}
        for name, life in ways.items():
            aged = None if life is None else combine_factors([age_weights(shown_at, timedelta(days=life))])
            fitted = fit_head(replace(examples, weights=aged), Learning(parameters=TREES))
            found.setdefault(name, []).append(Told.of(fitted.booster.predict(fresh), truth))
        found.setdefault("the truth itself", []).append(Told.of(truth, truth))
    return {name: mean_of(told) for name, told in found.items()}


def biased(*, count: int = 60_000) -> dict[str, Told]:
    """Learn clicks by few small trees from a log that shows what has a great ``a``; of all items is asked."""
    few = {**TREES, "rounds": 15, "num_leaves": 4}
    found: dict[str, list[Told]] = {}
    for seed in SEEDS:
        random = np.random.default_rng(seed)
        all_rows, fresh = (random.normal(size=(n, len(NAMES))) for n in (4 * count, 100_000))
        propensity = np.clip(expit(3 * all_rows[:, 0] - 2), 0.02, 1)
        shown = random.random(len(all_rows)) < propensity
        examples = drawn(all_rows[shown], clicks(all_rows[shown]), random)
        inverse = propensity_weights(propensity[shown], clip=20, task="click")
        ways: dict[str, list[Floats]] = {"as logged": [], "weights: {propensity: {clip: 20}}": [inverse]}
        for name, factors in ways.items():
            fitted = fit_head(replace(examples, weights=combine_factors(factors)), Learning(parameters=few))
            found.setdefault(name, []).append(Told.of(fitted.booster.predict(fresh), clicks(fresh)))
        found.setdefault("the truth itself", []).append(Told.of(clicks(fresh), clicks(fresh)))
    return {name: mean_of(told) for name, told in found.items()}


def sampled(*, count: int = 200_000) -> dict[str, tuple[Told, Told]]:
    """Learn purchases of two segments, d above 0 and not, whose negatives are kept at .5 and at .05."""
    found: dict[str, list[tuple[Told, Told]]] = {}
    for seed in SEEDS:
        random = np.random.default_rng(seed)
        rows, fresh = (random.normal(size=(count, len(NAMES))) for _ in range(2))
        examples = drawn(rows, purchases(rows), random)
        rates = np.where(rows[:, 3] > 0, 0.5, 0.05)
        kept = (examples.labels > 0) | (random.random(count) < rates)
        some, offsets = examples.where(kept), -np.log(rates[kept])
        ways = {
            "all rows": examples,
            "sampling, by segment": replace(some, offsets=offsets),
            "sampling, not undone": some,
        }
        true, dear = purchases(fresh), fresh[:, 3] > 0
        for name, learned in ways.items():
            said = fit_head(learned, Learning(parameters=TREES)).booster.predict(fresh)
            both = (Told.of(said[dear], true[dear]), Told.of(said[~dear], true[~dear]))
            found.setdefault(name, []).append(both)
    return {
        name: (mean_of([a for a, _ in pairs]), mean_of([b for _, b in pairs]))
        for name, pairs in found.items()
    }


def main() -> None:
    """Print what each way says, as normalized entropy and as predictions over true chances."""
    print("training's options on known chances, mean of three worlds")
    print(f"  loss weight 4 against 1: predictions differ by at most {loss_weight():.0e}")
    for title, made in {"a rare task": rare(), "taste that turns": drift(), "a biased log": biased()}.items():
        print(f"  {title:36} entropy   ratio")
        for name, told in made.items():
            print(f"    {name:34} {told.entropy:.4f}   {told.ratio:.3f}")
    print(f"  {'negatives kept at .5 | at .05':36} entropy   ratio | entropy   ratio")
    for name, (dear, cheap) in sampled().items():
        print(
            f"    {name:34} {dear.entropy:.4f}   {dear.ratio:.3f} | {cheap.entropy:.4f}   {cheap.ratio:.3f}"
        )


if __name__ == "__main__":
    main()
