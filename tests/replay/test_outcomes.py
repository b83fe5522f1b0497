"""What a chain of tasks led to, and how what is known stands for what is not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.replay.outcomes import joint_outcome

NAN = np.nan
SHOWN = np.ones(6, dtype=bool)


def test_who_did_not_buy_did_not_return_and_who_did_stands_for_others_who_did() -> None:
    bought = np.array([0.0, 0.0, 0.0, 1.0, 1.0, 1.0])
    returned = np.array([NAN, NAN, NAN, 1.0, 0.0, NAN])
    outcome = joint_outcome({"buy": bought, "back": returned}, ["buy", "back"], shown=SHOWN)
    assert outcome.value.tolist() == [0, 0, 0, 1, 0, 0]
    assert outcome.weight == pytest.approx([1, 1, 1, 1.5, 1.5, 0])


def test_a_child_that_is_not_mature_is_unknown_even_where_its_parent_is_zero() -> None:
    """Else only the zeros of a slow outcome would be known, and its rate would read 0."""
    labels = {"buy": np.array([0.0, 0.0, 1.0, 1.0, 0.0, 0.0]), "back": np.full(6, NAN)}
    outcome = joint_outcome(labels, ["buy", "back"], shown=SHOWN, immature=SHOWN)
    assert not outcome.known.any()


def test_an_answer_needs_a_look_so_answers_from_low_places_stand_for_more() -> None:
    answered = np.array([1.0, NAN, 0.0, NAN, NAN, NAN])
    looks = np.array([1.0, 1.0, 0.5, 0.5, 0.5, 0.5])
    outcome = joint_outcome({"happy": answered}, ["happy"], shown=SHOWN, answered_at=looks)
    # 2 answers of 4 looks: an answer has the probability looks / 2
    assert outcome.weight == pytest.approx([2, 0, 4, 0, 0, 0])
    assert not outcome.looked_at


@given(st.lists(st.sampled_from([0.0, 1.0, None]), min_size=3, max_size=40))
def test_the_known_rows_stand_for_all_shown_rows(labels: list[float | None]) -> None:
    column = np.array([NAN if y is None else y for y in labels])
    shown = np.arange(len(labels)) % 3 != 0
    outcome = joint_outcome({"click": column}, ["click"], shown=shown)
    known = shown & np.isfinite(column)
    assert outcome.known.tolist() == known.tolist()
    if known.any():
        assert outcome.weight.sum() == pytest.approx(shown.sum())
