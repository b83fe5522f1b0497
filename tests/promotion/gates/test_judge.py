"""A release is judged by all gates: how much data there is, validation, freshness, segments of calibration."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from pydantic import TypeAdapter

from tasks.contracts.gates import Gates
from tasks.contracts.training import HeadKind
from tasks.evaluation.evidence import Finding, ValidationEvidence
from tasks.evaluation.figures import TaskFigures
from tasks.evaluation.release_evidence import EvidenceRuns
from tasks.evaluation.subjects import ALL, Segment
from tasks.evaluation.verdicts import Estimate, Outcome, Verdict
from tasks.promotion.decision import decide_release
from tasks.promotion.gates.judge import Evidence, evaluate_release
from tests.evaluation.task_figures import Estimates, task_figures

AS_OF = datetime(2026, 5, 1, tzinfo=UTC)
GOOD = Estimate(0.80, 0.78, 0.82, 50_000)
CALIBRATED = Estimate(1.0, 0.97, 1.03, 50_000)
TELLING = Estimate(0.9, 0.88, 0.92, 50_000)


_SOUND = {
    ("auc", ALL): GOOD,
    ("normalized_entropy", ALL): TELLING,
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


def test_too_few_positives_is_inconclusive_and_never_pass() -> None:
    outcomes = _outcomes(_evidence(tasks=[_task(positives=199)]))
    assert outcomes["data:click.positives:all"] is Outcome.INCONCLUSIVE


def test_enough_positives_to_the_row_pass() -> None:
    assert _outcomes(_evidence(tasks=[_task(positives=200)]))["data:click.positives:all"] is Outcome.PASS


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
    figures = {
        ("auc", ALL): GOOD,
        ("normalized_entropy", ALL): TELLING,
        ("calibration_ratio", ALL): CALIBRATED,
        ("calibration_ratio", Segment("tenure", "new")): Estimate(0.7, 0.65, 0.75, 400),
    }
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
