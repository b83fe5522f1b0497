"""Terms of a utility that decide nothing or all are warnings, with their share beside them."""

from dataclasses import replace

import pytest

from tasks.evaluation.replay_evidence import Measured
from tasks.evaluation.verdicts import Estimate, Outcome
from tasks.promotion.decision import explain_verdict
from tasks.replay.components import judge_components
from tests.replay.test_notes import UNKNOWN
from tests.verdicts import subject


def _share(share: float) -> Measured:
    shown = Estimate(share, share - 0.001, share + 0.001, 9)
    name = "component_share:click"
    return replace(UNKNOWN, subject=subject(name), policy=shown, reason="")


@pytest.mark.parametrize(("share", "decided"), [(0.005, "nothing"), (-0.005, "nothing"), (0.95, "all")])
def test_a_component_that_decides_nothing_or_all_is_a_warning(share: float, decided: str) -> None:
    (verdict,) = judge_components([_share(share)], run="7")
    assert (verdict.outcome, str(verdict.subject), verdict.evidence) == (
        Outcome.WARN,
        "component_share:click",
        "7",
    )
    assert f"it decides nearly {decided}" in explain_verdict(verdict)


@pytest.mark.parametrize("share", [0.01, 0.5, -0.2, 0.9])
def test_a_component_that_decides_with_others_is_no_verdict(share: float) -> None:
    assert list(judge_components([_share(share), UNKNOWN], run="7")) == []


def test_a_component_that_could_not_be_measured_is_no_verdict() -> None:
    unmeasured = replace(_share(0.5), policy=None, reason="no candidate has a utility")
    assert list(judge_components([unmeasured], run="7")) == []
