"""Each line of what decides: met by a sound surface, and not met where one thing is missing."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tasks.evaluation.verdicts import Outcome
from tasks.promotion.readiness import policies as lines
from tasks.promotion.readiness.facts import AuditTrail, PolicyMove, ReadinessFacts, State
from tests.promotion.readiness import standings as s


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
    assert "are those of the losses (click_1d 1, buy_2d 2, back_2d 1) times 3" in line.why


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
    assert (line.state, line.why) == (State.MET, "back_2d_rate; each judged of release 7")
    assert line.sources == ("utility.yaml", "run-simulate")
    assert lines.guardrails_defined(replace(sound, release=None)).state is State.MET


def test_a_guardrail_that_could_not_be_judged_is_named(sound: ReadinessFacts) -> None:
    missing = s.verdict("decision", "back_2d_rate", outcome=Outcome.METRIC_MISSING)
    line = lines.guardrails_defined(s.with_verdicts(sound, missing))
    assert (line.state, line.why) == (State.NOT_MET, "back_2d_rate: could not be judged of release 7")


@pytest.mark.parametrize("before", [False, True])
def test_a_guardrail_that_was_never_conclusive_is_not_judged(sound: ReadinessFacts, *, before: bool) -> None:
    open_ = s.verdict("decision", "back_2d_rate", outcome=Outcome.INCONCLUSIVE)
    known = frozenset({"back_2d_rate"} if before else ())
    line = lines.guardrails_defined(s.with_release(s.with_verdicts(sound, open_), judged_before=known))
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
    assert (line.state, "a relevance floor is missing" in line.why) == (State.NOT_MET, True)


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
