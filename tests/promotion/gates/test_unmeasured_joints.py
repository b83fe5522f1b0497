"""A joint that no factor from before its days could judge is never a pass: it is inconclusive, and it is said why."""

from tasks.evaluation.subjects import ALL
from tasks.evaluation.verdicts import Outcome, Verdict
from tasks.promotion.decision import Hold, Promote, decide_release
from tasks.promotion.gates.unmeasured_joints import judge_unmeasured
from tests.verdicts import bound, subject


def test_each_joint_that_was_not_measured_cannot_be_told_with_the_reason() -> None:
    (verdict,) = judge_unmeasured({"back": "No purchase from before its test days."}, run="run-1")
    assert (verdict.gate, str(verdict.subject)) == ("calibration", "back.joint")
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.reason == "No purchase from before its test days."
    assert verdict.evidence == "run-1"


def test_it_holds_or_warns_as_the_surface_says() -> None:
    passed = Verdict("data", subject("validation"), ALL, Outcome.PASS, bound(""), None)
    verdicts = [passed, *judge_unmeasured({"back": "No purchase."}, run="r")]
    assert isinstance(decide_release(verdicts, inconclusive="hold"), Hold)
    assert isinstance(decide_release(verdicts, inconclusive="warn"), Promote)


def test_where_every_joint_was_measured_there_is_nothing_to_say() -> None:
    assert list(judge_unmeasured({}, run="r")) == []
