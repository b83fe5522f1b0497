"""The evidence of a training and of a validation."""

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
