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
    examined = np.array([1.0, 1.0, 0.5, 0.5, 0.5, 0.5])
    outcome = joint_outcome({"happy": answered}, ["happy"], shown=SHOWN, answered_at=examined)
    # 2 answers of 4 looks: an answer has the probability looks / 2
    assert outcome.weight == pytest.approx([2, 0, 4, 0, 0, 0])
    assert not outcome.by_examination


def test_known_labels_stand_for_unknown_ones_at_their_own_position() -> None:
    """Of the first place all 60 labels are known, of the second 15 of 60: one share would be 75 of 120."""
    label = np.r_[np.zeros(60), np.ones(15), np.full(45, NAN)]
    places = np.repeat([1.0, 2.0], 60)
    outcome = joint_outcome({"click": label}, ["click"], shown=np.ones(120, dtype=bool), positions=places)
    assert outcome.weight == pytest.approx(np.r_[np.ones(60), np.full(15, 4.0), np.zeros(45)])
    assert outcome.unseen is None


def test_every_link_of_a_chain_has_its_own_share_at_a_position() -> None:
    """Returns are known of every sale from the first place, and of 30 of 60 from the second."""
    bought = np.r_[np.tile([1.0, 0.0], 60), np.tile([1.0, 0.0], 60)]
    returned = np.where(bought == 1, 0.0, NAN)
    returned[120 + 2 * np.arange(30)] = NAN
    places = np.repeat([1.0, 2.0], 120)
    labels = {"buy": bought, "back": returned}
    outcome = joint_outcome(labels, ["buy", "back"], shown=np.ones(240, dtype=bool), positions=places)
    sold = bought == 1
    assert outcome.weight[sold & (places == 1)] == pytest.approx(np.ones(60))
    assert outcome.weight[sold & (places == 2)] == pytest.approx(np.repeat([0.0, 2.0], 30))
    assert outcome.weight[~sold] == pytest.approx(np.ones(120))


def test_neighbouring_positions_are_pooled_until_fifty_rows_tell_their_share() -> None:
    """60, 30 and 30, then 10 at the end, which join the pool above them; and no position at all is one."""
    places = np.repeat([1.0, 2.0, 3.0, 4.0], [60, 30, 30, 10])
    label = np.where(np.arange(130) % 2 == 0, 0.0, NAN)
    label[:60] = 0.0
    label[60:75] = 0.0
    outcome = joint_outcome({"click": label}, ["click"], shown=np.ones(130, dtype=bool), positions=places)
    known = np.isfinite(label)
    below = np.arange(130) >= 60
    assert outcome.weight[known & ~below] == pytest.approx(np.ones(60))
    assert outcome.weight[known & below] == pytest.approx(
        np.full((known & below).sum(), 70 / known[60:].sum())
    )
    unplaced = joint_outcome({"click": label}, ["click"], shown=np.ones(130, dtype=bool))
    assert unplaced.weight[known] == pytest.approx(np.full(known.sum(), 130 / known.sum()))


def test_a_position_where_hardly_any_label_is_known_is_unseen() -> None:
    """Of 100 labels 3 are known: not used, since each would stand for 33 others."""
    label = np.r_[np.zeros(100), np.ones(3), np.full(97, NAN)]
    places = np.repeat([1.0, 2.0], 100)
    outcome = joint_outcome({"click": label}, ["click"], shown=np.ones(200, dtype=bool), positions=places)
    assert outcome.unseen is not None
    assert outcome.unseen.tolist() == (places == 2).tolist()
    assert outcome.known.tolist() == (places == 1).tolist()


def test_answers_may_be_few_everywhere_and_unseen_is_where_they_are_few_beside_the_best_place() -> None:
    """2 in 100 answer at the first place, 1 in 100 at the second, none of 100 at the third."""
    answer = np.full(300, NAN)
    answer[[0, 1, 100]] = 1.0
    places, examined = np.repeat([1.0, 2.0, 3.0], 100), np.repeat([1.0, 0.9, 0.8], 100)
    shown = np.ones(300, dtype=bool)
    made = joint_outcome({"happy": answer}, ["happy"], shown=shown, positions=places, answered_at=examined)
    assert made.weight[[0, 1, 100]] == pytest.approx([50, 50, 100])
    assert made.unseen is not None
    assert made.unseen.tolist() == (places == 3).tolist()


@given(st.lists(st.sampled_from([0.0, 1.0, None]), min_size=3, max_size=40))
def test_the_known_rows_stand_for_all_shown_rows(labels: list[float | None]) -> None:
    column = np.array([NAN if y is None else y for y in labels])
    shown = np.arange(len(labels)) % 3 != 0
    outcome = joint_outcome({"click": column}, ["click"], shown=shown)
    known = shown & np.isfinite(column)
    assert outcome.known.tolist() == known.tolist()
    if known.any():
        assert outcome.weight.sum() == pytest.approx(shown.sum())
