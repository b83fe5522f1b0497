"""A task that keeps the champion's model is told in the dossier, and never holds a release by itself."""

from tasks.evaluation.verdicts import Outcome
from tasks.promotion.decision import Promote, decide_release
from tasks.promotion.gates.unchanged_parts import judge_kept


def test_each_task_that_keeps_its_model_is_a_warning_with_the_reason() -> None:
    verdicts = list(judge_kept({"buy": "3 positives.", "back": "No rows."}, run="run-1"))
    assert [(str(v.subject), v.outcome) for v in verdicts] == [
        ("buy.trained", Outcome.WARN),
        ("back.trained", Outcome.WARN),
    ]
    assert verdicts[0].reason == "keeps the champion's model. 3 positives."
    assert {v.evidence for v in verdicts} == {"run-1"}


def test_it_warns_and_does_not_hold() -> None:
    decision = decide_release(list(judge_kept({"buy": "3 positives."}, run="r")), inconclusive="hold")
    assert decision == Promote(
        ("data: training of buy (trained anew): warning, keeps the champion's model. 3 positives.",)
    )


def test_where_every_task_was_trained_there_is_nothing_to_say() -> None:
    assert list(judge_kept({}, run="r")) == []
