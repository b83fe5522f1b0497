from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from scipy.integrate import quad
from scipy.stats import lognorm, norm

from tasks.arrays import Flags, Integers
from tasks.contracts import Contracts, load_surface
from tasks.contracts.surface import ExaminationSpec
from tasks.datasets.world.catalog import DAY_US, ineligible, out_of_stock
from tasks.datasets.world.entities import (
    DWELL_CLIP_SECONDS,
    EXAMINATION,
    SLOTS,
    VALUES,
    VISIBLE_RATE,
    Happened,
)
from tasks.datasets.world.truth import DWELL_LOG_SD, Chances, linger, mean_dwell, probabilities
from tests.datasets.world.conftest import Drawn


@pytest.fixture
def chance() -> Chances:
    return Chances(
        click=np.array([0.2]),
        log_dwell=np.log([60.0]),
        cart=np.array([0.5]),
        buy_from_cart=np.array([0.4]),
        buy_from_click=np.array([0.1]),
        give_back=np.array([0.3]),
        hide_after_click=np.array([0.02]),
        hide_without_click=np.array([0.01]),
        report=np.array([0.001]),
        happy=np.array([0.5]),
        answers_happy=np.array([0.1]),
        answers_unhappy=np.array([0.3]),
    )


@pytest.fixture
def contracts() -> Contracts:
    return load_surface(Path(__file__).parents[3] / "surfaces", "home_feed")


def test_the_probabilities_of_one_impression_by_hand(chance: Chances) -> None:
    p = {task: values[0] for task, values in probabilities(chance).items()}
    assert p["click_30m"] == pytest.approx(0.2)
    assert p["dwell_60s_1d"] == pytest.approx(0.96 * 0.2 * 0.5)
    assert p["add_to_cart_1d"] == pytest.approx(0.96 * 0.2 * 0.5)
    assert p["purchase_7d"] == pytest.approx(0.96 * 0.2 * (0.5 * 0.4 + 0.5 * 0.1))
    assert p["return_30d"] == pytest.approx(p["purchase_7d"] * 0.3)
    assert p["hide_7d"] == pytest.approx(0.96 * (0.2 * 0.02 + 0.8 * 0.01))
    assert p["report_7d"] == pytest.approx(0.96 * 0.001)
    assert p["survey_happy_14d"] == pytest.approx(0.05 / (0.05 + 0.15))
    assert p["satisfied_7d"] == pytest.approx(0.96 * 0.2 * 0.5 * 0.98 * 0.999)


def test_the_reference_is_the_first_position(chance: Chances) -> None:
    at_first = probabilities(chance, np.array([1]))
    assert {t: v[0] for t, v in probabilities(chance).items()} == {t: v[0] for t, v in at_first.items()}


def test_examination_multiplies_all_but_the_answer_of_those_who_answered(chance: Chances) -> None:
    reference, last = probabilities(chance), probabilities(chance, np.array([SLOTS]))
    for task in reference:
        factor = 1 if task == "survey_happy_14d" else EXAMINATION[SLOTS - 1]
        assert last[task] == pytest.approx(reference[task] * factor)


def test_lingering_is_a_normal_tail_of_the_log_seconds() -> None:
    assert linger(np.array([4.5]))[0] == pytest.approx(norm.sf(np.log(60), 4.5, DWELL_LOG_SD))


@pytest.mark.parametrize("log_dwell", [2.0, 4.0, 6.5])
def test_the_mean_dwell_is_the_integral_of_its_tail(log_dwell: float) -> None:
    tail = lognorm(DWELL_LOG_SD, scale=np.exp(log_dwell)).sf
    assert mean_dwell(np.array([log_dwell]))[0] == pytest.approx(
        quad(tail, 0, DWELL_CLIP_SECONDS, limit=200)[0]
    )


def test_the_contract_declares_the_curve_of_the_simulation(contracts: Contracts) -> None:
    examination = contracts.surface.examination
    assert isinstance(examination, ExaminationSpec)
    assert examination.by_position == EXAMINATION
    assert contracts.surface.reference_position == 1
    assert len(EXAMINATION) == SLOTS


def test_every_task_of_the_contract_has_a_truth_and_no_other(contracts: Contracts, chance: Chances) -> None:
    assert set(contracts.tasks.tasks) == set(probabilities(chance))
    assert {n for n, task in contracts.tasks.tasks.items() if task.kind == "value"} <= set(VALUES)
    dwell = contracts.tasks.tasks["dwell_seconds_1d"].value
    assert dwell is not None
    assert dwell.clip == (0, DWELL_CLIP_SECONDS)


def test_what_the_simulation_conditions_on_the_contract_conditions_on(contracts: Contracts) -> None:
    observed = {n: t.observed_when for n, t in contracts.tasks.tasks.items() if t.observed_when}
    assert set(observed) == {"click_30m", "survey_happy_14d"}
    assert observed["click_30m"].column == "visible"
    assert 0 < VISIBLE_RATE < 1


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
