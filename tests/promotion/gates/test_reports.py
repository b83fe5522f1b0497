"""A task that keeps the champion's model is named in the dossier, and never holds a release by itself."""

from dataclasses import replace
from datetime import date
from math import nan
from typing import Any

import numpy as np
import pytest

from tasks.evaluation.evidence import HeadInputs, HeadModel, HeadModels, InputChange, PinnedModel
from tasks.evaluation.figures import Figure
from tasks.evaluation.release_evidence import ProxyEvidence, RefitEvidence, RefitShift
from tasks.evaluation.subjects import ALL, Segment, Subject
from tasks.evaluation.task_pairs import proxy_report
from tasks.evaluation.verdicts import Estimate, Outcome, Verdict
from tasks.promotion.decision import GateDecision, decide_release
from tasks.promotion.gates.reports import (
    evaluate_inputs,
    evaluate_proxies,
    evaluate_refit,
    evaluate_reused,
    evaluate_trunks,
    evaluate_unmeasured,
    evaluate_unrepeated,
)
from tests.verdicts import bound, subject


def test_each_task_that_keeps_its_model_is_a_warning_with_the_reason() -> None:
    verdicts = list(evaluate_reused({"buy": "3 positives.", "back": "No rows."}, run="run-1"))
    assert [(str(v.subject), v.outcome) for v in verdicts] == [
        ("buy.trained", Outcome.WARN),
        ("back.trained", Outcome.WARN),
    ]
    assert verdicts[0].reason == "reuses the champion's model. 3 positives."
    assert {v.evidence for v in verdicts} == {"run-1"}


def test_it_warns_and_does_not_hold() -> None:
    decision = decide_release(list(evaluate_reused({"buy": "3 positives."}, run="r")), inconclusive="hold")
    assert decision == GateDecision(
        warnings=("data: training of buy (retrained): warning, reuses the champion's model. 3 positives.",)
    )


def test_each_joint_that_was_not_measured_cannot_be_told_with_the_reason() -> None:
    (verdict,) = evaluate_unmeasured({"back": "No purchase from before its test days."}, run="run-1")
    assert (verdict.gate, str(verdict.subject)) == ("calibration", "back.joint")
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.reason == "No purchase from before its test days."
    assert verdict.evidence == "run-1"


def test_it_holds_or_warns_as_the_surface_says() -> None:
    passed = Verdict("data", subject("validation"), ALL, Outcome.PASS, bound(""), None)
    verdicts = [passed, *evaluate_unmeasured({"back": "No purchase."}, run="r")]
    assert decide_release(verdicts, inconclusive="hold").verdict == "hold"
    assert decide_release(verdicts, inconclusive="warn").verdict == "promote"


def test_where_every_task_was_trained_and_measured_there_is_nothing_to_say() -> None:
    assert [*evaluate_reused({}, run="r"), *evaluate_unmeasured({}, run="r")] == []


RNG = np.random.default_rng(2)
N = 5000
CLICK = RNG.random(N)
USERS = RNG.integers(300, size=N)


def evidence_of(rate: Any, *, cost: bool = False, rows: int = N) -> ProxyEvidence:
    slow = (RNG.random(N) < rate).astype(float)[:rows]
    report = proxy_report(CLICK[:rows], slow, USERS[:rows], cost=cost)
    days = (date(2026, 1, 1), date(2026, 1, 7))
    return ProxyEvidence(fast="click", slow="watched", days=days, cost=cost, learned=False, **vars(report))


def judged(found: ProxyEvidence) -> Verdict:
    [verdict] = evaluate_proxies([found], run="r1")
    return verdict


def test_a_proxy_that_leads_up_passes() -> None:
    verdict = judged(evidence_of(0.1 + 0.5 * CLICK))
    assert (verdict.outcome, verdict.subject, verdict.evidence) == (
        Outcome.PASS,
        Subject("proxy", task="watched", feature="click"),
        "r1",
    )
    assert verdict.observed is not None
    assert verdict.observed.low > 0


WORST_AT_TOP = np.where(CLICK > 0.9, 0.05, 0.4)


@pytest.mark.parametrize(
    ("rate", "where"),
    [
        (WORST_AT_TOP, "the worst of all tenths"),
        (np.where(CLICK < 0.1, 0.02, np.where(CLICK > 0.9, 0.15, 0.4)), "worse than the rest"),
    ],
)
def test_a_proxy_whose_best_is_below_the_rest_warns_and_says_so(rate: Any, where: str) -> None:
    verdict = judged(evidence_of(rate))
    assert (verdict.outcome, verdict.reason) == (Outcome.WARN, f"the top tenth of the proxy is {where}")


def test_a_cost_that_rises_with_its_proxy_warns() -> None:
    assert judged(evidence_of(0.1 + 0.5 * CLICK, cost=True)).outcome is Outcome.WARN


@pytest.mark.parametrize("rows", [0, 40])
def test_too_little_data_warns_and_never_passes(rows: int) -> None:
    verdict = judged(evidence_of(np.full(N, 0.1), rows=rows))
    assert verdict.outcome is Outcome.WARN
    assert verdict.reason.startswith("too little data")


def test_no_proxy_holds_a_release() -> None:
    verdicts = [judged(evidence_of(WORST_AT_TOP)), judged(evidence_of(np.full(N, 0.1), rows=0))]
    assert decide_release(verdicts, inconclusive="hold").verdict == "promote"


@pytest.mark.parametrize(
    ("shift", "expected"),
    [
        (Estimate(0.04, 0.03, 0.05, 900), Outcome.PASS),
        (Estimate(0.30, 0.25, 0.35, 900), Outcome.BLOCK),
        (Estimate(0.10, 0.05, 0.15, 900), Outcome.INCONCLUSIVE),
        (Estimate(0.04, float("nan"), float("nan"), 1), Outcome.INCONCLUSIVE),
    ],
)
def test_a_shift_is_judged_by_its_interval(shift: Estimate, expected: Outcome) -> None:
    one = RefitShift(task="click", segment=Segment("tenure", "new"), shift=shift, bound=0.1)
    [verdict] = evaluate_refit(RefitEvidence(tested=3, shifts=(one,)), run="r1")
    assert (verdict.outcome, verdict.gate, verdict.segment) == (expected, "model", Segment("tenure", "new"))
    assert (verdict.subject, verdict.threshold, verdict.evidence) == (
        subject("click.refit_shift"),
        bound("<= 0.1"),
        "r1",
    )
    assert "release 3" in verdict.reason


def test_each_shift_is_held_against_its_own_bound() -> None:
    shift = Estimate(0.2, 0.19, 0.21, 900)
    bounds = {"click": 0.1, "buy": 0.25 + 1 / 3000}
    shifts = tuple(RefitShift(task=t, segment=ALL, shift=shift, bound=b) for t, b in bounds.items())
    click, buy = evaluate_refit(RefitEvidence(tested=3, shifts=shifts), run="r1")
    assert (click.outcome, click.threshold) == (Outcome.BLOCK, bound("<= 0.1"))
    assert (buy.outcome, str(buy.threshold)) == (Outcome.PASS, "<= 0.25")


def test_a_recipe_that_could_not_be_repeated_warns_and_says_why() -> None:
    [verdict] = evaluate_unrepeated({"click": "No positives."}, run="r1")
    assert (verdict.outcome, verdict.subject) == (Outcome.WARN, subject("click.refit"))
    assert verdict.reason == "what was tested is served. No positives."


def test_a_release_without_a_refit_has_no_shift() -> None:
    assert list(evaluate_refit(None, run="r1")) == []


def head_models(model: HeadModel, rise: Estimate) -> HeadModels:
    level = Subject("normalized_entropy", task="buy", feature=model)
    subjects = level, replace(level, metric="normalized_entropy_rise", baseline="trees")
    figures = [
        Figure(one, ALL, seen.value, seen.low, seen.high, seen.n, 100, 9)
        for one, seen in zip(subjects, (Estimate(0.9, 0.8, 1.0, 50), rise), strict=True)
    ]
    trunk = PinnedModel(name="feed.trunk.main", version=1, sha256="0")
    return HeadModels(asked="best", model=model, trunk=trunk, choice=None, figures=tuple(figures))


@pytest.mark.parametrize(
    ("rise", "outcome"),
    [
        (Estimate(0.02, 0.01, 0.03, 50), Outcome.WARN),
        (Estimate(0.02, -0.01, 0.05, 50), Outcome.PASS),
        (Estimate(-0.02, -0.03, -0.01, 50), Outcome.PASS),
        (Estimate(0.02, nan, nan, 50), Outcome.PASS),
    ],
)
def test_a_head_of_a_trunk_that_is_shown_to_be_worse_than_its_trees_is_a_warning(
    rise: Estimate, outcome: Outcome
) -> None:
    (verdict,) = evaluate_trunks({"buy": head_models("blend", rise)}, run="run-1")
    assert (verdict.gate, verdict.outcome) == ("model", outcome)
    assert str(verdict.subject) == "buy.normalized_entropy_rise of blend vs trees"


def test_a_head_that_keeps_its_trees_is_not_judged_by_its_trunk() -> None:
    assert list(evaluate_trunks({"buy": head_models("trees", Estimate(0, 0, 0, 50))}, run="run-1")) == []


CENTS = InputChange(feature="price", days="test", kind="scale", observed=100.0, bound=5.0)


def reads(task: str, share: float, *changes: InputChange) -> HeadInputs:
    return HeadInputs(task=task, gains={"price": share, "age": 1 - share}, changes=changes)


def judge_changes(*inputs: HeadInputs) -> dict[str, Verdict]:
    found = evaluate_inputs(inputs, {"buy"}, where="features", run="run")
    return {str(verdict.subject): verdict for verdict in found}


@pytest.mark.parametrize(
    ("task", "share", "outcome"),
    [("buy", 0.06, Outcome.BLOCK), ("buy", 0.05, Outcome.WARN), ("dwell", 0.9, Outcome.WARN)],
    ids=["a head with weight depends on it", "it hardly does", "a head without weight does"],
)
def test_a_change_blocks_where_a_weighted_head_depends_on_the_feature(
    task: str, share: float, outcome: Outcome
) -> None:
    verdict = judge_changes(reads(task, share, CENTS))["features.price"]
    assert (verdict.gate, verdict.outcome, verdict.evidence) == ("inputs", outcome, "run")
    assert verdict.observed is not None
    assert verdict.observed.value == 100


def test_a_change_in_one_category_names_it() -> None:
    east = CENTS.model_copy(update={"category": Segment("region", "east")})
    verdict = judge_changes(reads("buy", 0.4, east))["features.price"]
    assert verdict.outcome is Outcome.BLOCK
    assert verdict.reason.startswith(
        "test days, region=east: the median differs by a factor of 100 (limit 5)"
    )


def test_a_change_of_what_the_policy_weighs_by_blocks_though_no_head_splits_on_it() -> None:
    head = reads("buy", 0.0, CENTS).model_copy(update={"weighing": ("price",)})
    verdict = judge_changes(reads("dwell", 0.9, CENTS), head)["features.price"]
    assert verdict.outcome is Outcome.BLOCK
    assert verdict.reason.endswith("; the utility policy weighs predictions by it")


def test_of_several_heads_the_one_with_weight_that_gains_most_decides() -> None:
    found = judge_changes(reads("dwell", 0.9, CENTS), reads("buy", 0.3, CENTS), reads("buy", 0.1, CENTS))
    assert set(found) == {"features.price"}
    assert found["features.price"].outcome is Outcome.BLOCK
    assert found["features.price"].reason.endswith("30% of the gain of buy")


def test_one_verdict_says_that_nothing_changed() -> None:
    verdict = judge_changes(reads("buy", 0.3), reads("dwell", 0.3))["features"]
    assert (verdict.outcome, verdict.reason) == (Outcome.PASS, "2 features of 2 heads: none changed")


def test_what_was_not_compared_is_a_warning_and_says_why() -> None:
    gone = HeadInputs(task="buy", gains={"price": 1.0}, reason="0 rows of its train days are left")
    verdict = judge_changes(gone)["features"]
    assert (verdict.outcome, verdict.reason) == (Outcome.WARN, f"buy: {gone.reason}")
    assert judge_changes()["features"].outcome is Outcome.NO_RULE
