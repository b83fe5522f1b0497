"""The bounds of the shadow gate: slates that hardly overlap, utilities on another scale."""

import pytest

from tasks.contracts.gates import ShadowGate
from tasks.evaluation.replay_evidence import ShadowComparison
from tasks.evaluation.verdicts import Estimate, Outcome
from tasks.replay.shadow_verdicts import judge_shadow

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
        (0.3, 0.5, [Outcome.CANNOT_TELL, Outcome.CANNOT_TELL]),
    ],
)
def test_each_bound_is_judged_by_its_interval(overlap: float, shift: float, outcomes: list[Outcome]) -> None:
    verdicts = judge_shadow(BOUNDS, compared(overlap, shift), run="run")
    assert [verdict.outcome for verdict in verdicts] == outcomes
    assert {verdict.evidence for verdict in verdicts} == {"run"}


def test_a_first_release_has_no_rule() -> None:
    (verdict,) = judge_shadow(BOUNDS, None, run="run")
    assert verdict.outcome is Outcome.NO_RULE
