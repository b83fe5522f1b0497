"""The parts of a season: stand-ins of heads, outcomes, series, the harm of releases, and the tables."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.eight_weeks import alarms, releases
from benchmarks.operated.days import Outcomes, sample, series_of, truth_for_heads
from benchmarks.operated.releases import (
    BETTER,
    EQUAL,
    LOST_COSTS,
    NO_COSTS,
    SHUFFLED,
    Release,
    Truth,
    levelled,
    train,
)
from benchmarks.operated.season import Ended, Season
from benchmarks.operating_worlds.truth import looks, weighted_mean
from tasks.contracts import load_surface
from tasks.datasets.world.entities import Drift
from tasks.datasets.world.loop import ClosedLoop, LoopDay, Served
from tasks.ranking.utility import compute_utilities

TASKS = ("click_30m", "satisfied_7d", "hide_7d", "report_7d")
CONTRACTS = load_surface(Path("surfaces"), "home_feed")
UTILITY = CONTRACTS.utility.model_copy(
    update={
        "weights": {task: CONTRACTS.utility.weights[task] for task in TASKS},
        "contexts": (),
    }
)


@dataclass(frozen=True)
class Played:
    """A day that an equal release served, with its candidates and what heads know of them."""

    loop: ClosedLoop
    day: LoopDay
    candidates: pd.DataFrame
    truth: Truth


def release(kind: str, truth: Truth, items: int) -> Release:
    return train(2, kind, looks=np.full(items, 200.0), log=truth, seed=1, policies=(UTILITY, CONTRACTS.slate))


def play(drift: Mapping[Drift, int] | None = None) -> Played:
    loop = ClosedLoop(seed=2, requests_per_day=300, days=1, drifts=drift)
    kept: dict[str, pd.DataFrame] = {}

    def serve(candidates: pd.DataFrame) -> Served:
        kept["candidates"] = candidates
        truth = of_batch(loop)
        one = release(EQUAL, truth, len(loop.world.catalog.born))
        assert loop.offered is not None
        return one.serve(candidates, truth, loop.offered.item.ravel(), arm="control")

    day = loop.play(serve)
    return Played(loop, day, kept["candidates"], of_batch(loop))


def of_batch(loop: ClosedLoop) -> Truth:
    assert loop.offered is not None
    truth = truth_for_heads(loop.world, loop.offered, frozenset(), learned=False)
    return {task: truth[task] for task in TASKS}


@pytest.fixture(scope="module")
def played() -> Played:
    return play()


def changes(played: Played, kind: str) -> tuple[float, float]:
    """Return the true change of utility and of hides against an equal retrain."""
    items, item = len(played.loop.world.catalog.born), played.day.batch.item.ravel()
    slots = []
    for one in (release(kind, played.truth, items), release(EQUAL, played.truth, items)):
        decided = one.decide(played.candidates, one.predict(played.truth, item))
        slots.append(looks(decided.slate_position))
    value = compute_utilities(
        played.candidates, {f"p_{task}": values for task, values in played.truth.items()}, UTILITY
    ).utility
    ours, theirs = (weighted_mean(value, of) for of in slots)
    hides = [weighted_mean(played.truth["hide_7d"], of) for of in slots]
    return ours / theirs - 1, hides[0] / hides[1] - 1


@pytest.mark.parametrize("kind", [NO_COSTS, LOST_COSTS, SHUFFLED])
def test_a_harmful_release_truly_harms(played: Played, kind: str) -> None:
    utility, hides = changes(played, kind)
    assert utility < -0.02
    assert hides > 0.15 or kind == SHUFFLED


def test_better_heads_gain(played: Played) -> None:
    assert changes(played, BETTER)[0] > 0


def test_what_breaks_in_serving_is_equal_offline(played: Played) -> None:
    items, item = len(played.loop.world.catalog.born), played.day.batch.item.ravel()
    offline = release(LOST_COSTS, played.truth, items).predict(played.truth, item)
    equal = release(EQUAL, played.truth, items).predict(played.truth, item)
    assert all((offline[name] == values).all() for name, values in equal.items())


def test_levels_make_predictions_sum_to_outcomes(played: Played) -> None:
    outcomes, shown = Outcomes.of(played.day), played.day.shown
    of_shown = {task: values[shown.row] for task, values in played.truth.items()}
    labels = {task: outcomes.labels[task] for task in TASKS}
    one = release(EQUAL, played.truth, len(played.loop.world.catalog.born))
    level = levelled(one, shown=of_shown, item=shown.item, outcomes=labels)
    predicted = level.predict(of_shown, shown.item)["p_click_30m"]
    known = np.isfinite(labels["click_30m"])
    assert predicted[known].sum() == pytest.approx(labels["click_30m"][known].sum())


def test_old_heads_miss_a_season_and_use_broken_features() -> None:
    season = play({Drift.SEASON: 0}).loop
    assert season.offered is not None
    on = frozenset({Drift.SEASON})
    old, new = (truth_for_heads(season.world, season.offered, on, learned=which) for which in (False, True))
    assert not np.allclose(old["click_30m"], new["click_30m"])
    broken = frozenset({Drift.BROKEN_FEATURE})
    blind = truth_for_heads(season.world, season.offered, broken, learned=True)
    affinity = season.offered.affinity.seen.ravel()
    assert abs(np.corrcoef(np.log(blind["click_30m"]), affinity)[0, 1]) < 0.2
    assert np.corrcoef(np.log(old["click_30m"]), affinity)[0, 1] > 0.3


def test_a_day_is_read_as_outcomes_series_and_a_sample(played: Played) -> None:
    outcomes = Outcomes.of(played.day)
    assert (outcomes.labels["satisfied_7d"] <= outcomes.labels["dwell_60s_1d"]).all()
    satisfied = outcomes.labels["satisfied_7d"] == 1
    assert (outcomes.labels["hide_7d"][satisfied] == 0).all()
    series = pd.DataFrame(series_of(played.day, outcomes))
    assert series.loc[series["metric"] == "share", "value"].sum() == pytest.approx(1)
    assert series.loc[series["metric"] == "rows", "value"].item() == len(played.day.shown.row)
    kept = sample(played.day, outcomes, (played.truth, played.truth))
    shown = kept.candidates[kept.candidates["shown"]]
    assert shown["hide_7d"].notna().all()
    assert len(kept.item) == len(kept.candidates)


def test_tables_count_ends_and_alarms() -> None:
    held = Ended(2, NO_COSTS, end="gate")
    stopped = Ended(3, NO_COSTS, end="stage 2", days=6, asked=1, lost=0.01, hides=0.02)
    season = Season(1, drift="price", releases=[held, stopped], alarms=[("rows", -9), ("rows", 4)])
    assert list(releases("gate", [season])) == [
        "| gate | no costs | 2 | gate 1, stage 2 1 | 6 | 1.0 | +1.0% | +2.0% |"
    ]
    assert list(alarms([season])) == ["| price | 1 | 1 | 1 | 4 |"]
