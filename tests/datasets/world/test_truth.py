from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import lognorm, norm

from tasks.contracts import Contracts, load_surface
from tasks.contracts.surface import ExaminationSpec
from tasks.datasets.world.entities import DWELL_CLIP_SECONDS, EXAMINATION, SLOTS, VALUES, VISIBLE_RATE
from tasks.datasets.world.truth import DWELL_LOG_SD, Chances, linger, mean_dwell, probabilities


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
