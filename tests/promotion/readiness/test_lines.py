"""Each line of what is learned: met by a sound surface, and not met where one thing is missing."""

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tasks.evaluation.subjects import ALL, Segment
from tasks.evaluation.verdicts import Outcome
from tasks.promotion.readiness import lines
from tasks.promotion.readiness.facts import AuditTrail, PolicyMove, ReadinessFacts, State
from tasks.reports.numbers import spoken
from tasks.stores.manifest import Role
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
    failed = read(s.evaluated(sound, validation=s.validation(failed=expectation)))
    assert failed.state is State.NOT_MET
    assert f"{expectation} failed: click_1d, buy_2d, back_2d, spend_2d: 7 of 57,600 rows" in failed.why
    absent = read(s.evaluated(sound, validation=s.validation(absent=expectation)))
    assert (absent.state, expectation in absent.why) == (State.NOT_MET, True)
    assert read(s.evaluated(sound, validation=None)).state is State.NOT_MET


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
    assert (line.state, "no outcome measures harm" in line.why) == (State.NOT_MET, True)


def test_without_a_release_or_its_verdict_the_way_to_one_is_named(sound: ReadinessFacts) -> None:
    for read in (lines.maturity_handled, lines.masks, lines.delayed_outcomes, lines.loss_weights_versioned):
        line = read(replace(sound, release=None))
        assert (line.state, "equipoise retrain small_feed" in line.why) == (State.NOT_MET, True)
    unmeasured = lines.masks(s.with_release(sound, reading=None))
    assert (unmeasured.state, "release 7 was not evaluated" in unmeasured.why) == (State.NOT_MET, True)


def _drafted(folder: Path, **changes: dict[str, Any]) -> ReadinessFacts:
    """Return contracts without a release."""
    return ReadinessFacts(s.contracts(folder, **changes))


def test_the_weights_of_the_decision_are_others_than_those_of_the_losses(sound: ReadinessFacts) -> None:
    line = lines.utility_weights_separate(sound)
    assert (line.state, line.why) == (State.MET, "click_1d 1, buy_2d 10, back_2d -5; loss weights 1, 2")


def test_weights_that_were_copied_from_the_losses_are_named(tmp_path: Path) -> None:
    copied = {"weights": {"click_1d": 3.0, "buy_2d": 6.0, "back_2d": -3.0}}
    line = lines.utility_weights_separate(_drafted(tmp_path, utility=copied))
    assert line.state is State.NOT_MET
    assert "equal the loss weights (click_1d 1, buy_2d 2, back_2d 1) times 3" in line.why


def test_a_release_pins_both_policies(sound: ReadinessFacts) -> None:
    line = lines.composition_versioned(sound)
    assert line.state is State.MET
    assert "small_feed.utility_policy version 1, small_feed.slate_policy version 1" in line.why
    assert lines.composition_versioned(replace(sound, release=None)).state is State.NOT_MET


@pytest.mark.parametrize("kind", ["utility", "slate"])
def test_a_policy_that_no_release_pins_is_named_with_the_way_out(sound: ReadinessFacts, kind: str) -> None:
    digests = {**sound.contracts.digests, kind: "other"}
    line = lines.composition_versioned(s.with_manifest(sound, contracts=digests))
    assert line.why == (
        f"release 7 pins another {kind}.yaml than is in force: equipoise policy apply small_feed"
    )
    assert line.state is State.NOT_MET


def test_guardrails_are_listed_and_were_judged(sound: ReadinessFacts) -> None:
    line = lines.guardrails_defined(sound)
    assert (line.state, line.why) == (State.MET, "back_2d_rate; each evaluated for release 7")
    assert line.sources == ("utility.yaml", "run-simulate")
    assert lines.guardrails_defined(replace(sound, release=None)).state is State.MET


def test_a_guardrail_that_could_not_be_judged_is_named(sound: ReadinessFacts) -> None:
    missing = s.verdict("decision", "back_2d_rate", outcome=Outcome.METRIC_MISSING)
    line = lines.guardrails_defined(s.with_verdicts(sound, missing))
    assert (line.state, line.why) == (State.NOT_MET, "back_2d_rate: could not be evaluated for release 7")


@pytest.mark.parametrize("before", [False, True])
def test_a_guardrail_that_was_never_conclusive_is_not_judged(sound: ReadinessFacts, *, before: bool) -> None:
    open_ = s.verdict("decision", "back_2d_rate", outcome=Outcome.INCONCLUSIVE)
    known = frozenset({"back_2d_rate"} if before else ())
    line = lines.guardrails_defined(s.with_release(s.with_verdicts(sound, open_), conclusive_before=known))
    assert line.state is (State.MET if before else State.NOT_MET)
    never = "back_2d_rate: inconclusive of release 7 and of every release before"
    assert (line.why == never) is not before


def test_a_policy_without_guardrails_bounds_nothing(tmp_path: Path) -> None:
    clicks = {"click_1d": {"family": "engagement", "positive": {"event": "click", "within": "P1D"}}}
    alone = {"weights": {"click_1d": 1.0}, "guardrails": [], "relevance_floor": {}}
    line = lines.guardrails_defined(_drafted(tmp_path, tasks={"tasks": clicks}, utility=alone))
    assert line.state is State.NOT_MET


def test_filters_keep_out_what_may_never_be_shown(sound: ReadinessFacts) -> None:
    line = lines.hard_constraints(sound)
    assert (line.state, line.why) == (State.MET, "adult: filters that drop what is unknown too")


def test_a_safety_task_that_is_only_penalised_is_not_met(tmp_path: Path) -> None:
    tasks = {
        "click_1d": {"family": "engagement", "positive": {"event": "click", "within": "P1D"}},
        "report_1d": {"family": "safety", "positive": {"event": "report", "within": "P1D"}},
    }
    utility = {
        "weights": {"click_1d": 1.0, "report_1d": -50.0},
        "guardrails": [{"metric": "report_1d_rate", "relative_increase_max": 0.02}],
        "relevance_floor": {},
        "hard_constraints": [],
    }
    line = lines.hard_constraints(_drafted(tmp_path, tasks={"tasks": tasks}, utility=utility))
    assert line.state is State.NOT_MET
    assert line.why.startswith("report_1d is only penalised or bounded")


def test_filters_do_not_apply_where_nothing_may_never_be_shown(tmp_path: Path) -> None:
    line = lines.hard_constraints(_drafted(tmp_path, utility={"hard_constraints": []}))
    assert line.state is State.NOT_APPLICABLE


def test_a_value_column_is_held_by_a_floor_and_a_guardrail_of_people(sound: ReadinessFacts) -> None:
    line = lines.business_balanced(sound)
    assert (line.state, line.why) == (
        State.MET,
        "buy_2d x margin, held by floors on click_1d and by back_2d_rate",
    )


def test_a_value_column_without_a_floor_is_not_held(tmp_path: Path) -> None:
    line = lines.business_balanced(_drafted(tmp_path, utility={"relevance_floor": {}}))
    assert (line.state, "lacks a relevance floor" in line.why) == (State.NOT_MET, True)


def test_a_guardrail_of_sales_alone_protects_nobody(tmp_path: Path) -> None:
    tasks = {"buy_2d": {"family": "conversion", "positive": {"event": "buy", "within": "P2D"}}}
    utility = {
        "weights": {"buy_2d": {"weight": 1.0, "times": "margin"}},
        "guardrails": [{"metric": "buy_2d_rate", "relative_decrease_max": 0.05}],
        "relevance_floor": {"buy_2d": 0.01},
    }
    line = lines.business_balanced(_drafted(tmp_path, tasks={"tasks": tasks}, utility=utility))
    assert (line.state, "a guardrail on an outcome that is no sale" in line.why) == (State.NOT_MET, True)


def test_without_a_value_column_there_is_no_money_to_balance(tmp_path: Path) -> None:
    weights = {"weights": {"click_1d": 1.0, "buy_2d": 10.0, "back_2d": -5.0}}
    line = lines.business_balanced(_drafted(tmp_path, utility=weights))
    assert line.state is State.NOT_APPLICABLE


def test_slates_follow_rules_and_a_replay_says_how_often(sound: ReadinessFacts) -> None:
    line = lines.slate_reranker(sound)
    assert (line.state, line.why) == (State.MET, "met: max_per category 2 in 87 of 90 slates")
    drafted = lines.slate_reranker(replace(sound, release=None))
    assert (drafted.state, drafted.why) == (State.MET, "max_per category 2")


def test_a_length_alone_is_no_reranker(tmp_path: Path) -> None:
    line = lines.slate_reranker(_drafted(tmp_path, slate={"max_per": {}}))
    assert (line.state, "slates are the sorted list" in line.why) == (State.NOT_MET, True)


def test_every_kind_of_slate_rule_counts(tmp_path: Path) -> None:
    ruled = {
        "max_per": {},
        "max_where": {"seen": 1},
        "min_where_if_available": {"fresh": 1},
        "required_first": "pinned",
        "diversity": {"by": "category", "strength": 0.1},
        "exploration": {"slots": 1, "where": {"column": "fresh", "equals": True}, "salt": "s"},
    }
    assert lines.slate_reranker(_drafted(tmp_path, slate=ruled)).why == (
        "max_where seen 1, min_where_if_available fresh 1, required_first pinned, diversity by category, "
        "exploration in 1 slots"
    )


def test_a_change_that_names_its_experiment_is_tracked(sound: ReadinessFacts) -> None:
    line = lines.changes_tracked(sound)
    assert (line.state, line.why) == (State.MET, "feed-142 for release 7")


@pytest.mark.parametrize(("waiver", "said"), [("a typo", "waived: a typo"), (None, "unsupported")])
def test_a_change_without_an_experiment_is_named(
    sound: ReadinessFacts, waiver: str | None, said: str
) -> None:
    waived = PolicyMove(5, 8, ("utility", "slate"), None, waiver)
    line = lines.changes_tracked(replace(sound, audit=AuditTrail(3, (*sound.audit.policy_moves, waived))))
    assert line.state is State.NOT_MET
    assert line.why == (f"1 of 2 changes name no experiment (row 5: utility.yaml and slate.yaml, {said})")


def test_before_any_change_there_is_nothing_to_track(sound: ReadinessFacts) -> None:
    never = lines.changes_tracked(replace(sound, audit=AuditTrail()))
    assert (never.state, "nothing was promoted yet" in never.why) == (State.NOT_APPLICABLE, True)
    same = lines.changes_tracked(replace(sound, audit=AuditTrail(4)))
    assert same.why == "none of 4 promotions changed tasks or policies"
    one = lines.changes_tracked(replace(sound, audit=AuditTrail(1)))
    assert one.why == "the one promotion changed no tasks or policies"


def test_an_audit_that_cannot_be_believed_tracks_nothing(sound: ReadinessFacts) -> None:
    line = lines.changes_tracked(replace(sound, audit=AuditTrail(problem="row 2 was changed")))
    assert (line.state, line.why) == (State.NOT_MET, "the audit cannot be believed: row 2 was changed")


def test_every_weighed_probability_is_calibrated(sound: ReadinessFacts) -> None:
    line = lines.predictions_calibrated(sound)
    assert line.state is State.MET
    assert line.why == "click_1d, buy_2d, back_2d on the whole; none of 6 segments is shown to be off"
    whole = tuple(one for one in s.reading().verdicts if one.segment == ALL)
    line = lines.predictions_calibrated(s.evaluated(sound, verdicts=whole))
    assert line.why == "click_1d, buy_2d, back_2d on the whole; no segment was evaluated"


@pytest.mark.parametrize("outcome", [Outcome.BLOCK, Outcome.INCONCLUSIVE, Outcome.METRIC_MISSING])
def test_a_task_that_is_not_shown_to_be_calibrated_is_named(sound: ReadinessFacts, outcome: Outcome) -> None:
    off = s.verdict("calibration", "back_2d.calibration_ratio", outcome=outcome)
    line = lines.predictions_calibrated(s.with_verdicts(sound, off))
    assert (line.state, line.why) == (State.NOT_MET, f"back_2d: {spoken(outcome)}")


def test_a_segment_that_is_off_is_named_and_one_that_cannot_be_told_is_not(sound: ReadinessFacts) -> None:
    subject = "click_1d.calibration_ratio"
    off = s.verdict("calibration", subject, Segment("category", "a"), Outcome.BLOCK)
    line = lines.predictions_calibrated(s.with_verdicts(sound, off))
    assert (line.state, line.why) == (State.NOT_MET, f"{subject} at category=a")
    thin = s.verdict("calibration", subject, Segment("category", "a"), Outcome.INCONCLUSIVE)
    assert lines.predictions_calibrated(s.with_verdicts(sound, thin)).state is State.MET


def test_a_task_without_a_calibrator_is_named(sound: ReadinessFacts) -> None:
    assert sound.release is not None
    parts = sound.release.manifest.parts
    bare = tuple(part for part in parts if (part.role, part.task) != (Role.CALIBRATOR, "buy_2d"))
    line = lines.predictions_calibrated(s.with_manifest(sound, parts=bare))
    assert (line.state, line.why) == (State.NOT_MET, "no calibrator is pinned for buy_2d")


def test_segments_were_judged_and_the_harmed_ones_are_named(sound: ReadinessFacts) -> None:
    line = lines.segments_monitored(sound)
    assert (line.state, line.why) == (
        State.MET,
        "6 verdicts on 2 segments of category; none is shown to be harmed",
    )
    off = s.verdict("calibration", "click_1d.calibration_ratio", Segment("category", "b"), Outcome.BLOCK)
    assert lines.segments_monitored(s.with_verdicts(sound, off)).why.endswith("; harmed: category=b")


def test_a_gated_segment_of_which_no_verdict_speaks_is_named(sound: ReadinessFacts) -> None:
    assert sound.release is not None
    assert sound.release.reading is not None
    whole = tuple(v for v in sound.release.reading.verdicts if v.segment == ALL)
    line = lines.segments_monitored(s.evaluated(sound, verdicts=whole))
    assert (line.state, line.why) == (State.NOT_MET, "no segment of category was evaluated for release 7")


def test_a_segment_of_which_every_verdict_is_inconclusive_is_not_judged(sound: ReadinessFacts) -> None:
    assert sound.release is not None
    assert sound.release.reading is not None
    open_ = tuple(
        v if v.segment == ALL else replace(v, outcome=Outcome.INCONCLUSIVE)
        for v in sound.release.reading.verdicts
    )
    line = lines.segments_monitored(s.evaluated(sound, verdicts=open_))
    assert line.state is State.NOT_MET
    assert line.why.endswith(": every verdict on them is inconclusive")


@pytest.mark.parametrize(
    ("surface", "said"),
    [
        ({"segments": [], "gates": {}}, "declares no segments"),
        ({"gates": {}}, "no gate reads category, item_age"),
    ],
)
def test_segments_that_are_not_declared_or_not_gated_are_not_monitored(
    tmp_path: Path, surface: dict[str, Any], said: str
) -> None:
    line = lines.segments_monitored(s.facts(s.contracts(tmp_path, surface=surface)))
    assert (line.state, said in line.why) == (State.NOT_MET, True)


def test_the_components_of_a_slot_are_shown(sound: ReadinessFacts) -> None:
    line = lines.component_view(sound)
    assert line.state is State.MET
    assert line.why == "a slot's utility of 0.5 is made of click_1d 0.25, buy_2d 0.25, back_2d 0.25"


def test_a_term_that_no_composition_shows_is_named(sound: ReadinessFacts) -> None:
    line = lines.component_view(s.evaluated(sound, simulation=s.simulation(terms=("click_1d", "buy_2d"))))
    assert (line.state, line.why) == (State.NOT_MET, "the composition of release 7 lacks back_2d")
    assert lines.component_view(s.evaluated(sound, simulation=None)).state is State.NOT_MET


def test_without_a_release_or_its_verdict_what_was_evaluated_names_the_way(sound: ReadinessFacts) -> None:
    for read in (lines.predictions_calibrated, lines.segments_monitored, lines.component_view):
        missing = read(replace(sound, release=None))
        assert (missing.state, "equipoise retrain small_feed" in missing.why) == (State.NOT_MET, True)
        unmeasured = read(s.with_release(sound, reading=None))
        assert (unmeasured.state, "was not evaluated" in unmeasured.why) == (State.NOT_MET, True)
