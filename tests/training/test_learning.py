"""A loss says to LightGBM what is minimised."""

from tasks.training.learning import Learning, Loss


def test_a_quantile_and_a_power_go_to_their_own_objectives() -> None:
    assert Loss("quantile", quantile=0.9).settings == {
        "objective": "quantile",
        "metric": "quantile",
        "alpha": 0.9,
    }
    assert Loss("tweedie", power=1.2).settings["tweedie_variance_power"] == 1.2
    assert Loss("l2").settings == {"objective": "regression", "metric": "l2"}


def test_log_loss_is_minimised_by_default() -> None:
    assert Learning().loss.settings == {"objective": "binary", "metric": "binary_logloss"}
