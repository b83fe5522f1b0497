"""Verdicts become one decision, and whatever holds a release is said in a line.

A release is judged by all gates: how much data there is, validation, freshness, segments of calibration.
"""

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any, Literal

import pytest
from pydantic import TypeAdapter

from tasks.contracts.gates import Gates
from tasks.contracts.training import HeadKind
from tasks.evaluation.evidence import Finding, ValidationEvidence
from tasks.evaluation.figures import TaskFigures
from tasks.evaluation.release_evidence import EvidenceRuns
from tasks.evaluation.subjects import ALL, Segment
from tasks.evaluation.verdicts import Estimate, Outcome, Verdict
from tasks.promotion.decision import Evidence, GateDecision, decide_release, evaluate_release, explain_verdict
from tests.evaluation.task_figures import Estimates, task_figures
from tests.verdicts import bound, subject


def said(
    gate: str, name: str, outcome: Outcome, segment: Segment = ALL, *, limit: str = "", **more: Any
) -> Verdict:
    """Return a verdict, by default without a figure."""
    return Verdict(gate, subject(name), segment, outcome, bound(limit), **{"observed": None, **more})


PASSED = said("data", "validation", Outcome.PASS)
UNDECIDED = said("decision", "observed_utility", Outcome.INCONCLUSIVE, holds=True)
HARMED = said("decision", "hide_rate", Outcome.BLOCK, Segment("tenure", "new"))


def test_inconclusive_holds_unless_declared_a_warning() -> None:
    verdict = said("data", "click.rows", Outcome.INCONCLUSIVE, limit=">= 10", reason="3 rows")
    assert decide_release([PASSED, verdict], inconclusive="hold").verdict == "hold"
    assert decide_release([PASSED, verdict], inconclusive="warn") == GateDecision(
        warnings=(explain_verdict(verdict),)
    )


@pytest.mark.parametrize("declared", ["hold", "warn"])
def test_a_verdict_with_a_rule_of_its_own_decides_by_it(declared: Literal["hold", "warn"]) -> None:
    cost = said("decision", "hide_rate", Outcome.INCONCLUSIVE, holds=False)
    assert decide_release([PASSED, UNDECIDED], inconclusive=declared).verdict == "hold"
    assert decide_release([PASSED, cost], inconclusive=declared) == GateDecision(
        warnings=(explain_verdict(cost),)
    )


def test_what_keeps_a_release_from_being_champion_alone_permits_a_canary_unless_more_holds_it() -> None:
    reordered = replace(UNDECIDED, holds="champion")
    cost = said("decision", "hide_rate", Outcome.INCONCLUSIVE, holds=True)
    held, more = (
        decide_release([PASSED, *each], inconclusive="warn") for each in ([reordered], [reordered, cost])
    )
    assert held.verdict == "hold"
    assert more.verdict == "hold"
    assert (held.canary_permitted, more.canary_permitted) == (True, False)
    blocked = decide_release([replace(reordered, outcome=Outcome.BLOCK)], inconclusive="warn")
    assert blocked.verdict == "hold"
    assert not blocked.canary_permitted


def test_a_release_of_which_nothing_could_be_told_is_held() -> None:
    decision = decide_release([said("data", "click.rows", Outcome.INCONCLUSIVE)], inconclusive="warn")
    assert decision.verdict == "hold"
    assert decision.reasons == ("every verdict is inconclusive or has no limit: none is a pass",)


@pytest.mark.parametrize("outcome", [Outcome.BLOCK, Outcome.METRIC_MISSING])
def test_a_block_and_a_missing_metric_always_hold(outcome: Outcome) -> None:
    assert decide_release([said("decision", "x", outcome)], inconclusive="warn").verdict == "hold"


def test_what_leaks_is_said_before_a_harmed_segment() -> None:
    leak = said("constraints", "legal", Outcome.BLOCK)
    decision = decide_release([PASSED, HARMED, leak], inconclusive="warn")
    assert decision.verdict == "hold"
    assert decision.reasons == (explain_verdict(leak), explain_verdict(HARMED))


def test_where_no_gate_was_judged_the_release_is_held() -> None:
    assert decide_release([], inconclusive="warn") == GateDecision(("no gate was evaluated",), ())


def test_a_held_release_names_what_holds_it_apart_from_what_only_warns() -> None:
    blocked = said("model", "click.auc", Outcome.BLOCK, limit=">= 0.55")
    warned = said("data", "buy.trained", Outcome.WARN)
    decision = decide_release([PASSED, warned, blocked], inconclusive="hold")
    assert decision == GateDecision(
        ("model: AUC of click (at least 0.55): block",), ("data: training of buy: warning",)
    )


def test_a_share_of_a_baseline_is_told_in_percent_with_its_segment_and_reason() -> None:
    rise, limit = Estimate(0.05, 0.01, 0.09, 900), bound("rise of 2.0%")
    seen = replace(HARMED, outcome=Outcome.WARN, threshold=limit, observed=rise, relative=True)
    verdict = replace(seen, reason="evaluated by 1")
    assert explain_verdict(verdict) == (
        "decision: hide rate, tenure = new: +5.0 % vs baseline (95 % CI +1.0 to +9.0 %; limit +2 %): warning, "
        "evaluated by 1"
    )


def test_a_harmed_segment_is_the_first_reason() -> None:
    warned = said("decision", "hide_rate", Outcome.WARN, Segment("tenure", "old"))
    uncertain = said("data", "click.rows", Outcome.WARN)
    decision = decide_release([UNDECIDED, uncertain, HARMED, warned], inconclusive="warn")
    assert decision.verdict == "hold"
    assert decision.reasons == (explain_verdict(HARMED), explain_verdict(UNDECIDED))
    assert decision.warnings[0] == explain_verdict(warned)


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (Outcome.INCONCLUSIVE, "inconclusive"),
        (Outcome.METRIC_MISSING, "not measured"),
        (Outcome.PASS, "pass"),
    ],
)
def test_people_read_words_and_documents_hold_codes(outcome: Outcome, words: str) -> None:
    verdict = said("decision", "hide_rate", outcome)
    assert explain_verdict(verdict) == f"decision: hide rate: {words}"
    assert verdict.to_json()["outcome"] == outcome.value


def test_a_segment_that_is_read_from_right_to_left_moves_no_figure() -> None:
    hebrew = "\u05e0\u05e2\u05dc"
    seen = Estimate(0.3, 0.2, 0.4, 90)
    hidden = replace(HARMED, segment=Segment("kind", hebrew), observed=seen, relative=True)
    assert explain_verdict(hidden) == (
        f"decision: hide rate, kind = \u2068{hebrew}\u2069: +30.0 % vs baseline (95 % CI +20.0 to +40.0 %): block"
    )


AS_OF = datetime(2026, 5, 1, tzinfo=UTC)
CALIBRATED = Estimate(1.0, 0.97, 1.03, 50_000)
_SOUND = {
    ("auc", ALL): Estimate(0.80, 0.78, 0.82, 50_000),
    ("normalized_entropy", ALL): Estimate(0.9, 0.88, 0.92, 50_000),
    ("calibration_ratio", ALL): CALIBRATED,
}


def _task(figures: Estimates = _SOUND, kind: HeadKind = "binary", **changes: object) -> TaskFigures:
    return task_figures(figures, kind=kind).model_copy(update=changes)


def _validation(severity: str | None) -> ValidationEvidence:
    failed = Finding("impressions", "expect_one_row", "", severity or "critical", severity is None, "2", "")
    return ValidationEvidence(
        snapshot="s1", success=severity != "critical", severity=severity, expectations=(failed,), report=""
    )


def _evidence(**changes: object) -> Evidence:
    sound = Evidence(
        as_of=AS_OF,
        runs=EvidenceRuns("run-0", "run-1", "run-2", "run-3"),
        validation=_validation(None),
        tasks=[_task()],
        costs=frozenset(),
        guardrails=[],
        comparisons=None,
        shadow=None,
    )
    return replace(sound, **changes)  # type: ignore[arg-type]


def _outcomes(evidence: Evidence, gates: Gates | None = None) -> dict[str, Outcome]:
    verdicts = evaluate_release(gates or Gates(), evidence)
    return {f"{v.gate}:{v.subject}:{v.segment}": v.outcome for v in verdicts}


def test_a_sound_first_release_is_promoted() -> None:
    verdicts = evaluate_release(Gates(), _evidence())
    assert decide_release(verdicts, inconclusive="hold").verdict == "promote"


@pytest.mark.parametrize(("positives", "expected"), [(199, Outcome.INCONCLUSIVE), (200, Outcome.PASS)])
def test_too_few_positives_is_inconclusive_and_enough_to_the_row_pass(
    positives: int, expected: Outcome
) -> None:
    outcomes = _outcomes(_evidence(tasks=[_task(positives=positives)]))
    assert outcomes["data:click.positives:all"] is expected


@pytest.mark.parametrize(
    ("severity", "expected"),
    [(None, Outcome.PASS), ("warning", Outcome.WARN), ("critical", Outcome.BLOCK)],
)
def test_validation_blocks_at_the_declared_severity(severity: str | None, expected: Outcome) -> None:
    evidence = _evidence(validation=_validation(severity))
    assert _outcomes(evidence)["data:validation:all"] is expected


def test_a_model_without_a_figure_is_a_missing_metric() -> None:
    outcomes = _outcomes(_evidence(tasks=[_task(figures={})]))
    assert outcomes["model:click.auc:all"] is Outcome.METRIC_MISSING
    assert outcomes["calibration:click.calibration_ratio:all"] is Outcome.METRIC_MISSING


@pytest.mark.parametrize("kind", ["value", "quantile", "ranking"])
def test_a_head_without_a_pooled_auc_has_no_rule_and_says_why(kind: HeadKind) -> None:
    verdicts = evaluate_release(Gates(), _evidence(tasks=[_task(kind=kind)]))
    model = next(verdict for verdict in verdicts if verdict.gate == "model")
    assert model.outcome is Outcome.NO_RULE
    assert kind in model.reason


def test_only_the_declared_segments_are_gated() -> None:
    off = Estimate(1.5, 1.4, 1.6, 900)
    figures = {
        ("calibration_ratio", ALL): CALIBRATED,
        ("calibration_ratio", Segment("source", "ads")): off,
        ("calibration_ratio", Segment("region", "eu")): off,
    }
    gates = Gates.model_validate({"calibration": {"by": ["source"]}})
    outcomes = _outcomes(_evidence(tasks=[_task(figures=figures)]), gates)
    assert outcomes["calibration:click.calibration_ratio:source=ads"] is Outcome.BLOCK
    assert "calibration:click.calibration_ratio:region=eu" not in outcomes


def test_a_harmed_segment_holds_a_release_that_is_well_calibrated_as_a_whole() -> None:
    figures = {**_SOUND, ("calibration_ratio", Segment("tenure", "new")): Estimate(0.7, 0.65, 0.75, 400)}
    gates = Gates.model_validate({"calibration": {"by": ["tenure"]}})
    decision = decide_release(
        evaluate_release(gates, _evidence(tasks=[_task(figures=figures)])), inconclusive="warn"
    )
    assert decision.verdict == "hold"
    (reason,) = decision.reasons
    assert reason.startswith(
        "calibration: calibration of click, tenure = new: 0.7 (95 % CI 0.65 to 0.75; 0.9 to 1.1): block, "
        "predictions are 42.9 % too high; p "
    )


@pytest.mark.parametrize(
    ("day", "expected"), [(date(2026, 3, 1), Outcome.PASS), (date(2026, 2, 28), Outcome.BLOCK)]
)
def test_a_part_older_than_its_bound_is_blocked(day: date, expected: Outcome) -> None:
    # 1 May less 60 days is 2 March: the end of 1 March is just young enough
    outcomes = _outcomes(_evidence(tasks=[_task(newest_training_row=day)]))
    assert outcomes["freshness:click.newest_training_row:all"] is expected


def test_a_slow_part_has_its_own_bound() -> None:
    gates = Gates.model_validate({"freshness": {"newest_training_row": "P7D", "parts": {"click": "P90D"}}})
    assert _outcomes(_evidence(), gates)["freshness:click.newest_training_row:all"] is Outcome.PASS


def test_a_verdict_comes_back_from_json_as_it_was() -> None:
    for verdict in evaluate_release(Gates(), _evidence()):
        assert TypeAdapter(Verdict).validate_json(json.dumps(verdict.to_json())) == verdict
