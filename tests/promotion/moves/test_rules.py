"""A held release moves only by a declared role, for declared gates, with a reason, and it is written everywhere."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.contracts.gates import Overridable, OverrideRule, Ramp
from tasks.errors import ContractError, GateRefused
from tasks.evaluation.release_evidence import EvidenceRuns, GateEvidence
from tasks.evaluation.subjects import ALL, NO_THRESHOLD, SAME_DAY, Segment, Subject
from tasks.evaluation.verdicts import Estimate, Outcome, Verdict
from tasks.pipeline import recheck
from tasks.promotion.decision import explain_verdict
from tasks.promotion.gates.policy import changed_contracts
from tasks.promotion.moves.answers import Signing
from tasks.promotion.moves.rules import (
    Actor,
    Override,
    PromotionRequest,
    PromotionSupport,
    PromotionTerms,
    choose_share,
    is_liftable,
    lift_verdicts,
    refuse_verdict,
    require_support,
)
from tasks.release import view
from tasks.stores.store import Store
from tasks.stores.workspace import Workspace
from tests.feeds import mini
from tests.feeds.mini import NAME
from tests.promotion.moves.moving import MODEL, approve, moved_aliases, prepared, promote_2
from tests.verdicts import bound, subject

EVIDENCE = "e" * 64
PLAIN = {"surface": "feed", "release": 4, "as_of": "", "verdict": "promote"}
NOTHING: dict[str, object] = {"manifest": {}, "rules": {}, "calibration_in_slots": {}} | dict.fromkeys(
    ("reasons", "warnings", "notes", "gates", "sensitivity"), ()
)
RUNS = EvidenceRuns("validation", "release", "simulation", "shadow")


def a_case(
    champion: int | None = 3,
    changed: tuple[str, ...] = (),
    terms: PromotionTerms = PromotionTerms(),  # noqa: B008 - frozen
    **of_gate: object,
) -> PromotionRequest:
    gate = GateEvidence.model_validate({**PLAIN, **NOTHING, "runs": RUNS, **of_gate})
    return PromotionRequest(gate, champion, changed, EVIDENCE, terms)


@pytest.mark.parametrize("changed", ["tasks", "utility", "slate"])
def test_a_contract_with_another_digest_is_a_change(changed: str) -> None:
    champion = {"surface": "s", "tasks": "t", "utility": "u", "slate": "l"}
    assert changed_contracts(champion | {changed: "x"}, champion) == (changed,)


def test_another_surface_yaml_is_no_change_of_what_people_get() -> None:
    champion = {"surface": "s", "tasks": "t", "utility": "u", "slate": "l"}
    assert changed_contracts(champion | {"surface": "x"}, champion) == ()


def test_a_held_release_is_refused_with_its_first_reasons() -> None:
    reasons = tuple(f"reason {n}" for n in range(5))
    with pytest.raises(
        GateRefused, match="compared with champion 3: reason 0; reason 1; reason 2 and 2 more"
    ):
        refuse_verdict(a_case(verdict="hold", reasons=reasons))


def test_what_only_inconclusive_evidence_holds_is_champion_after_a_ramp_alone() -> None:
    held = a_case(verdict="hold", reasons=("reordering only",), canary_permitted=True)
    for terms in (PromotionTerms(share=0.05), PromotionTerms(was_canary=True)):
        refuse_verdict(replace(held, terms=terms))
    with pytest.raises(GateRefused, match="may be champion after a ramp"):
        refuse_verdict(held)
    gate = held.gate.model_copy(update={"canary_permitted": False})
    blocked = replace(held, gate=gate, terms=PromotionTerms(was_canary=True))
    with pytest.raises(GateRefused, match="reordering only"):
        refuse_verdict(blocked)


def test_a_release_is_champion_at_the_end_of_its_ramp() -> None:
    ramp, aliases, live = Ramp(guardrails=("hide_7d_rate",)), {"champion": 1}, {2: False}
    with pytest.raises(GateRefused, match="has not reached the end of its ramp"):
        choose_share(ramp, stage="champion", release=2, aliases=aliases, live=live)
    assert choose_share(ramp, stage="champion", release=2, aliases=aliases, live={2: True}) is None


def test_a_release_that_its_gates_let_through_is_not_refused() -> None:
    request = a_case()
    refuse_verdict(request)
    assert request.gate.verdict == "promote"


def test_changed_policies_want_an_experiment_or_a_waiver() -> None:
    with pytest.raises(ContractError, match=r"changes tasks\.yaml and utility\.yaml of champion 3"):
        require_support(a_case(changed=("tasks", "utility")))
    for support in (PromotionSupport(experiment="feed-142"), PromotionSupport(waiver="no traffic yet")):
        require_support(a_case(changed=("tasks", "utility"), terms=PromotionTerms(support=support)))


def test_the_same_policies_want_neither() -> None:
    request = a_case()
    require_support(request)
    assert (request.changed, request.terms.support) == ((), PromotionSupport())


def test_an_experiment_and_a_waiver_exclude_each_other() -> None:
    with pytest.raises(ContractError, match="exclude each other"):
        require_support(a_case(terms=PromotionTerms(support=PromotionSupport("feed-142", "no traffic yet"))))


RULE = OverrideRule(role="lead", gates=("decision", "model", "shadow"))
WHY = "the sale of the year begins tonight"


def verdict(gate: str, name: str, outcome: Outcome = Outcome.BLOCK) -> Verdict:
    return Verdict(gate, subject(name), ALL, outcome, bound("<= 1"), Estimate(2.0, 1.5, 2.5, 90))


def lift(
    *verdicts: Verdict, rule: OverrideRule | None = RULE, inconclusive: Literal["hold", "warn"] = "warn"
) -> Override:
    return lift_verdicts(verdicts, rule=rule, why=WHY, safety={"report"}, inconclusive=inconclusive)


def test_each_verdict_that_holds_is_named_and_what_passes_is_not() -> None:
    lifted = lift(verdict("decision", "buy_rate"), verdict("shadow", "overlap_at_k", Outcome.PASS))
    assert (lifted.role, lifted.why) == ("lead", WHY)
    assert lifted.verdicts == (explain_verdict(verdict("decision", "buy_rate")),)


@pytest.mark.parametrize("metric", ["auc_drop", "auc_by_request_drop", "normalized_entropy_rise"])
def test_a_comparison_with_the_champions_recipe_is_one_to_lift_as_that_with_the_champion(metric: str) -> None:
    lifted = lift(verdict("model", f"buy.{metric}"), verdict("model", f"buy.{metric} vs {SAME_DAY}"))
    assert len(lifted.verdicts) == 2


def test_what_cannot_be_told_is_lifted_where_the_surface_lets_it_hold() -> None:
    untold = verdict("decision", "buy_rate", Outcome.INCONCLUSIVE)
    assert len(lift(untold, inconclusive="hold").verdicts) == 1
    with pytest.raises(ContractError, match="nothing to override"):
        lift(untold)


@pytest.mark.parametrize(
    ("gate", "name"),
    [
        ("data", "validation"),
        ("data", "buy.rows"),
        ("lineage", "buy.task"),
        ("policy", "hard_constraints"),
        ("constraints", "policy_violation"),  # leaks
        ("calibration", "buy.ratio"),  # not declared
        ("decision", "report_rate"),  # a safety task
        ("decision", "component_share:report"),
        ("model", "report.auc_drop"),
        ("model", "report.auc_drop vs the champion's recipe"),
        ("model", "buy.auc"),  # too good to be true, or no better than a constant
        ("model", "buy.auc_by_request of price alone"),
        ("model", "buy.normalized_entropy"),
    ],
)
def test_what_is_for_nobody_to_lift_holds_beside_what_is(gate: str, name: str) -> None:
    with pytest.raises(GateRefused, match="lead may lift decision, model, shadow, and never this") as raised:
        lift(verdict("decision", "buy_rate"), verdict(gate, name))
    assert explain_verdict(verdict(gate, name)) in str(raised.value)
    assert "buy rate" not in str(raised.value)


@pytest.mark.parametrize("task", ["buy", "report"], ids=["a task", "a safety task"])
@pytest.mark.parametrize(
    "metric", ["normalized_entropy_fall", "normalized_entropy_fall vs the champion's recipe"]
)
def test_the_cause_of_a_gain_is_the_reason_that_lifts_it(task: str, metric: str) -> None:
    """Otherwise an honest gain would hold every later release too."""
    lifted = lift(verdict("model", f"{task}.{metric}"))
    assert lifted.why == WHY
    assert lifted.verdicts == (explain_verdict(verdict("model", f"{task}.{metric}")),)


def test_what_may_be_a_canary_alone_is_for_nobody_to_lift_to_champion() -> None:
    reordered = replace(verdict("decision", "observed_utility", Outcome.INCONCLUSIVE), holds="champion")
    with pytest.raises(GateRefused, match="never this: decision"):
        lift(reordered)


def test_without_a_declaration_or_a_reason_nothing_is_lifted() -> None:
    with pytest.raises(ContractError, match="declares no override"):
        lift(verdict("decision", "buy_rate"), rule=None)
    with pytest.raises(ContractError, match="needs a reason"):
        lift_verdicts([verdict("decision", "buy_rate")], rule=RULE, why=" ", safety=(), inconclusive="warn")


@given(
    st.sampled_from(
        ["data", "lineage", "policy", "constraints", "parity", "reports", "proxies", "unheard_of"]
    ),
    st.builds(Subject, *[st.text(max_size=20)] * 8),
)
def test_a_gate_that_no_contract_can_declare_is_never_lifted(gate: str, judged: Subject) -> None:
    every = OverrideRule(role="lead", gates=get_args(Overridable))
    held = Verdict(gate, judged, ALL, Outcome.BLOCK, bound(""), Estimate(math.nan, math.nan, math.nan, 0))
    assert not is_liftable(held, rule=every, safety=frozenset())


HOSTILE = ["buy.auc_drop", "refit_shift", "auc_drop of", "normalized_entropy_fall", "report", "x.refit"]


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize(
    "metric", ["auc", "auc_by_request", "normalized_entropy", "relative_squared_error_rise"]
)
def test_no_name_of_a_task_feature_or_segment_makes_a_verdict_liftable(metric: str, name: str) -> None:
    """What is too good to be true is for nobody, whatever is named like a comparison with the champion."""
    every = OverrideRule(role="lead", gates=get_args(Overridable))
    for judged in (
        Subject(metric, task=name),
        Subject(metric, task="buy", feature=name),
        Subject("auc_drop", task="buy", feature=name),
        Subject("auc_drop", task="buy", baseline=name),
    ):
        held = Verdict("model", judged, Segment(name, name), Outcome.BLOCK, NO_THRESHOLD, None)
        assert not is_liftable(held, rule=every, safety=frozenset())


@pytest.mark.parametrize("metric", ["rate", "given", "predicted", "component_share", "refit_shift", "ndcg"])
@pytest.mark.parametrize("safety", ["report", "auc_drop", "a.b", "all"])
def test_a_safety_task_is_protected_by_its_field_whatever_it_is_called(metric: str, safety: str) -> None:
    every = OverrideRule(role="lead", gates=get_args(Overridable))
    gate = "model" if metric == "refit_shift" else "decision"
    for judged in (Subject(metric, task=safety), Subject(metric, task="buy", parent=safety)):
        held = Verdict(gate, judged, ALL, Outcome.BLOCK, NO_THRESHOLD, None)
        assert not is_liftable(held, rule=every, safety=frozenset({safety}))
    other = Verdict(
        gate, Subject(metric, task="buy"), Segment("kind", str(safety)), Outcome.BLOCK, NO_THRESHOLD, None
    )
    assert is_liftable(other, rule=every, safety=frozenset({safety}))


def hold_by_shadow(plain: dict[str, Any]) -> None:
    """Ask for slates that are the champion's, and let the role that reviews safety say otherwise."""
    plain["gates"]["shadow"]["overlap_at_k_min"] = 1.0
    plain["override"] = {"role": "safety", "gates": ["shadow"]}


@pytest.fixture
def held(workspace: Workspace, tmp_path: Path) -> Workspace:
    there = mini.changed(workspace, tmp_path, surface=hold_by_shadow)
    with pytest.raises(
        GateRefused, match="held, compared with champion 1: shadow: overlap with the champion's slots"
    ):
        prepared(there)
    return there


def test_an_override_asks_its_role_even_where_one_may_sign_alone_and_is_written_everywhere(
    held: Workspace,
) -> None:
    with pytest.raises(
        GateRefused, match=r"Nobody approved for product.*Nobody approved for safety"
    ) as asked:
        promote_2(held, override=WHY)
    assert f"--override '{WHY}'" in str(asked.value)
    approve(held, prepared(held, override=WHY).evidence)
    with pytest.raises(GateRefused, match="on evidence"):
        promote_2(held, override="another reason")
    moved = promote_2(held, override=WHY, evaluate_gate=recheck).moved
    assert moved is not None
    assert moved.override is not None
    assert moved.override.startswith(f"{WHY} (safety lifts shadow: overlap with the champion's slots")
    assert moved_aliases(held) == {"champion": 2, "previous": 1}
    assert view.show(held, "champion")["override"] == moved.override
    assert view.history(held)[-1]["override"] == moved.override
    registry = Store.open(held.home).registry
    assert registry.description(registry.part(MODEL, 2)).startswith(f"**Overridden**: {WHY}")
    newest = max(held.reports.glob("dossier-release-2*.html"), key=lambda page: page.stat().st_mtime_ns)
    assert f"an override is requested: {WHY}" in newest.read_text(encoding="utf-8")
    assert Store.open(held.home).audit(NAME).entries()[-1] == moved


def test_approvals_of_the_release_as_it_is_are_none_of_its_override(held: Workspace) -> None:
    """What was approved before the gates became stricter names no override."""
    given = prepared(held, override=WHY).terms
    assert given.override is not None
    approve(held, "e" * 64)
    with pytest.raises(GateRefused, match="on evidence"):
        promote_2(held, override=WHY)


@pytest.mark.parametrize("run", ["", "manual__1"])
def test_whoever_asks_for_an_override_it_takes_more_than_one_person(held: Workspace, run: str) -> None:
    part, request = held.releases.part(2), prepared(held, override=WHY)
    assert Signing.of(held, part, Actor("ana", run), request.terms, loosened=()).apart
    assert not Signing.of(held, part, Actor("ana", run), PromotionTerms(), loosened=()).apart


def test_what_the_gates_let_through_is_not_overridden(workspace: Workspace, tmp_path: Path) -> None:
    def declare(plain: dict[str, Any]) -> None:
        plain["override"] = {"role": "safety", "gates": ["shadow"]}

    with pytest.raises(ContractError, match="No verdict holds the release"):
        prepared(mini.changed(workspace, tmp_path, surface=declare), override=WHY)


def test_data_that_cannot_be_told_hold_whatever_is_said(workspace: Workspace, tmp_path: Path) -> None:
    def ask_more(plain: dict[str, Any]) -> None:
        hold_by_shadow(plain)
        plain["gates"]["data"]["rows"] = 10**9
        plain["gates"]["inconclusive"] = "hold"

    with pytest.raises(
        GateRefused, match=r"safety may lift shadow, and never this: data: test rows of .*: inconclusive"
    ):
        prepared(mini.changed(workspace, tmp_path, surface=ask_more), override=WHY)
    assert moved_aliases(workspace) == {"champion": 1}
