"""Why a label has, or has not, a value: the first status that applies, by hand."""

import pytest

from tests.labels.engine import Story, tasks

CLICK = {"event": "click", "within": "PT2H"}
BUY = {"event": "buy", "within": "PT10H"}
OUT = {"event": "stock_out", "on": "item"}


# -- maturity


@pytest.mark.parametrize(("as_of", "told"), [(2.99, "immature"), (3, 0), (3.01, 0)])
def test_a_label_is_known_from_its_maturity_on(story: Story, as_of: float, told: object) -> None:
    story.shown("r", 1)
    assert story.told(tasks(t={"positive": CLICK}), "t", as_of=as_of) == {"r": told}


def test_a_positive_is_no_label_before_its_maturity(story: Story) -> None:
    story.shown("r", 1).event("click", 1)
    spec = tasks(t={"positive": CLICK, "maturity": "PT5H"})
    assert story.told(spec, "t", as_of=5) == {"r": "immature"}
    assert story.told(spec, "t", as_of=6) == {"r": 1}


def test_a_child_waits_for_the_sum_along_its_chain(story: Story) -> None:
    spec = tasks(buy={"positive": BUY}, back={"positive": {**CLICK, "after": "buy"}})
    story.shown("r", 1).event("buy", 2)
    assert story.told(spec, "back", as_of=12.99) == {"r": "immature"}
    assert story.told(spec, "back", as_of=13) == {"r": 0}


def test_a_label_waits_for_the_task_that_it_is_observed_by(story: Story) -> None:
    spec = tasks(
        buy={"positive": BUY, "maturity": "PT20H"}, t={"positive": CLICK, "observed_when": {"task": "buy"}}
    )
    story.shown("r", 1).event("buy", 2)
    assert story.told(spec, "t", as_of=20.99) == {"r": "immature"}
    assert story.told(spec, "t", as_of=21) == {"r": 0}


def test_a_composite_matures_with_its_slowest_part(story: Story) -> None:
    spec = tasks(
        click={"positive": CLICK}, buy={"positive": BUY}, both={"compose": {"all_of": ["click", "buy"]}}
    )
    story.shown("r", 1)
    assert story.told(spec, "both", as_of=10.99) == {"r": "immature"}
    assert story.told(spec, "both", as_of=11) == {"r": 0}


@pytest.mark.parametrize("as_of", [3, 12, 24, 40, 41, 100])
def test_a_delayed_outcome_is_never_a_negative(story: Story, as_of: float) -> None:
    """It came back at hour 20, ten hours after the purchase: before that is known there is no label at all."""
    spec = tasks(
        buy={"positive": {**BUY, "within": "PT20H"}},
        back={"positive": {"event": "back", "within": "PT20H", "after": "buy"}},
        kept={"compose": {"all_of": ["buy"], "none_of": ["back"]}},
    )
    story.shown("r", 1).event("buy", 10).event("back", 20)
    assert story.told(spec, "back", as_of=as_of) == {"r": "immature" if as_of < 41 else 1}
    assert story.told(spec, "kept", as_of=as_of) == {"r": "immature" if as_of < 41 else 0}


# -- not applicable


def test_masks_stand_instead_of_negatives(story: Story) -> None:
    """Nothing was bought by any of them: only what could have been bought, and is over, is a negative."""
    spec = tasks(
        buy={"positive": BUY, "observed_when": {"column": "visible"}, "exclude": [OUT]},
        back={"positive": {**BUY, "event": "back", "after": "buy"}},
        happy={"positive": {**BUY, "event": "happy"}, "observed_when": {"event": ["happy", "sad"]}},
    )
    story.shown("over", 1, 1).shown("unseen", 1, 2, visible=False).shown("nobody", 1, 3, user_id=None)
    story.shown("gone", 1, 4).shown("early", 99, 5).event("stock_out", 2, 4)
    masked = {"unseen": "not_applicable", "nobody": "not_applicable", "gone": "excluded", "early": "immature"}
    assert story.told(spec, "buy", as_of=100) == {"over": 0, **masked}
    no_purchase_no_answer = dict.fromkeys(("over", "unseen", "nobody", "gone"), "not_applicable")
    assert story.told(spec, "back", as_of=100) == {**no_purchase_no_answer, "early": "immature"}
    assert story.told(spec, "happy", as_of=100) == {**no_purchase_no_answer, "early": "immature"}


@pytest.mark.parametrize(
    ("visible", "told"), [(True, 0), (False, "not_applicable"), (None, "not_applicable")]
)
def test_a_column_that_is_not_true_is_no_observation(
    story: Story, visible: bool | None, told: object
) -> None:
    story.shown("r", 1, visible=visible)
    assert story.told(tasks(t={"positive": CLICK, "observed_when": {"column": "visible"}}), "t") == {
        "r": told
    }


def test_no_answer_is_no_label_and_an_answer_of_any_value_is_one(story: Story) -> None:
    survey = {"positive": {"event": "survey", "within": "PT2H", "value_at_least": 4}}
    spec = tasks(t={**survey, "observed_when": {"event": "survey"}})
    story.shown("happy", 1, 1).shown("cross", 1, 2).shown("silent", 1, 3).shown("empty", 1, 4)
    story.event("survey", 2, 1, value=5).event("survey", 2, 2, value=1).event("survey", 2, 4, value=None)
    assert story.told(spec, "t") == {"happy": 1, "cross": 0, "silent": "not_applicable", "empty": 0}


def test_the_answer_must_be_credited_under_the_tasks_own_window_and_credit(story: Story) -> None:
    spec = tasks(t={"positive": {**CLICK, "credit": "last_touch"}, "observed_when": {"event": "asked"}})
    story.shown("early", 0).shown("r", 1).shown("s", 2).event("asked", 2.5)
    assert story.told(spec, "t") == {"early": "not_applicable", "r": "not_applicable", "s": 0}


def test_a_child_is_learned_where_its_parent_is_observed_and_positive(story: Story) -> None:
    spec = tasks(
        buy={"positive": BUY, "observed_when": {"column": "visible"}},
        back={"positive": {**BUY, "event": "back", "after": "buy"}},
    )
    story.shown("bought", 1, 1).shown("not", 1, 2).shown("unseen", 1, 3, visible=False)
    story.event("buy", 2, 1).event("buy", 2, 3).event("back", 3, 3)
    assert story.told(spec, "back") == {"bought": 0, "not": "not_applicable", "unseen": "not_applicable"}


def test_a_null_user_is_not_applicable_only_where_the_user_is_matched_on(story: Story) -> None:
    spec = tasks(t={"positive": CLICK}, by_item={"positive": {**CLICK, "match": ["item_id"]}})
    story.shown("r", 1, user_id=None).event("click", 1, user_id=None)
    assert story.told(spec, "t") == {"r": "not_applicable"}
    assert story.told(spec, "by_item") == {"r": 1}


# -- excluded


@pytest.mark.parametrize(("hour", "told"), [(0.99, 0), (1, "excluded"), (2.99, "excluded"), (3, 0)])
def test_an_exclusion_inside_the_window_takes_the_row_out(story: Story, hour: float, told: object) -> None:
    story.shown("r", 1).event("stock_out", hour, user_id=None)
    assert story.told(tasks(t={"positive": CLICK, "exclude": [OUT]}), "t") == {"r": told}


def test_an_exclusion_takes_a_positive_row_out_too(story: Story) -> None:
    story.shown("r", 1).event("click", 1.5).event("stock_out", 2)
    labels = story.labels(tasks(t={"positive": CLICK, "exclude": [OUT]}))
    assert labels["r", 1]["t"] == (None, "excluded", None)


@pytest.mark.parametrize(("click", "told"), [(1.5, 1), (2, 1), (2.5, "excluded"), (None, "excluded")])
def test_before_positive_spares_what_was_positive_by_then(
    story: Story, click: float | None, told: object
) -> None:
    """The stock ran out at hour 2; at that very instant is not before."""
    story.shown("r", 1).event("stock_out", 2)
    if click is not None:
        story.event("click", click)
    assert story.told(tasks(t={"positive": CLICK, "exclude": [{**OUT, "before_positive": True}]}), "t") == {
        "r": told
    }


def test_exclusions_match_on_item_user_or_columns(story: Story) -> None:
    outs = [OUT, {"event": "barred", "on": "user"}, {"event": "closed", "on": ["kind"]}]
    spec = tasks(t={"positive": CLICK, "exclude": outs})
    story.shown("item", 1, 1).shown("user", 1, 2, user_id="v").shown("kind", 1, 3, kind="y").shown(
        "not", 1, 4
    )
    story.shown("null", 1, 5, kind=None)
    story.event("stock_out", 1, 1, user_id="v").event("barred", 1, 1, user_id="v")
    story.event("closed", 1, 4, kind="y").event("closed", 1, 4, kind=None)
    assert story.told(spec, "t") == {
        "item": "excluded", "user": "excluded", "kind": "excluded", "not": 0, "null": 0,
    }  # fmt: skip


def test_a_childs_exclusion_lies_in_the_childs_window(story: Story) -> None:
    spec = tasks(
        buy={"positive": BUY}, back={"positive": {**BUY, "event": "back", "after": "buy"}, "exclude": [OUT]}
    )
    story.shown("at", 0, 1).shown("after", 0, 2).event("buy", 1, 1).event("buy", 1, 2)
    story.event("stock_out", 1, 1).event("stock_out", 1.5, 2)
    assert story.told(spec, "back") == {"at": 0, "after": "excluded"}


def test_the_first_status_that_applies_is_told(story: Story) -> None:
    spec = tasks(t={"positive": CLICK, "exclude": [OUT], "observed_when": {"column": "visible"}})
    story.shown("r", 1, visible=False).event("stock_out", 2).event("click", 1)
    assert story.told(spec, "t", as_of=2.5) == {"r": "immature"}
    assert story.told(spec, "t", as_of=3) == {"r": "not_applicable"}


def test_a_parents_exclusion_leaves_its_event_where_it_was(story: Story) -> None:
    """The parent is excluded, so the child has no label; the window of its rival is not affected."""
    spec = tasks(
        buy={"positive": BUY, "exclude": [OUT]},
        back={"positive": {**BUY, "event": "back", "after": "buy", "credit": "last_touch"}},
    )
    story.shown("r", 0).shown("s", 5).event("buy", 6).event("back", 9).event("stock_out", 12)
    assert story.told(spec, "back") == {"r": 0, "s": "not_applicable"}


# -- composites

PARTS = {
    "a": {"positive": {"event": "a", "within": "PT2H"}},
    "b": {"positive": {"event": "b", "within": "PT2H"}},
    "c": {"positive": {"event": "c", "within": "PT2H"}},
}


@pytest.mark.parametrize(("events", "label"), [("a", 0), ("ab", 1), ("b", 0), ("abc", 0), ("ac", 0), ("", 0)])
def test_all_of_all_one_any_of_one_none_of_none(story: Story, events: str, label: int) -> None:
    spec = tasks(**PARTS, t={"compose": {"all_of": ["a"], "any_of": ["b"], "none_of": ["c"]}})
    story.shown("r", 1)
    for event in events:
        story.event(event, 1)
    assert story.labels(spec)["r", 1]["t"] == (label, "observed", None)


def test_a_composite_of_an_unknown_part_is_no_label_even_where_another_decides(story: Story) -> None:
    """Deciding earlier would keep zeros and lose ones: ``a`` is 0 already."""
    seen = {**PARTS["b"], "observed_when": {"column": "visible"}}
    spec = tasks(a=PARTS["a"], b=seen, t={"compose": {"all_of": ["a", "b"]}})
    story.shown("r", 1, visible=None)
    assert story.told(spec, "a") == {"r": 0}
    assert story.told(spec, "t") == {"r": "not_applicable"}


def test_who_did_not_buy_did_not_return(story: Story) -> None:
    spec = tasks(
        buy={"positive": BUY},
        back={"positive": {**BUY, "event": "back", "after": "buy"}},
        again={"positive": {**BUY, "event": "buy", "after": "back"}},
        kept={"compose": {"none_of": ["back", "again"]}},
    )
    story.shown("not", 1, 1).shown("kept", 1, 2).shown("back", 1, 3)
    story.event("buy", 2, 2).event("buy", 2, 3).event("back", 3, 3)
    assert story.told(spec, "back") == {"not": "not_applicable", "kept": 0, "back": 1}
    assert story.told(spec, "kept") == {"not": 1, "kept": 1, "back": 0}


def test_a_part_that_another_task_observes_is_0_where_that_one_is_known_to_be_0(story: Story) -> None:
    spec = tasks(
        a=PARTS["a"], b={**PARTS["b"], "observed_when": {"task": "a"}}, t={"compose": {"none_of": ["b"]}}
    )
    story.shown("no", 1, 1).shown("yes", 1, 2).event("a", 1, 2).event("b", 1, 2)
    assert story.told(spec, "b") == {"no": "not_applicable", "yes": 1}
    assert story.told(spec, "t") == {"no": 1, "yes": 0}


def test_an_excluded_part_is_not_known(story: Story) -> None:
    spec = tasks(t={"positive": CLICK, "exclude": [OUT]}, both={"compose": {"any_of": ["t"]}})
    story.shown("r", 1).event("stock_out", 1)
    assert story.told(spec, "both") == {"r": "not_applicable"}


def test_a_composite_can_be_a_part_and_can_observe(story: Story) -> None:
    spec = tasks(
        a=PARTS["a"], b=PARTS["b"],
        either={"compose": {"any_of": ["a", "b"]}},
        neither={"compose": {"none_of": ["either"]}},
        c={**PARTS["c"], "observed_when": {"task": "either"}},
    )  # fmt: skip
    story.shown("some", 1, 1).shown("none", 1, 2).event("a", 1, 1)
    assert story.told(spec, "neither") == {"some": 0, "none": 1}
    assert story.told(spec, "c") == {"some": 0, "none": "not_applicable"}


def test_a_value_task_and_a_composite_have_no_crediting_event(story: Story) -> None:
    spec = tasks(
        t={"kind": "value", "value": {"event": "click", "within": "PT2H", "aggregate": "count"}},
        a={"positive": CLICK}, both={"compose": {"all_of": ["a"]}},
    )  # fmt: skip
    story.shown("r", 1).event("click", 1)
    labels = story.labels(spec)["r", 1]
    assert (labels["t"].at, labels["both"].at) == (None, None)
    assert labels["a"].at is not None
