"""The evidence of a training and of a validation."""

from datetime import date

import pytest
from pydantic import ValidationError

from tasks.contracts.metrics import MetricKind
from tasks.evaluation.evidence import LabelCalendar, TaskDays
from tasks.evaluation.subjects import Subject
from tests.evaluation import written


def test_the_parameters_of_the_trees_stand_apart() -> None:
    training = written.document("training")
    assert training.trees["num_leaves"] == training.parameters["lightgbm.num_leaves"] == 21
    assert "objective" not in training.trees
    assert training.search.best.number == 1


def test_a_refit_says_which_model_it_repeats_and_has_no_figures() -> None:
    refit = written.document("training_of_a_refit")
    assert refit.repeats[0] == 1
    assert refit.test is None
    assert written.document("training").repeats is None


def test_the_failures_of_a_validation_are_in_words() -> None:
    validation = written.document("validation")
    assert validation.failures == ()
    first = validation.expectations[0]
    failed = validation.model_copy(
        update={
            "expectations": (type(first)("labels", "expect_x", "click", "critical", False, "0.2", "why"),)
        }
    )
    assert failed.failures == ("labels: expect_x (0.2)",)


def of_days(observed: tuple[int, ...]) -> TaskDays:
    return TaskDays(task="click", observed=observed, positive=(0,), immature=(0,), left_out=(0,))


def test_a_calendar_is_read_as_it_was_written() -> None:
    calendar = LabelCalendar(days=(date(2026, 3, 1),), tasks=(of_days((3,)),))
    assert LabelCalendar.model_validate(calendar.to_json()) == calendar


def test_counts_of_other_days_are_refused() -> None:
    with pytest.raises(ValidationError, match="'click' has 2 counts for 1 days"):
        LabelCalendar(days=(date(2026, 3, 1),), tasks=(of_days((3, 4)),))


def test_every_metric_says_its_kind_and_its_task() -> None:
    measured = written.document("simulation").measured
    subjects = {one.subject for one in measured}
    assert subjects >= {
        Subject(MetricKind.CALIBRATION, task="click_30m"),
        Subject(MetricKind.PREDICTED, task="hide_2d"),
        Subject(MetricKind.COMPONENT_SHARE, task="hide_2d"),
        Subject(MetricKind.NAIVE_NDCG, task="click_30m"),
        Subject(MetricKind.EXPECTED_UTILITY),
    }


def test_a_first_release_is_compared_with_nothing() -> None:
    assert written.document("shadow_of_a_first_release").comparison is None
    assert written.document("shadow").comparison.overlap_at_k.known
