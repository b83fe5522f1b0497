"""A release measured against its baseline: what is judged, and what no log can be asked."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tasks.contracts import Contracts, UtilitySpec
from tasks.contracts.load import find_problems
from tasks.contracts.metrics import Metric, MetricKind, known_metrics, metric_columns
from tasks.contracts.problems import Problem
from tasks.contracts.slate import Exposure
from tasks.contracts.surface import SurfaceSpec
from tasks.contracts.tasks import Family
from tasks.evaluation.clustered import Ratio
from tasks.evaluation.evidence import Measured
from tasks.evaluation.subjects import ALL, RATCHET, Segment
from tasks.evaluation.verdicts import Estimate, Outcome, Verdict
from tasks.promotion.decision import decide_release, explain_verdict
from tasks.replay import slates
from tasks.replay.entrants import baseline_order
from tasks.replay.evaluate import Findings, OfflineEvaluation, evaluate_components, evaluate_offline
from tasks.replay.evidence import SimulationEvidence
from tasks.replay.log import PolicySlates
from tasks.replay.metrics import REORDERING, examined_by, measure_slots, per_examined
from tasks.replay.off_policy_check import check_off_policy
from tasks.replay.read_log import join_blocks, read_block
from tasks.replay.slates import Scored
from tests.contracts.files import setting
from tests.feeds import mini
from tests.known import known
from tests.replay.test_page import UNMEASURED
from tests.verdicts import bound, subject

RATE = Measured(
    subject=subject("click_rate"),
    segment=ALL,
    reference_model="release 1",
    policy=Estimate(0.1, 0.08, 0.12, 900),
    baseline=Estimate(0.2, 0.18, 0.22, 900),
    relative=Estimate(-0.5, -0.6, -0.4, 900),
)
UTILITY = replace(
    RATE,
    subject=subject("expected_utility"),
    policy=Estimate(3.0, 2.0, 4.0, 900),
)


def findings_of(*measured: Measured) -> Findings:
    return Findings("logged order", [], list(measured), {})


def test_the_expected_utility_is_that_of_the_policy() -> None:
    assert findings_of(RATE, UTILITY).expected_utility == 3.0


def test_without_a_measured_utility_the_expected_utility_is_not_a_number() -> None:
    assert math.isnan(findings_of(RATE, replace(UTILITY, policy=None)).expected_utility)


def _share(share: float) -> Measured:
    shown = Estimate(share, share - 0.001, share + 0.001, 9)
    name = "component_share:click"
    return replace(UNMEASURED, subject=subject(name), policy=shown, reason="")


@pytest.mark.parametrize(("share", "decided"), [(0.005, "nothing"), (-0.005, "nothing"), (0.95, "all")])
def test_a_component_that_decides_nothing_or_all_is_a_warning(share: float, decided: str) -> None:
    (verdict,) = evaluate_components([_share(share)], run="7")
    assert (verdict.outcome, str(verdict.subject), verdict.evidence) == (
        Outcome.WARN,
        "component_share:click",
        "7",
    )
    assert f"it decides nearly {decided}" in explain_verdict(verdict)


@pytest.mark.parametrize("share", [0.01, 0.5, -0.2, 0.9])
def test_a_component_that_decides_with_others_is_no_verdict(share: float) -> None:
    assert list(evaluate_components([_share(share), UNMEASURED], run="7")) == []


def test_a_component_that_could_not_be_measured_is_no_verdict() -> None:
    unmeasured = replace(_share(0.5), policy=None, reason="no candidate has a utility")
    assert list(evaluate_components([unmeasured], run="7")) == []


LATENCY = {"metric": "latency_p99_ms", "max": 200}


def _changed(contracts: Contracts, **changes: object) -> Contracts:
    plain = contracts.utility.model_dump(mode="json") | changes
    return replace(contracts, utility=UtilitySpec.model_validate(plain))


def evaluation_of(test: slates.TestSlice, scored: Scored) -> OfflineEvaluation:
    return OfflineEvaluation(test.contracts, test.log, scored.slates, baseline_order(test, scored))


@pytest.fixture(scope="module")
def evaluation(tested_slice: slates.TestSlice, scored: Scored) -> OfflineEvaluation:
    return evaluation_of(tested_slice, scored)


@pytest.fixture(scope="module")
def same(evaluation: OfflineEvaluation) -> PolicySlates:
    """A release with the same slates."""
    return replace(evaluation.policy, name="release 1")


def judge(evaluation: OfflineEvaluation, **others: PolicySlates) -> Findings:
    return evaluate_offline(evaluation, others, run="r")


def changed(evaluation: OfflineEvaluation, **changes: object) -> OfflineEvaluation:
    return replace(evaluation, contracts=_changed(evaluation.contracts, **changes))


@pytest.fixture(scope="module")
def found(evaluation: OfflineEvaluation) -> Findings:
    return judge(evaluation)


def test_the_primary_comes_first_and_is_compared_with_the_baseline(found: Findings) -> None:
    primary, ratchet = found.verdicts[:2]
    assert (str(primary.subject), primary.holds) == ("observed_utility", True)
    assert primary.against == "", "the baseline of the decision"
    assert (ratchet.outcome, ratchet.reason) == (Outcome.NO_RULE, "fewer than four promotions so far")


def test_each_of_several_primaries_is_judged_by_its_own_margin_on_the_whole_and_in_segments(
    evaluation: OfflineEvaluation, same: PolicySlates
) -> None:
    margins = {"purchase_2d_rate": 0.5, "ndcg_click_30m": 0.03}
    primaries = [{"metric": name, "relative_decrease_max": margin} for name, margin in margins.items()]
    contracts = _changed(evaluation.contracts, primary=primaries)
    verdicts = judge(
        replace(evaluation, contracts=contracts, baseline=same, anchors={RATCHET: same})
    ).verdicts
    segments = len({one.segment.column for one in verdicts if one.segment != ALL})
    assert segments == len(contracts.surface.segments)
    for name, margin in margins.items():
        own = [one for one in verdicts if one.subject.name == name]
        whole, ratchet, *by_segment = own
        assert (whole.holds, whole.threshold.low, whole.outcome) == (True, -margin, Outcome.PASS)
        assert ratchet.threshold.low == -margin
        assert {one.threshold.low for one in by_segment} == {-2 * margin}
        assert {one.segment.column for one in by_segment} == {one.name for one in contracts.surface.segments}


def test_a_release_passes_only_if_every_primary_does(evaluation: OfflineEvaluation) -> None:
    slot, length = evaluation.policy.slot, evaluation.contracts.slate.length
    upside_down = replace(evaluation.policy, name="worst", slot=np.where(slot > 0, length + 1 - slot, 0))
    primaries = [
        {"metric": "coverage", "relative_decrease_max": 0.9},
        {"metric": "ndcg_click_30m", "relative_decrease_max": 0.01},
    ]
    contracts = _changed(evaluation.contracts, primary=primaries)
    turned = replace(evaluation, contracts=contracts, policy=upside_down, baseline=evaluation.policy)
    verdicts = [one for one in judge(turned).verdicts if one.holds]
    outcomes = {str(one.subject): one.outcome for one in verdicts if one.segment == ALL}
    assert outcomes["coverage"] is Outcome.PASS
    assert outcomes["ndcg_click_30m"] is not Outcome.PASS
    decision = decide_release(verdicts, inconclusive="warn")
    assert decision.verdict == "hold"


def test_four_promotions_back_is_held_against_too(evaluation: OfflineEvaluation, same: PolicySlates) -> None:
    ratchet = judge(replace(evaluation, baseline=same, anchors={RATCHET: same})).verdicts[1]
    assert ratchet.against == "release 1, four promotions ago"
    assert ratchet.outcome is Outcome.PASS


def test_of_two_bounds_on_a_metric_the_one_against_an_anchor_says_so(
    evaluation: OfflineEvaluation, same: PolicySlates
) -> None:
    plain = {"metric": "new_item_exposure", "relative_decrease_max": 0.1}
    rails = [
        plain,
        {**plain, "anchor": "stable"},
        {**plain, "anchor": "stable", "relative_decrease_max": None, "min": 0.0},
    ]
    contracts = _changed(evaluation.contracts, guardrails=rails)
    found = judge(replace(evaluation, contracts=contracts, anchors={"stable": same}))
    bounded = [v for v in found.verdicts if str(v.subject) == "new_item_exposure"]
    assert [v.reason for v in bounded] == ["", "against release 1, the anchor 'stable'", ""]
    assert [v.against for v in bounded] == ["", "release 1, the anchor 'stable'", ""]


def test_a_metric_of_a_column_that_is_not_logged_is_missing_and_not_passed_over(
    evaluation: OfflineEvaluation,
) -> None:
    rail = {"metric": "brand_entropy", "relative_decrease_max": 0.1}
    found = judge(changed(evaluation, guardrails=[rail]))
    missing = [v for v in found.verdicts if str(v.subject) == "brand_entropy"]
    assert [v.outcome for v in missing] == [Outcome.METRIC_MISSING]


def _problems(contracts: Contracts) -> list[Problem]:
    models = {kind: getattr(contracts, kind) for kind in ("surface", "tasks", "utility", "slate")}
    return list(find_problems(contracts.name, **models))


def test_every_metric_that_a_simulation_prints_may_be_guarded(
    evaluation: OfflineEvaluation, found: Findings
) -> None:
    tasks = evaluation.contracts.tasks.tasks
    naive = {Metric(MetricKind.NAIVE_NDCG, task).name for task in tasks}
    printed = {one.subject.name for one in found.measured} - naive
    assert {"creator_gini", "creator_entropy", "click_30m_rate", "coverage"} <= printed
    rails = [{"metric": name, "max": 1e9} for name in sorted(printed)]
    assert _problems(_changed(evaluation.contracts, guardrails=rails)) == []


def test_an_exposure_ratio_is_reported_where_merit_is_declared_and_may_be_guarded(
    evaluation: OfflineEvaluation, tested_slice: slates.TestSlice, scored: Scored
) -> None:
    contracts = evaluation.contracts
    slate = contracts.slate.model_copy(update={"exposure": Exposure(by="source")})
    workspace = tested_slice.workspace.under(replace(contracts, slate=slate))
    rails = [{"metric": "source_exposure_ratio:sponsored", "max": 1e9, "by": ["source"]}]
    test = replace(tested_slice, workspace=workspace)
    found = judge(changed(evaluation_of(test, scored), guardrails=rails))
    ratios = {m.subject.value: m for m in found.measured if m.subject.metric == "exposure_ratio"}
    shares = {m.subject.value for m in found.measured if m.subject.metric == "share"}
    assert ratios.keys() <= shares
    assert "exposure_ratio" not in {m.subject.metric for m in judge(evaluation).measured}
    (verdict,) = (v for v in found.verdicts if v.subject.metric == "exposure_ratio" and v.segment == ALL)
    assert (verdict.outcome, verdict.reason) == (Outcome.PASS, f"merit predicted by {evaluation.policy.name}")
    assert all(one.policy and one.policy.known for one in ratios.values() if one.segment == ALL)


def test_policies_are_replayed_under_the_boosts_of_the_release(
    evaluation: OfflineEvaluation, tested_slice: slates.TestSlice, scored: Scored
) -> None:
    exposure = Exposure(by="source", least={"sponsored": 1.0}, most=1.0)
    slate, policy = tested_slice.slate.model_copy(update={"exposure": exposure}), scored.policy
    boosted = replace(scored, boosts={"source": {"sponsored": 1.0}})
    plain, raised = (tested_slice.slates_by(policy, one, "p", slate=slate) for one in (scored, boosted))
    ratio = Metric(MetricKind.EXPOSURE_RATIO, "source", "sponsored")
    before, after = (
        measured.statistic.value
        for one in (plain, raised)
        if isinstance(measured := measure_slots(ratio, evaluation.log, one, plain), Ratio)
    )
    assert after > 1.2 * before
    np.testing.assert_array_equal(known(plain.utility), raised.utility)


def test_every_metric_that_may_be_guarded_is_measured(
    evaluation: OfflineEvaluation, tested_slice: slates.TestSlice, scored: Scored, tmp_path: Path
) -> None:
    """A guardrail that no replay measures would hold every release."""
    contracts = evaluation.contracts
    columns = metric_columns(contracts.surface, contracts.slate)
    names = [one.name for one in known_metrics(contracts.tasks.tasks, columns)]
    rails = [{"metric": name, "max": 1e9} for name in names]
    refused = {one.field for one in _problems(_changed(contracts, guardrails=rails))}
    allowed = [rail for i, rail in enumerate(rails) if f"guardrails.{i}.metric" not in refused]
    assert len(allowed) > 60
    workspace = mini.changed(tested_slice.workspace, tmp_path, utility=setting("guardrails", allowed))
    guarded = slates.TestSlice(workspace, tested_slice.candidates, complete=True)
    verdicts = judge(changed(evaluation_of(guarded, scored), guardrails=allowed)).verdicts
    assert [one.subject for one in verdicts if one.outcome is Outcome.METRIC_MISSING] == []


def test_a_column_that_is_no_segment_may_be_guarded(tested_slice: slates.TestSlice, tmp_path: Path) -> None:
    """The entropy of a feature died in the simulation, after all training."""

    def guard(plain: dict[str, Any]) -> None:
        plain["guardrails"] += [{"metric": "device_entropy", "relative_decrease_max": 0.1}]

    assert "device" not in tested_slice.log.segments
    workspace = mini.changed(tested_slice.workspace, tmp_path, utility=guard)
    guarded = slates.TestSlice(workspace, tested_slice.candidates, complete=True)
    assert guarded.log.segments["device"].value_counts().sum() == len(tested_slice.candidates)


@pytest.mark.parametrize(
    ("device", "words"),
    [
        ([3.0, np.nan], ["3", "unknown"]),  # whole numbers beside a null, as pandas reads them
        ([3, 4], ["3", "4", "unknown"]),
        ([True, False], ["false", "true", "unknown"]),
    ],
)
def test_values_of_a_guarded_column_are_spelled_alike_whatever_stands_beside_them(
    tested_slice: slates.TestSlice, tmp_path: Path, device: list[Any], words: list[str]
) -> None:
    """A share of 3 was 0 where a null had made it 3.0, and a share of true where the column was no segment."""

    def guard(plain: dict[str, Any]) -> None:
        plain["guardrails"] += [{"metric": "device_share:3", "max": 0.9}]

    workspace = mini.changed(tested_slice.workspace, tmp_path, utility=guard)
    rows = tested_slice.candidates
    first = rows["request_id"] == rows["request_id"].iloc[0]
    parts = [
        slates.TestSlice(workspace, part.assign(device=values), complete=True)
        for part, values in (
            (rows[first], device[0]),
            (rows[~first], np.resize(np.array(device), np.sum(~first))),
        )
    ]
    log = join_blocks([read_block(one.candidates, one.reading) for one in parts], parts[0].reading)
    assert list(log.segments["device"].categories) == words


def test_a_cost_is_judged_with_its_prediction_in_the_same_segments(evaluation: OfflineEvaluation) -> None:
    rail = {"metric": "hide_2d_rate", "relative_increase_max": 0.1, "by": ["user_tenure"]}
    found = judge(changed(evaluation, guardrails=[rail]))
    segments = {m.segment for m in found.measured if m.subject.name == "hide_2d_predicted"}
    assert {
        ALL,
        Segment("user_tenure", "new"),
        Segment("user_tenure", "returning"),
        Segment("user_tenure", "loyal"),
    } <= segments
    other_verdicts = {v.segment.column for v in found.verdicts if str(v.subject) == "hide_2d_rate"}
    assert other_verdicts == {"", "user_tenure"}
    whole = next(v for v in found.verdicts if str(v.subject) == "hide_2d_rate")
    assert whole.outcome is not Outcome.INCONCLUSIVE or whole.holds is not None


def test_an_order_is_judged_by_what_its_slots_lead_to_and_never_by_what_was_shown(
    evaluation: OfflineEvaluation,
) -> None:
    """The naive NDCG falls here where the other rises: taken in its place it would block."""
    rail = {"metric": "ndcg_click_30m", "relative_decrease_max": 0.0}
    found = judge(changed(evaluation, guardrails=[rail]))
    of_clicks = [m for m in found.measured if m.subject.task == "click_30m" and m.segment == ALL]
    change = {m.subject.metric: m.relative for m in of_clicks}
    naive, gain = change[MetricKind.NAIVE_NDCG], change[MetricKind.NDCG]
    assert known(naive).high < 0
    (verdict,) = [v for v in found.verdicts if str(v.subject) == "ndcg_click_30m"]
    assert (verdict.outcome, verdict.observed) == (Outcome.PASS, gain)


def test_a_cost_given_its_parent_is_judged_as_a_cost(evaluation: OfflineEvaluation) -> None:
    """What could not be told of it was a warning, however far the estimate lay beyond the bound."""
    rail = {"metric": "return_5d_given_purchase_2d_rate", "relative_increase_max": 0.1, "by": ["user_tenure"]}
    found = judge(changed(evaluation, guardrails=[rail]))
    whole, *segments = [v for v in found.verdicts if v.subject.name == rail["metric"]]
    believed = {
        task: one.relative.value
        for task in ("return_5d", "purchase_2d")
        for one in found.measured
        if (one.subject.name, one.segment) == (f"{task}_predicted", ALL) and one.relative
    }
    rise = (1 + believed["return_5d"]) / (1 + believed["purchase_2d"]) - 1
    assert whole.outcome is Outcome.INCONCLUSIVE
    assert f"predicted change {rise:+.1%}" in whole.reason
    assert whole.holds is not None
    assert [one.holds for one in segments if one.outcome is Outcome.INCONCLUSIVE] == [False] * len(segments)


def test_beside_an_order_every_policy_is_measured_by_the_weights_of_the_release(
    evaluation: OfflineEvaluation,
) -> None:
    """Its own weights would let a policy choose what counts."""
    worth = evaluation.policy.worth
    own = {task: 5 * each if task == "click_30m" else 0 * each for task, each in worth.items()}
    found = judge(evaluation, clicks=replace(evaluation.policy, name="clicks", worth=own))
    ours = next(m for m in found.measured if m.subject.name == "observed_utility")
    theirs = next(m for m in found.others["clicks"] if m.subject.name == "observed_utility")
    assert (theirs.policy, theirs.baseline) == (ours.policy, ours.baseline)


def test_every_figure_has_an_interval_and_the_verdict_on_a_belief_prints_none(found: Findings) -> None:
    """What candidates vary by says nothing of how wrong the model is, so no verdict shows it."""
    told = [m for m in found.measured if m.policy is not None and (m.events is None or m.events >= 10)]
    assert {"click_30m_predicted", "expected_utility", "coverage"} <= {m.subject.name for m in told}
    for one in told:
        change_alone = one.subject.metric == MetricKind.NDCG
        figure = one.relative if change_alone else one.policy
        assert figure is not None, (one.subject.name, one.segment)
        assert figure.known, (one.subject.name, one.segment)
    believed = [v.observed for v in found.verdicts if v.subject.metric == "predicted" and v.observed]
    assert believed
    assert not any(observed.known for observed in believed)


def test_what_is_always_shown_stands_for_the_whole_and_for_every_segment(
    evaluation: OfflineEvaluation, found: Findings
) -> None:
    shown = {(m.subject.name, m.segment.column) for m in found.measured}
    tasks = [t for t in evaluation.contracts.tasks.tasks if t != "dwell_seconds_1d"]
    names = [f"{prefix}{task}" for task in tasks for prefix in ("ndcg_", "recall_")]
    names += [f"{task}_rate" for task in tasks]
    names += ["hide_2d_predicted", "return_5d_predicted", "observed_utility", "expected_utility"]
    names += ["source_entropy", "source_gini", "category_entropy", "category_gini", "source_share:sponsored"]
    names += ["coverage", "long_tail_exposure", "slate_rule_activity"]
    wanted = {(name, segment) for name in names for segment in ("", "user_tenure", "item_age")}
    assert wanted <= shown
    assert ("new_item_exposure", "user_tenure") in shown
    assert ("new_item_exposure", "item_age") not in shown


def test_who_stands_in_the_slots_is_a_share_of_the_looks(
    evaluation: OfflineEvaluation, found: Findings, tested_slice: slates.TestSlice
) -> None:
    log, slot = evaluation.log, evaluation.policy.slot
    examined = np.where(slot > 0, log.examined_at(slot), 0.0)
    sponsored = (tested_slice.candidates["source"] == "sponsored").to_numpy()
    (measured,) = [
        m for m in found.measured if (m.subject.name, m.segment) == ("source_share:sponsored", ALL)
    ]
    assert known(measured.policy).value == pytest.approx(examined[sponsored].sum() / examined.sum())


@pytest.mark.parametrize(("shown_only", "holds"), [("hold", True), ("canary", "champion")])
def test_where_candidates_are_not_logged_every_verdict_is_inconclusive_and_the_release_is_held(
    evaluation: OfflineEvaluation, same: PolicySlates, shown_only: str, holds: bool | str
) -> None:
    plain = evaluation.contracts.surface.model_dump(mode="json", by_alias=True)
    plain |= {"gates": {"decision": {"shown_only": shown_only}}, "ramp": {"guardrails": ["hide_2d_rate"]}}
    rails = [{"metric": "ndcg_click_30m", "relative_decrease_max": 0.9, "action": "block"}]
    contracts = replace(
        _changed(evaluation.contracts, guardrails=rails), surface=SurfaceSpec.model_validate(plain)
    )
    log = replace(evaluation.log, complete=False)
    found = judge(OfflineEvaluation(contracts, log, evaluation.policy, same, {RATCHET: same}))
    replayed = [v for v in found.verdicts if str(v.subject) != "filled_slots"]
    assert [v.outcome for v in replayed] == [Outcome.INCONCLUSIVE] * 3
    assert [v.caveat for v in replayed] == [REORDERING] * 3
    assert [v.holds for v in replayed] == [holds, holds, None]
    assert all(m.reason for m in found.measured)
    passed = Verdict("model", subject("click.auc"), ALL, Outcome.PASS, bound(""), None)
    decision = decide_release([passed, *found.verdicts], inconclusive="warn")
    assert decision.verdict == "hold"
    assert decision.canary_permitted == (shown_only == "canary")


def test_latency_is_no_matter_of_a_batch_run(evaluation: OfflineEvaluation) -> None:
    found = judge(changed(evaluation, guardrails=[LATENCY]))
    assert found.verdicts[-1].outcome is Outcome.INCONCLUSIVE


def test_the_share_of_a_term_that_a_context_adds_is_shown(
    evaluation: OfflineEvaluation, tested_slice: slates.TestSlice, scored: Scored
) -> None:
    added = {"name": "new", "when": {"user_tenure": ["new"]}, "weights": {"hide_2d": -10.0}}
    weights = {"click_30m": 0.4}
    contracts = _changed(evaluation.contracts, weights=weights, contexts=[added])
    policy = tested_slice.slates_by(contracts.utility, scored, "p")
    found = judge(replace(evaluation, contracts=contracts, policy=policy))
    shares = {m.subject.task: m.policy for m in found.measured if m.subject.metric == "component_share"}
    assert list(shares) == ["click_30m", "hide_2d"]
    new = (tested_slice.candidates["user_tenure"] == "new").to_numpy(dtype=bool)
    frame = pd.DataFrame(
        {"request": evaluation.log.requests, "all": policy.utility, "hide": policy.contributions["hide_2d"]}
    )[new]
    away = frame.groupby("request")[["all", "hide"]].transform(lambda one: one - one.mean())
    share = known(shares["hide_2d"])
    assert share.value == pytest.approx((away["all"] * away["hide"]).sum() / (away["all"] ** 2).sum())


def test_what_is_predicted_of_a_cost_that_is_a_value_is_judged_as_any_cost(
    evaluation: OfflineEvaluation, same: PolicySlates
) -> None:
    """As of minutes of regret: the rate without its prediction would be held for want of a judge."""
    value = "dwell_seconds_1d"
    tasks = evaluation.contracts.tasks
    regret = tasks.tasks[value].model_copy(update={"family": Family.NEGATIVE})
    costly = tasks.model_copy(update={"tasks": {**tasks.tasks, value: regret}})
    rails = [
        {"metric": f"{value}_rate", "relative_increase_max": 9.0, "by": ["user_tenure"]},
        {"metric": f"{value}_predicted", "max": 1e6},
    ]
    contracts = replace(_changed(evaluation.contracts, guardrails=rails), tasks=costly)
    found = judge(replace(evaluation, contracts=contracts, baseline=same))
    predicted = [m for m in found.measured if m.subject.name == f"{value}_predicted"]
    assert {m.segment.column for m in predicted} >= {"", "user_tenure"}
    examined = examined_by(evaluation.log, evaluation.policy)
    expected = known(per_examined(evaluation.log, evaluation.policy, value))
    assert known(predicted[0].policy).value == pytest.approx((examined * expected).sum() / examined.sum())
    other_verdicts = {str(v.subject): v for v in found.verdicts if v.segment == ALL}
    assert other_verdicts[f"{value}_predicted"].outcome is Outcome.PASS
    assert other_verdicts[f"{value}_rate"].outcome is Outcome.PASS


@pytest.mark.parametrize("further", [True, False])
def test_a_policy_that_fills_no_slot_is_no_error_and_passes_nothing(
    evaluation: OfflineEvaluation,
    same: PolicySlates,
    tested_slice: slates.TestSlice,
    scored: Scored,
    *,
    further: bool,
) -> None:
    """All candidates below a floor: each figure of the slots is unknown, and is written as that."""
    contracts = _changed(evaluation.contracts, relevance_floor={"click_30m": 1.0})
    nothing = tested_slice.slates_by(contracts.utility, scored, "nothing")
    assert not nothing.slot.any()
    empty = replace(evaluation, policy=evaluation.policy if further else nothing, baseline=same)
    found = judge(empty, **({"nothing": nothing} if further else {}))
    verdicts = found.other_verdicts["nothing"] if further else found.verdicts
    primary = verdicts[0]
    assert (str(primary.subject), primary.outcome, primary.holds) == (
        "observed_utility",
        Outcome.INCONCLUSIVE,
        True,
    )
    assert "the policy fills no slot" in primary.reason
    blocked = {str(v.subject): v for v in verdicts if v.outcome is Outcome.BLOCK}
    assert {"filled_slots", "empty_slates"} <= blocked.keys()
    assert f"of {evaluation.log.request_count:,} are empty" in blocked["filled_slots"].reason
    evidence = SimulationEvidence(
        release=2,
        champion=1,
        baseline=found.baseline,
        report="",
        guardrails=tuple(found.verdicts),
        measured=tuple(found.measured),
        others={name: tuple(each) for name, each in found.others.items()},
        comparisons=None,
        composition=None,
        notes=(),
        off_policy=check_off_policy(empty),
    )
    text = json.dumps(evidence.to_json(), allow_nan=False)
    assert SimulationEvidence.read(text, where="here").to_json() == evidence.to_json()
