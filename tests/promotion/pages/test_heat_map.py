"""The heat map places predictions above its diagonal and outcomes below it, blue together and red apart."""

import math

from tasks.evaluation.conflicts import ConflictEvidence, PairEvidence
from tasks.promotion.pages.heat_map import DEEPEST, Cell, draw_heat_map


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
