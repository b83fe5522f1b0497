"""The heat map places predictions above its diagonal; a proxy is drawn tenth by tenth."""

import json
import math
from datetime import date
from typing import Any

import numpy as np
import pytest

from tasks.evaluation.release_evidence import ProxyEvidence
from tasks.evaluation.task_pairs import ConflictEvidence, PairEvidence, Tenth, measure_conflicts
from tasks.evaluation.verdicts import Estimate
from tasks.promotion.pages.task_pairs import (
    DEEPEST,
    Cell,
    TenthMark,
    describe_overlaps,
    draw_heat_map,
    draw_proxy,
)


def pair(first: str, second: str, predictions: float, outcomes: float) -> PairEvidence:
    return PairEvidence(tasks=(first, second), predictions=predictions, outcomes=outcomes, rows=9)


def test_each_pair_has_a_cell_on_both_sides_of_the_diagonal() -> None:
    pairs = (pair("click", "hide", 1.0, -0.404), pair("like", "hide", -0.001, math.nan))
    drawn = draw_heat_map(ConflictEvidence(tasks=("click", "like", "hide"), pairs=pairs, at_top=()))
    assert drawn is not None
    assert drawn.cells == [
        Cell(190 + 2 * 64, 120, "1.00", "together", DEEPEST),
        Cell(190, 120 + 2 * 32, "-0.40", "apart", 0.4),
        Cell(190 + 2 * 64, 120 + 32, "0.00", "apart", 0.0),
        Cell(190 + 64, 120 + 2 * 32, "?", "unknown", 0.15),
    ]
    assert (drawn.width, drawn.height) == (190 + 3 * 64 + 90, 120 + 3 * 32 + 8)


def test_one_task_alone_has_nothing_to_go_with() -> None:
    assert draw_heat_map(ConflictEvidence(tasks=("click",), pairs=(), at_top=())) is None
    assert draw_heat_map(None) is None


RNG = np.random.default_rng(3)
N = 3000
BAIT = RNG.random(N)
PREDICTIONS = {"click": BAIT, "like": 1 - BAIT + 0.1 * RNG.random(N), "<hide>": BAIT**2}


@pytest.fixture(scope="module")
def found() -> ConflictEvidence:
    outcomes = {name: (RNG.random(N) < 0.5 * p).astype(float) for name, p in PREDICTIONS.items()}
    outcomes["like"] = np.full(N, np.nan)
    users = RNG.integers(200, size=N)
    return measure_conflicts(PREDICTIONS, outcomes, users, costs=["<hide>"])


def test_it_is_plain_json_of_every_pair(found: ConflictEvidence) -> None:
    plain = found.to_json()
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert [pair.tasks for pair in found.pairs] == [
        ("click", "like"),
        ("click", "<hide>"),
        ("like", "<hide>"),
    ]
    assert found.pairs[1].predictions == pytest.approx(1)
    assert plain["pairs"][0]["outcomes"] is None


def test_words_name_what_is_a_costs_top_more_often_than_by_chance(found: ConflictEvidence) -> None:
    [said] = describe_overlaps(found)
    assert said.startswith("click: 1")
    assert said.endswith("of its top tenth is in <hide>'s, by chance 0.1")


LOW = Tenth(0.1, Estimate(0.2, 0.1, 0.3, 9), rows=5, positives=1)
TOP = Tenth(0.4, Estimate(0.1, math.nan, math.nan, 9), rows=7, positives=2)


def proxy(*tenths: Tenth, **more: Any) -> ProxyEvidence:
    plain = {"fast": "click", "slow": "watched", "days": (date(2026, 1, 1), date(2026, 1, 7)), "cost": False}
    plain |= {"learned": False, "mean": Estimate(0.15, 0.1, 0.2, 9), "gap": Estimate(-0.1, -0.2, -0.05, 9)}
    return ProxyEvidence.model_validate({**plain, "worst_at_top": True, "tenths": tenths, **more})


def test_tenths_stand_side_by_side_below_the_highest_end_of_an_interval() -> None:
    drawn = draw_proxy(proxy(LOW, TOP))
    assert drawn.marks == [
        TenthMark(x=60 + 125, y=82.7, interval=(149.3, 16.0), predicted=0.1, tone=""),
        TenthMark(x=60 + 375, y=149.3, interval=None, predicted=0.4, tone="warn"),
    ]
    assert drawn.mean == 116.0
    assert drawn.ticks == [(216.0, "0"), (16.0, "0.3")]
    assert (drawn.rows, drawn.positives) == (12, 3)


def test_outcomes_that_are_all_0_lie_on_the_ground() -> None:
    nothing = Tenth(0.1, Estimate(0.0, 0.0, 0.0, 9), rows=5, positives=0)
    assert [mark.y for mark in draw_proxy(proxy(nothing)).marks] == [216.0]


def test_where_no_row_knows_both_there_is_no_mark() -> None:
    assert draw_proxy(proxy()).marks == ()
