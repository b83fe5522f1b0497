from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from tasks.arrays import Flags, Integers
from tasks.contracts import load_surface
from tasks.datasets.world.catalog import DAY_US, ineligible, out_of_stock
from tasks.datasets.world.entities import Happened
from tasks.datasets.world.truth import probabilities
from tests.datasets.world.conftest import Drawn

SECOND = 1_000_000


def _event(drawn: Drawn, name: str) -> Happened:
    (kind,) = (e for e in drawn.outcomes.events if e.event == name)
    return kind


def _undisturbed(drawn: Drawn) -> Flags:
    """The rows whose item does not run out, and whose person stays eligible, within the week."""
    days = range(7, 15)
    gone = np.concatenate([out_of_stock(drawn.world.catalog, 5, d).ids for d in days])
    away = np.concatenate([ineligible(5, d, 30_000).ids for d in days])
    return ~np.isin(drawn.shown.item, gone) & ~np.isin(drawn.shown.user, away)


def _agrees(happened: Flags, p: npt.NDArray[np.float64]) -> bool:
    spread = np.sqrt((p * (1 - p)).sum())
    return bool(abs(happened.sum() - p.sum()) < 4 * spread)


def _mark(drawn: Drawn, rows: Integers) -> Flags:
    marks = np.zeros(len(drawn.shown.user), dtype=bool)
    marks[rows] = True
    return marks


@pytest.mark.parametrize(
    ("task", "event"), [("hide_7d", "hide"), ("report_7d", "report"), ("click_30m", "click")]
)
def test_what_happens_is_as_likely_as_the_truth_says(drawn: Drawn, task: str, event: str) -> None:
    p = probabilities(drawn.chance, drawn.shown.position)[task]
    rows = drawn.outcomes.visible if task == "click_30m" else np.ones(len(p), dtype=bool)
    assert _agrees(_mark(drawn, drawn.rows(event))[rows], p[rows])


@pytest.mark.parametrize(("task", "event"), [("add_to_cart_1d", "add_to_cart"), ("purchase_7d", "purchase")])
def test_orders_are_as_likely_as_the_truth_says_where_nothing_prevents_them(
    drawn: Drawn, task: str, event: str
) -> None:
    p = probabilities(drawn.chance, drawn.shown.position)[task]
    rows = _undisturbed(drawn)
    assert 0.85 < rows.mean() < 0.98
    assert _agrees(_mark(drawn, drawn.rows(event))[rows], p[rows])


def test_the_truth_holds_position_by_position(drawn: Drawn) -> None:
    p = probabilities(drawn.chance, drawn.shown.position)["click_30m"]
    clicked = _mark(drawn, drawn.rows("click"))
    for position in range(1, 13):
        rows = drawn.outcomes.visible & (drawn.shown.position == position)
        assert _agrees(clicked[rows], p[rows])


def test_returns_are_as_likely_as_the_truth_says_among_purchases(drawn: Drawn) -> None:
    bought = _mark(drawn, drawn.rows("purchase"))
    assert _agrees(_mark(drawn, drawn.rows("return"))[bought], drawn.chance.give_back[bought])


def test_answers_are_as_happy_as_the_truth_says(drawn: Drawn) -> None:
    survey = _event(drawn, "survey")
    p = probabilities(drawn.chance, drawn.shown.position)["survey_happy_14d"][survey.row]
    assert _agrees(survey.value >= 4, p)
    assert set(survey.value) == {1, 2, 3, 4, 5}


def test_a_long_dwell_and_no_complaint_is_as_likely_as_the_truth_says(drawn: Drawn) -> None:
    dwell = _event(drawn, "dwell")
    content = _mark(drawn, dwell.row[dwell.value >= 60])
    content &= ~_mark(drawn, drawn.rows("hide")) & ~_mark(drawn, drawn.rows("report"))
    assert _agrees(content, probabilities(drawn.chance, drawn.shown.position)["satisfied_7d"])


def test_dwell_seconds_average_to_the_truth(drawn: Drawn) -> None:
    seconds = np.zeros(len(drawn.shown.user))
    dwell = _event(drawn, "dwell")
    seconds[dwell.row] = np.minimum(dwell.value, 1800)
    gap = seconds - probabilities(drawn.chance, drawn.shown.position)["dwell_seconds_1d"]
    assert abs(gap.mean()) < 4 * gap.std() / np.sqrt(len(gap))


def test_nothing_comes_of_what_was_not_rendered(drawn: Drawn) -> None:
    for kind in drawn.outcomes.events:
        assert drawn.outcomes.visible[kind.row].all()
    assert 0.95 < drawn.outcomes.visible.mean() < 0.97


def test_carts_and_purchases_follow_a_click(drawn: Drawn) -> None:
    for event in ("add_to_cart", "purchase", "dwell"):
        assert np.isin(drawn.rows(event), drawn.rows("click")).all()
    assert np.isin(drawn.rows("return"), drawn.rows("purchase")).all()


@pytest.mark.parametrize(
    ("task", "event"),
    [
        ("click_30m", "click"), ("dwell_60s_1d", "dwell"), ("add_to_cart_1d", "add_to_cart"),
        ("purchase_7d", "purchase"), ("hide_7d", "hide"), ("report_7d", "report"),
        ("survey_happy_14d", "survey"),
    ],
)  # fmt: skip
def test_every_event_falls_inside_its_window_and_is_known_before_maturity(
    drawn: Drawn, task: str, event: str
) -> None:
    tasks = load_surface(Path(__file__).parents[3] / "surfaces", "home_feed").tasks
    kind = _event(drawn, event)
    delay = kind.at - drawn.shown.at[kind.row]
    assert delay.min() >= 0
    assert delay.max() < tasks.own_window(task).total_seconds() * SECOND
    known = kind.known_at - drawn.shown.at[kind.row]
    assert known.max() < tasks.maturity(task).total_seconds() * SECOND


def test_a_return_comes_after_its_purchase_and_within_thirty_days(drawn: Drawn) -> None:
    bought, returned = _event(drawn, "purchase"), _event(drawn, "return")
    bought_at = dict(zip(bought.row, bought.at, strict=True))
    delay = returned.at - np.array([bought_at[row] for row in returned.row])
    assert delay.min() > 0
    assert delay.max() < 30 * DAY_US


def test_clicks_come_in_minutes_purchases_in_days_and_returns_in_weeks(drawn: Drawn) -> None:
    middle = {e.event: np.median(e.at - drawn.shown.at[e.row]) / (60 * SECOND) for e in drawn.outcomes.events}
    assert middle["click"] < 5
    assert 60 * 12 < middle["purchase"] < 60 * 48
    assert middle["return"] > 60 * 24 * 5


def test_nothing_is_bought_while_it_is_out_of_stock(drawn: Drawn) -> None:
    bought = _event(drawn, "purchase")
    day, time = np.divmod(bought.at, DAY_US)
    late = 0
    for d in np.unique(day):
        stock = out_of_stock(drawn.world.catalog, 5, int(d))
        since = dict(zip(stock.ids, stock.since, strict=True))
        on_day = day == d
        items = drawn.shown.item[bought.row[on_day]]
        late += sum(t >= since.get(i, DAY_US) for i, t in zip(items, time[on_day], strict=True))
    assert late == 0


def test_bait_draws_clicks_and_hides_together(drawn: Drawn) -> None:
    bait = drawn.world.catalog.bait.true[drawn.shown.item] > 1
    p = probabilities(drawn.chance)
    for task, more in (("click_30m", 1.2), ("hide_7d", 1.8)):
        assert p[task][bait].mean() > more * p[task][~bait].mean()
    for task in ("survey_happy_14d", "satisfied_7d"):
        assert p[task][bait].mean() < p[task][~bait].mean()
