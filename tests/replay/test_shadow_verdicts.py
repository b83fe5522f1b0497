"""The bounds of the shadow gate: slates that hardly overlap, utilities on another scale."""

from typing import Literal

import pytest

from tasks.contracts.gates import ShadowGate
from tasks.evaluation.verdicts import Estimate, Outcome
from tasks.replay.evidence import PackedScores, Reproduction, ScoringFailures, ScoringTimes, ShadowComparison
from tasks.replay.shadow_verdicts import evaluate_failures, evaluate_parity, evaluate_shadow, evaluate_times

BOUNDS = ShadowGate(overlap_at_k_min=0.3, score_shift_max=0.5)


def compared(overlap: float, shift: float) -> ShadowComparison:
    figures = [Estimate(value, value - 0.05, value + 0.05, 300) for value in (overlap, 0.5, shift)]
    return ShadowComparison(
        requests=300,
        candidates=900,
        overlap_at_k=figures[0],
        rank_correlation=figures[1],
        score_shift=figures[2],
    )


@pytest.mark.parametrize(
    ("overlap", "shift", "outcomes"),
    [
        (0.6, 0.1, [Outcome.PASS, Outcome.PASS]),
        (0.1, 0.1, [Outcome.BLOCK, Outcome.PASS]),
        (0.6, 0.9, [Outcome.PASS, Outcome.BLOCK]),
        (0.3, 0.5, [Outcome.INCONCLUSIVE, Outcome.INCONCLUSIVE]),
    ],
)
def test_each_bound_is_judged_by_its_interval(overlap: float, shift: float, outcomes: list[Outcome]) -> None:
    verdicts = evaluate_shadow(BOUNDS, compared(overlap, shift), run="run")
    assert [verdict.outcome for verdict in verdicts] == outcomes
    assert {verdict.evidence for verdict in verdicts} == {"run"}


def test_a_first_release_has_no_rule() -> None:
    (verdict,) = evaluate_shadow(BOUNDS, None, run="run")
    assert verdict.outcome is Outcome.NO_RULE
    assert verdict.evidence == "run"


@pytest.mark.parametrize(("gap", "outcome"), [(1e-6, Outcome.PASS), (2e-6, Outcome.BLOCK)])
def test_what_was_served_and_what_mlflow_serves_is_what_the_release_gives(
    gap: float, outcome: Outcome
) -> None:
    reproduced = Reproduction(rows=4800, greatest_difference=gap)
    for verdict in evaluate_parity(reproduced, PackedScores(rows=4800, greatest_difference=gap), run="run"):
        assert (verdict.gate, verdict.outcome, verdict.evidence) == ("parity", outcome, "run")
        assert verdict.observed == Estimate(gap, gap, gap, 4800)


def test_without_logged_predictions_what_was_served_has_no_rule() -> None:
    served, _ = evaluate_parity(None, PackedScores(rows=9, greatest_difference=0.0), run="run")
    assert (served.outcome, served.observed) == (Outcome.NO_RULE, None)


def test_candidates_that_mlflow_does_not_take_cannot_be_told_and_hold_nothing() -> None:
    refused = PackedScores(rows=0, greatest_difference=float("nan"), problem="column price is missing")
    packed = evaluate_parity(None, refused, run="run")[1]
    assert (packed.outcome, packed.holds) == (Outcome.INCONCLUSIVE, False)
    assert packed.reason.endswith("column price is missing")


@pytest.mark.parametrize(
    ("failed", "most", "outcome"),
    [(0, 0.0, Outcome.PASS), (1, 0.0, Outcome.BLOCK), (1, 0.1, Outcome.PASS), (2, 0.1, Outcome.BLOCK)],
)
def test_requests_without_an_answer_are_bounded(failed: int, most: float, outcome: Outcome) -> None:
    failures = ScoringFailures(requests=10, alone=10, challenger=failed, champion=0, example="")
    verdict = evaluate_failures(ShadowGate(error_rate_max=most), failures, run="run")
    assert verdict.outcome is outcome
    assert verdict.reason == f"{failed} of 10 requests get no answer, 0 under the champion"


def timed(low: float, high: float) -> ScoringTimes:
    seen = Estimate((low + high) / 2, low, high, 12)
    return ScoringTimes(requests=12, candidates=480, challenger_ms=seen, champion_ms=seen, ratio=seen)


@pytest.mark.parametrize(
    ("low", "high", "action", "outcome", "holds"),
    [
        (0.9, 1.1, "warn", Outcome.PASS, False),
        (2.1, 2.4, "warn", Outcome.WARN, False),
        (2.1, 2.4, "block", Outcome.BLOCK, None),
        (1.9, 2.1, "warn", Outcome.INCONCLUSIVE, False),
    ],
)
def test_a_longer_time_warns_unless_the_surface_lets_it_block(
    low: float, high: float, action: Literal["warn", "block"], outcome: Outcome, holds: bool | None
) -> None:
    verdict = evaluate_times(ShadowGate(latency_action=action), timed(low, high), run="run")
    assert (verdict.gate, verdict.outcome, verdict.holds) == ("latency", outcome, holds)
    assert evaluate_times(BOUNDS, None, run="run").outcome is Outcome.NO_RULE


def test_empty_slates_are_named_with_what_drops_their_candidates() -> None:
    failures = ScoringFailures(
        requests=120,
        alone=12,
        challenger=120,
        champion=120,
        example="",
        empty=120,
        emptied_by="not_permitted",
    )
    verdict = evaluate_failures(BOUNDS, failures, run="run")
    assert verdict.outcome is Outcome.BLOCK
    assert verdict.reason.endswith(
        "; 120 slates of theirs empty, most of whose candidates not_permitted drops"
    )
