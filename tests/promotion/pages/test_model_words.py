"""Figures of the model gate in words: no sentence is of equal figures that one is better."""

import pytest

from tasks.evaluation.subjects import Subject
from tasks.promotion.pages.model_words import is_share, say_figure


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("auc_drop", "it tells candidates where people opened it from others as well as the champion"),
        (
            "normalized_entropy_rise",
            "predicting whether people opened it, its error over that of a constant is as high as the champion's",
        ),
    ],
)
def test_equal_figures_are_said_to_be_equal(what: str, words: str) -> None:
    assert say_figure(Subject(what, task="open"), "opened it", 0.0) == words


def test_the_name_of_a_feature_is_kept_whole_whatever_it_holds() -> None:
    hebrew = "\u05e0\u05e2\u05dc"
    assert say_figure(Subject("auc_by_request", feature="price alone"), "opened it", 1.0).startswith(
        "by price alone alone, of"
    )
    assert say_figure(Subject("auc", feature=hebrew), "opened it", 1.0).startswith(
        f"by \u2068{hebrew}\u2069 alone, of"
    )


def test_what_has_no_words_is_said_by_its_name_elsewhere() -> None:
    assert say_figure(Subject("rows"), "opened it", 7.0) == ""
    assert not is_share(Subject("rows"))
    assert is_share(Subject("refit_shift"))
