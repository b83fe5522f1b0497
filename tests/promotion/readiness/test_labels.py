"""Each line of what is learned: met by a sound surface, and not met where one thing is missing."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from tasks.promotion.readiness import labels as lines
from tasks.promotion.readiness.facts import ReadinessFacts, State
from tests.promotion.readiness import standings as s


def test_each_task_has_an_outcome_and_a_head(sound: ReadinessFacts) -> None:
    line = lines.tasks_explicit(sound)
    assert line.state is State.MET
    assert line.why.startswith("4 tasks of 3 families")


def test_a_release_without_a_head_for_a_task_is_not_explicit(sound: ReadinessFacts) -> None:
    assert sound.release is not None
    parts = tuple(part for part in sound.release.manifest.parts if part.task != "buy_2d")
    line = lines.tasks_explicit(s.with_manifest(sound, parts=parts))
    assert (line.state, line.why) == (State.NOT_MET, "release 7 has no head for buy_2d")


def test_a_head_that_no_contract_declares_is_named(sound: ReadinessFacts) -> None:
    assert sound.release is not None
    stray = replace(sound.release.manifest.parts[0], name="small_feed.task.like", task="like")
    line = lines.tasks_explicit(s.with_manifest(sound, parts=(*sound.release.manifest.parts, stray)))
    assert line.why == "release 7 has a head for like, which no contract trains"


def test_an_order_by_one_composite_alone_mixes_outcomes(tmp_path: Path) -> None:
    mixed = {
        "click_1d": {"family": "engagement", "positive": {"event": "click", "within": "P1D"}},
        "good_1d": {"family": "satisfaction", "compose": {"any_of": ["click_1d"]}},
    }
    utility = {"weights": {"good_1d": 1.0}, "guardrails": [], "relevance_floor": {}}
    line = lines.tasks_explicit(
        ReadinessFacts(s.contracts(tmp_path, tasks={"tasks": mixed}, utility=utility))
    )
    assert line.state is State.NOT_MET
    assert "rests on 'good_1d' alone, which mixes click_1d" in line.why


def test_windows_are_listed_before_there_is_a_release(sound: ReadinessFacts) -> None:
    line = lines.windows_defined(replace(sound, release=None))
    assert (line.state, line.why) == (
        State.MET,
        "click_1d 1 day, buy_2d 2 days, back_2d 4 days, spend_2d 2 days",
    )


def test_labels_that_were_built_by_other_windows_are_named(sound: ReadinessFacts) -> None:
    assert sound.release is not None
    snapshot = replace(sound.release.manifest.snapshot, contract_digest="other")
    line = lines.windows_defined(s.with_manifest(sound, snapshot=snapshot))
    assert line.state is State.NOT_MET
    assert "snapshot abc123" in line.why


def test_parts_that_learned_from_mature_days_are_met(sound: ReadinessFacts) -> None:
    line = lines.maturity_handled(sound)
    assert line.state is State.MET
    assert "back_2d after 4 days" in line.why


@pytest.mark.parametrize(("day", "state"), [(11, State.MET), (12, State.NOT_MET)])
def test_a_part_that_learned_from_a_day_whose_windows_were_open_is_named(
    sound: ReadinessFacts, day: int, state: State
) -> None:
    assert sound.release is not None  # back_2d matures 4 days after an impression; the as-of is the 16th
    parts = tuple(
        replace(part, newest_training_row=date(2026, 2, day)) if part.task == "back_2d" else part
        for part in sound.release.manifest.parts
    )
    line = lines.maturity_handled(s.with_manifest(sound, parts=parts))
    assert line.state is state
    assert ("small_feed.task.back_2d version 3" in line.why) is (state is State.NOT_MET)


@pytest.mark.parametrize(
    ("read", "expectation"),
    [
        (lines.masks, "expect_label_value_only_when_observed"),
        (lines.masks, "expect_conditional_label_only_where_parent_positive"),
        (lines.delayed_outcomes, "expect_no_label_observed_before_maturity"),
    ],
)
def test_what_was_validated_of_the_labels_is_met_and_a_failure_or_a_gap_is_not(
    sound: ReadinessFacts, read: type, expectation: str
) -> None:
    line = read(sound)
    assert (line.state, line.sources) == (State.MET, ("run-validate",))
    assert "0 of 57,600 rows" in line.why
    failed = read(s.judged(sound, validation=s.validation(failed=expectation)))
    assert failed.state is State.NOT_MET
    assert f"{expectation} failed: click_1d, buy_2d, back_2d, spend_2d: 7 of 57,600 rows" in failed.why
    absent = read(s.judged(sound, validation=s.validation(absent=expectation)))
    assert (absent.state, expectation in absent.why) == (State.NOT_MET, True)
    assert read(s.judged(sound, validation=None)).state is State.NOT_MET


def test_loss_weights_are_pinned_by_version(sound: ReadinessFacts) -> None:
    line = lines.loss_weights_versioned(sound)
    assert line.state is State.MET
    assert line.why.startswith("buy_2d 2; release 7 pins tasks.yaml version 1")


def test_other_loss_weights_than_the_release_pins_are_not_versioned(sound: ReadinessFacts) -> None:
    line = lines.loss_weights_versioned(s.with_manifest(sound, contracts={"tasks": "other"}))
    assert (line.state, "pins another tasks.yaml" in line.why) == (State.NOT_MET, True)


def test_negative_outcomes_cost_and_are_guarded(sound: ReadinessFacts) -> None:
    line = lines.negatives_handled(sound)
    assert (line.state, line.why) == (State.MET, "back_2d (costs and guarded)")


def test_a_surface_without_negative_outcomes_knows_no_harm(tmp_path: Path) -> None:
    tasks = {"tasks": {"click_1d": {"family": "engagement", "positive": {"event": "click", "within": "P1D"}}}}
    utility = {"weights": {"click_1d": 1.0}, "guardrails": [], "relevance_floor": {}}
    line = lines.negatives_handled(ReadinessFacts(s.contracts(tmp_path, tasks=tasks, utility=utility)))
    assert (line.state, "says what people suffer from" in line.why) == (State.NOT_MET, True)


def test_without_a_release_or_its_verdict_the_way_to_one_is_named(sound: ReadinessFacts) -> None:
    for read in (lines.maturity_handled, lines.masks, lines.delayed_outcomes, lines.loss_weights_versioned):
        line = read(replace(sound, release=None))
        assert (line.state, "equipoise retrain small_feed" in line.why) == (State.NOT_MET, True)
    unjudged = lines.masks(s.with_release(sound, judgement=None))
    assert (unjudged.state, "release 7 was not judged" in unjudged.why) == (State.NOT_MET, True)
